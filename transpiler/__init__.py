"""keras2torch: reads Keras model code, writes PyTorch, and proves that both compute the same."""

__version__ = "0.1.0"
