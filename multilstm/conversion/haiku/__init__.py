"""Models as Haiku modules: readable source and parameters."""
