"""What a program does with its models, as PyTorch: optimizers, loops over epochs, predictions."""
