"""Split a batch over two devices: the same answers as on one, up to rounding."""

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.scan import init, lstm, tune_cpu
from multilstm.scan.parallel import data_parallel_mesh

tune_cpu(devices=2)  # before JAX computes anything; on GPUs leave it out

params = init(features=5, units=32, seed=0)
x = np.random.default_rng(0).normal(size=(8, 20, 5)).astype("float32")
mesh = data_parallel_mesh()


def loss(params, mesh):
    """Compute a loss over the whole batch."""
    sequence, _ = lstm(params, x, mesh=mesh)
    return jnp.mean(sequence**2)


one, gradient_one = jax.value_and_grad(loss)(params, None)
two, gradient_two = jax.value_and_grad(loss)(params, mesh)
largest = max(float(jnp.abs(a - b).max()) for a, b in zip(gradient_one, gradient_two, strict=True))
print(f"{mesh.size} devices, {x.shape[0] // mesh.size} sequences each")
print(f"losses agree: {abs(float(one - two)) < 1e-7}; gradients agree: {largest < 1e-7}")
