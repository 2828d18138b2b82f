"""What the commands of the command line do, once its options are parsed."""
