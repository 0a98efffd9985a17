"""Models as code of TensorFlow 1: readable source, and variables by name."""
