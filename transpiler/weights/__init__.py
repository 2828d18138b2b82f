"""Weights of Keras, read from its files, for the result of a conversion, and back."""
