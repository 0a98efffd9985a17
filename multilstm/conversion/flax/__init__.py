"""Models as Flax modules, of the API nnx or linen: readable source and parameters."""
