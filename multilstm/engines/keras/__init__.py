"""The engines on Keras's backends."""
