"""XLA on CPU: the float64 gradient of a plain lax.scan LSTM is wrong under jit and vmap, for batch 4 and 5 units.

Needs JAX alone. Prints the largest difference between the vmapped gradient and the same gradients one by one. Exits
with 1 while there is a difference.

Seen with jaxlib 0.8.3, 0.9.2, 0.10.1 and 0.10.2 on a processor with AVX-512. Right are: jaxlib 0.7.2, other shapes of
three sweeps, float32, gradients without vmap, and the gradient of multilstm.scan. The flags
XLA_FLAGS=--xla_cpu_prefer_vector_width=128 and --xla_cpu_max_isa=AVX2 avoid it.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
MODELS, BATCH, TIMESTEPS, FEATURES, UNITS = 3, 4, 7, 3, 5


def loss(kernel, recurrent_kernel, bias, inputs, hidden, cell):
    """A weighted sum of the hidden states."""

    def step(state, x):
        hidden, cell = state
        i, f, g, o = jnp.split(x @ kernel + hidden @ recurrent_kernel + bias, 4, -1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (hidden, cell), hidden

    return (jax.lax.scan(step, (hidden, cell), inputs)[1] * WEIGHTS).sum()


rng = np.random.default_rng(0)
shapes = [
    (MODELS, FEATURES, 4 * UNITS), (MODELS, UNITS, 4 * UNITS), (MODELS, 4 * UNITS),
    (MODELS, TIMESTEPS, BATCH, FEATURES), (MODELS, BATCH, UNITS), (MODELS, BATCH, UNITS), (TIMESTEPS, BATCH, UNITS),
]  # fmt: skip
*arrays, WEIGHTS = (jnp.asarray(rng.normal(0, 0.6, shape)) for shape in shapes)
gradient = jax.grad(loss, argnums=range(6))
together = jax.jit(jax.vmap(gradient))(*arrays)
single = [gradient(*(array[model] for array in arrays)) for model in range(MODELS)]
largest = max(
    float(np.abs(np.asarray(together[k][model]) - np.asarray(single[model][k])).max())
    for k in range(6)
    for model in range(MODELS)
)
sys.stdout.write(f"jax {jax.__version__}: vmapped and single gradients differ by up to {largest:.1e}\n")
sys.exit(largest > 1e-12)
