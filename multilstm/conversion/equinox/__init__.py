"""Models as Equinox modules: readable source and parameters."""
