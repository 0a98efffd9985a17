"""Keras on PyTorch: clipnorm and global_clipnorm compute the norm of float64 gradients in float32."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
gradient = np.array([0.3, -0.7, 1.1])
wrong = False
for option in ("clipnorm", "global_clipnorm"):
    weight = keras.Variable(np.zeros(3), dtype="float64")
    keras.optimizers.SGD(1.0, **{option: 0.1}).apply([keras.ops.convert_to_tensor(gradient)], [weight])
    norm = float(np.linalg.norm(keras.ops.convert_to_numpy(weight.value)))
    wrong |= abs(norm / 0.1 - 1) > 1e-13
    print(f"{option}=0.1 leaves a step of {norm:.17f}, off by {abs(norm / 0.1 - 1):.1e} of it")
sys.exit(int(wrong))
