"""Staged programs as PyTorch text."""
