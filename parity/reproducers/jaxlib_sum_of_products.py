"""jaxlib 0.9.1 to 0.10.2 on CPU: a compiled sum over a product is wrong; needs JAX alone.

Not with XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=-reduce.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

rng = np.random.default_rng(0)
for columns in (32769, 40000):
    matrix, x = (rng.integers(-4, 5, shape).astype("float32") for shape in ((3, 3), (columns, 3)))
    actual = np.asarray(jax.jit(lambda matrix, x: jnp.sum(matrix @ x.T, axis=0))(matrix, x))
    wrong = int((actual != (matrix @ x.T).sum(axis=0)).sum())
    print(f"jaxlib {jax.lib.__version__}, a sum over a product of shape (3, {columns}): {wrong} wrong")
    if wrong:
        sys.exit(1)
sys.exit(0)
