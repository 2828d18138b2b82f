"""The last step of a conversion: the files as they are written."""
