"""True float64 for Keras users, on every backend."""

from __future__ import annotations

import keras

from multilstm.frameworks import private_keras


def enable_float64() -> None:
    """Make float64 the default dtype of Keras, and true float64. Call it before a model is built.

    On JAX and PyTorch, Keras promotes float64 to float32 in `result_type` (keras#23704). Its float64 layers compute
    partly in float32, and their dtype still reads float64. JAX has float64 only after its option is set.
    """
    private_keras.enable_true_float64()
    keras.config.set_floatx("float64")
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
