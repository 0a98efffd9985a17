"""Keras on TensorFlow: Rescaling and Normalization round the numbers that they are given to float32 in float64."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
from keras.src.backend.common import dtypes  # noqa: E402

dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # else JAX and PyTorch compute in float32: another divergence
x = np.ones((1, 2))
layers = {
    "Rescaling([0.1, 0.2])": (keras.layers.Rescaling([0.1, 0.2]), [[0.1, 0.2]]),
    "Normalization(mean=[0.1, 0.2])": (keras.layers.Normalization(mean=[0.1, 0.2], variance=[1.0, 1.0]), [[0.9, 0.8]]),
}
errors = {name: float(np.abs(keras.ops.convert_to_numpy(layer(x)) - y).max()) for name, (layer, y) in layers.items()}
print("; ".join(f"{name} is off by {error:.1e}" for name, error in errors.items()))
sys.exit(int(max(errors.values()) > 1e-12))
