"""Engines on the three backends of Keras.

Jobs enter, answers leave. The room imports frameworks, jobs, keras_layers, spec and weights. Each backend has one
module; `layers`, `model`, `layout` and `training` translate a spec for all of them.
"""

__all__: list[str] = []
