"""What the functions of `multilstm.scan` accept: shapes and dtypes are checked when they are traced."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from multilstm.errors import InputError, choice
from multilstm.scan.activations import check_activation
from multilstm.scan.cell import LSTMParams, Names
from multilstm.state import State

MERGE_MODES = ("concat", "sum", "mul", "ave", None)


def check_arrays(
    params: LSTMParams, x: Any, state: State | None, mask: Any, names: Names
) -> tuple[LSTMParams, jax.Array, State | None, jax.Array | None]:
    """The arguments of `lstm` as arrays of one floating dtype, which is the promotion of all of theirs.

    Raises:
        InputError: naming the argument, what was given, and what was expected.
    """
    for argument, name in names._asdict().items():
        check_activation(argument, name)
    params = _check_params(params)
    features, units = params.kernel.shape[0], params.recurrent_kernel.shape[0]
    x = jnp.asarray(x)
    if x.ndim != 3 or x.shape[2] != features:
        raise _error("x", x.shape, f"(batch, timesteps, {features}): features as in kernel {params.kernel.shape}")
    batch, timesteps, _ = x.shape
    if state is not None:
        if not isinstance(state, State):
            raise InputError(
                f"lstm: state must be State(hidden, cell), given {type(state).__name__}; its order is open"
            )
        state = State(*(jnp.asarray(array) for array in state))
        for name, array in state._asdict().items():
            if array.shape != (batch, units):
                raise _error(f"state.{name}", array.shape, f"{(batch, units)}: (batch, units)")
    if mask is not None:
        mask = jnp.asarray(mask)
        if mask.dtype != jnp.bool_:
            raise InputError(f"lstm: mask has dtype {mask.dtype}, expected bool; True marks a timestep that counts")
        if mask.shape != (batch, timesteps):
            raise _error("mask", mask.shape, f"{(batch, timesteps)}: (batch, timesteps)")
    dtype = jnp.result_type(*params[:2], *([] if params.bias is None else [params.bias]), x, *(state or ()))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise InputError(f"lstm: the arrays have dtype {dtype}, expected a floating dtype such as float32")
    params, x, state = jax.tree.map(lambda array: array.astype(dtype), (params, x, state))
    return params, x, state, mask


def check_mesh(mesh: Mesh | None, batch: int) -> None:
    """Refuses a mesh that cannot share the batch.

    Raises:
        InputError: for more than one axis, or rows that are left over.
    """
    if mesh is not None and len(mesh.axis_names) != 1:
        raise InputError(f"lstm: mesh has the axes {mesh.axis_names}, expected one, over which the batch is split")
    if mesh is not None and batch % mesh.size:
        raise InputError(f"lstm: the batch of {batch} cannot be shared equally by the {mesh.size} devices of the mesh")


def check_merge_mode(mode: str | None) -> None:
    """Refuses an unknown merge mode.

    Raises:
        InputError: naming the known ones.
    """
    if mode not in MERGE_MODES:
        raise InputError(choice("merge_mode", mode, MERGE_MODES))


def _check_params(params: LSTMParams) -> LSTMParams:
    if not isinstance(params, LSTMParams):
        raise InputError(
            f"lstm: params must be LSTMParams(kernel, recurrent_kernel, bias), given {type(params).__name__}; "
            f"multilstm.scan.init makes them"
        )
    params = LSTMParams(*(None if array is None else jnp.asarray(array) for array in params))
    recurrent = params.recurrent_kernel.shape
    if len(recurrent) != 2 or recurrent[1] != 4 * recurrent[0]:
        raise _error("recurrent_kernel", recurrent, "(units, 4 * units)")
    units = recurrent[0]
    if params.kernel.ndim != 2 or params.kernel.shape[1] != 4 * units:
        raise _error("kernel", params.kernel.shape, f"(features, {4 * units}): units as in recurrent_kernel")
    if params.bias is not None and params.bias.shape != (4 * units,):
        raise _error("bias", params.bias.shape, f"({4 * units},): units as in recurrent_kernel, or None")
    return params


def _error(argument: str, given: tuple[int, ...], expected: str) -> InputError:
    return InputError(f"lstm: {argument} has shape {given}, expected {expected}")
