"""Train an LSTM in pure JAX: predict the next value of a noisy sine, with sequences of unequal lengths."""

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.scan import init, lstm

rng = np.random.default_rng(0)
lengths = jnp.array(rng.integers(10, 30, size=16))
time = np.arange(31) / 4 + rng.uniform(0, 6, size=(16, 1))
wave = jnp.array((np.sin(time) + 0.05 * rng.normal(size=time.shape))[..., None], "float32")
x, target = wave[:, :-1], wave[:, 1:]  # [batch, timesteps, 1]
counts = jnp.arange(30) < lengths[:, None]  # padding is neither computed nor learned

weights = {"lstm": init(features=1, units=16, seed=0), "head": jnp.zeros((16, 1))}


def loss(weights):
    """Compute the mean squared error over the timesteps that count."""
    sequence, _ = lstm(weights["lstm"], x, lengths=lengths)
    error = (sequence @ weights["head"] - target)[..., 0]
    return jnp.sum(error**2 * counts) / jnp.sum(counts)


@jax.jit
def step(weights):
    """Take one step of gradient descent."""
    value, gradient = jax.value_and_grad(loss)(weights)
    return value, jax.tree.map(lambda w, g: w - 0.5 * g, weights, gradient)


for number in range(301):
    value, weights = step(weights)
    if number % 100 == 0:
        print(f"update {number:3}: loss {value:.3f}")
