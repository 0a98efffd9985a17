"""Keras 3's JSON of a model, to and from a spec: the model, its layers, operations and masks, and other layers."""
