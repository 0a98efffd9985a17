"""JAX, which Keras's MultiHeadAttention calls: dot_product_attention of float64 has its softmax in float32."""

import sys

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

rng = np.random.default_rng(0)
query, key, value = (rng.normal(size=(2, 4, 2, 3)) for _ in range(3))
shares = np.exp(np.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(3))
shares /= shares.sum(axis=-1, keepdims=True)
desired = np.einsum("bhqk,bkhd->bqhd", shares, value)
actual = np.asarray(jax.nn.dot_product_attention(query, key, value))
error = float(np.abs(actual - desired).max())
print(f"an output of dtype {actual.dtype} is off by {error:.1e}")
sys.exit(int(error > 1e-14))
