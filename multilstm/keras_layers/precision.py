"""True float64 for Keras users, on every backend."""

from __future__ import annotations

import keras

from multilstm.frameworks import private_apis


def enable_float64() -> None:
    """Makes float64 the default dtype of a program, and true float64; to be called before a model is built.

    Keras takes float64 for float32 in `result_type` on every backend but TensorFlow (keras#23704), so that its float64
    layers compute partly in float32 and still say float64; and JAX has no float64 until it is told.
    """
    private_apis.enable_true_float64()
    keras.config.set_floatx("float64")
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
