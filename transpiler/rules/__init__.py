"""Rules: one class per Keras layer, activation, initializer and op; one file per family."""
