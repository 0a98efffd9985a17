"""One timestep of an LSTM at a time, for inputs that arrive one by one. The program is compiled once for each shape."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.errors import InputError
from multilstm.scan.arguments import as_jax
from multilstm.scan.cell import LSTMParams, Names, cell_forward
from multilstm.scan.loops.checks import as_state, check_arrays, check_names, check_params
from multilstm.scan.loops.projection import add_bias, matmul
from multilstm.spec.arrays import State


def step(
    params: LSTMParams,
    x_t: jax.Array,
    state: State | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
) -> tuple[jax.Array, State]:
    """Run an LSTM over one timestep of a batch of sequences: `lstm` over many timesteps equals as many calls.

    Shapes and dtypes are checked when the program is compiled; later calls of the same shapes compute at once. Weights
    should be arrays of JAX, since each call would copy those of NumPy.

    Args:
        params: the weights, in Keras's layout.
        x_t: the inputs of the timestep, `[batch, features]`.
        state: the state before the timestep, each `[batch, units]`; None: zeros.
        activation: as in `lstm`.
        recurrent_activation: as in `lstm`.

    Returns:
        The output of the timestep `[batch, units]`, and the state after it.

    Raises:
        InputError: for an array of a wrong shape or dtype; nothing is broadcast silently.
    """
    names = check_names(activation, recurrent_activation)
    if not _are_in_jax(params, x_t, state):  # at its border, `jax.jit` would wrap integers and take lists apart
        params, x_t, state = check_params(params), as_jax("step: x_t", x_t), None if state is None else as_state(state)
    after = _compiled(names, params, x_t, state)
    return after.hidden, after


def _are_in_jax(params: Any, x_t: Any, state: Any) -> bool:
    if not isinstance(params, LSTMParams) or not isinstance(state, State | None):
        return False
    return isinstance(x_t, jax.Array) and all(
        isinstance(array, jax.Array | None) for array in (*params, *(state or ()))
    )


def _step(names: Names, params: LSTMParams, x_t: Any, state: State | None) -> State:
    if np.ndim(x_t) != 2:
        raise InputError(f"step: x_t has shape {np.shape(x_t)}, expected (batch, features): one timestep")
    params, x, before, _ = check_arrays(params, x_t[:, None], state, None, None)
    if before is None:
        zeros = jnp.zeros((x.shape[0], params.recurrent_kernel.shape[0]), x.dtype)
        before = State(zeros, zeros)
    z = add_bias(matmul(x[:, 0], params.kernel), params.bias) + matmul(before.hidden, params.recurrent_kernel)
    return cell_forward(names, z, before.cell)[0]


_compiled = jax.jit(_step, static_argnums=0)
