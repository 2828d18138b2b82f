"""Rules for what Keras's training code names: optimizers, schedules, losses, metrics."""
