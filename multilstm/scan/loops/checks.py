"""The checks of the arguments of `multilstm.scan`'s functions: shapes and dtypes, when a program is traced."""

from __future__ import annotations

import contextlib
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh

from multilstm.errors import InputError, choice, shown
from multilstm.scan.activations import check_activation
from multilstm.scan.arguments import as_jax, as_mesh, as_numbers
from multilstm.scan.cell import LSTMParams, Names
from multilstm.scan.dropout import Dropout
from multilstm.spec.arrays import State

MERGE_MODES = ("concat", "sum", "mul", "ave", None)


def check_names(activation: str, recurrent_activation: str) -> Names:
    """Return the activations.

    Raises:
        InputError: for an unknown name.
    """
    check_activation("activation", activation)
    check_activation("recurrent_activation", recurrent_activation)
    return Names(activation, recurrent_activation)


def check_arrays(
    params: LSTMParams, x: Any, state: State | None, mask: Any, dtype: str | None
) -> tuple[LSTMParams, jax.Array, State | None, jax.Array | None]:
    """Return the arguments of `lstm` as arrays of one floating dtype: `dtype`, or the promotion of all their dtypes.

    Raises:
        InputError: naming the argument, what was given, and what was expected.
    """
    params = check_params(params)
    features, units = params.kernel.shape[0], params.recurrent_kernel.shape[0]
    x = as_jax("lstm: x", x)
    if x.ndim != 3 or x.shape[2] != features:
        raise _error("x", x.shape, f"(batch, timesteps, {features}): features as in kernel {params.kernel.shape}")
    batch, timesteps, _ = x.shape
    if state is not None:
        state = as_state(state)
        for name, array in state._asdict().items():
            if array.shape != (batch, units):
                raise _error(f"state.{name}", array.shape, f"{(batch, units)}: (batch, units)")
    if mask is not None:
        mask = as_jax("lstm: mask", mask)
        if mask.dtype != jnp.bool_:
            raise InputError(f"lstm: mask has dtype {mask.dtype}, expected bool; True marks a timestep that counts")
        if mask.shape != (batch, timesteps):
            raise _error("mask", mask.shape, f"{(batch, timesteps)}: (batch, timesteps)")
    common = jnp.result_type(*params[:2], *([] if params.bias is None else [params.bias]), x, *(state or ()))
    if not jnp.issubdtype(common, jnp.floating):
        raise InputError(f"lstm: the arrays have dtype {common}, expected a floating dtype such as float32")
    if dtype is not None:
        common = check_dtype("lstm", dtype)
    params, x, state = jax.tree.map(lambda array: array.astype(common), (params, x, state))
    return params, x, state, mask


def as_state(state: Any) -> State:
    """Return an initial state as JAX arrays.

    Raises:
        InputError: for another type than `State`, or values that are no arrays of numbers.
    """
    if not isinstance(state, State):
        raise InputError(f"lstm: state must be State(hidden, cell), given {type(state).__name__}; its order is open")
    return State(*(as_jax(f"lstm: state.{name}", array) for name, array in state._asdict().items()))


def check_dtype(function: str, dtype: str) -> Any:
    """Return the floating dtype of that name; errors name `function`.

    Raises:
        InputError: for a dtype that is not floating, and for float64 without JAX's x64 mode.
    """
    known = floating(function, dtype)
    if jax.dtypes.canonicalize_dtype(known) != known:
        raise InputError(
            f"{function}: dtype {dtype} needs jax.config.update('jax_enable_x64', True) before the first array"
        )
    return known


def floating(function: str, dtype: Any) -> Any:
    """Return the floating dtype of that name, which JAX may not hold without x64 mode; errors name `function`.

    Raises:
        InputError: for a dtype that is not floating.
    """
    known = None
    if isinstance(dtype, (str, type, np.dtype)):  # NumPy would take many other values for a dtype
        with contextlib.suppress(TypeError, ValueError):
            known = jnp.dtype(dtype)
    if known is None or not jnp.issubdtype(known, jnp.floating):
        raise InputError(f"{function}: dtype must be floating, such as 'float32', given {shown(dtype)}")
    return known


def check_checkpoint(checkpoint: Any, unroll: bool) -> bool | int:
    """Return a checkpoint: a bool, or a number of timesteps.

    Raises:
        InputError: for any other value, and for a checkpoint with `unroll`, which leaves no loop.
    """
    if not isinstance(checkpoint, (bool, np.bool_, Integral)) or checkpoint < 0:
        raise InputError(f"lstm: checkpoint must be True, False, or a number of timesteps, given {shown(checkpoint)}")
    if checkpoint and unroll:
        raise InputError(f"lstm: checkpoint={checkpoint} saves memory in a loop, and unroll=True leaves none; give one")
    return bool(checkpoint) if isinstance(checkpoint, (bool, np.bool_)) else int(checkpoint)


def check_lengths(lengths: Any, mask: Any, x: jax.Array) -> jax.Array | None:
    """Return the lengths as an array of int32; traced lengths are clipped to the range from 0 to the timesteps.

    Raises:
        InputError: with a mask, for a wrong shape or dtype, and for concrete lengths outside of that range.
    """
    if lengths is None:
        return None
    batch, timesteps, _ = x.shape
    if mask is not None:
        raise InputError("lstm: mask and lengths are both given, expected one of them; lengths are a mask")
    lengths = as_numbers("lstm: lengths", lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise InputError(f"lstm: lengths has dtype {lengths.dtype}, expected integers")
    if lengths.shape not in ((), (batch,)):
        raise _error("lengths", lengths.shape, f"{(batch,)}: (batch,), or one number for all")
    if not is_concrete(lengths):
        return jnp.clip(to_int32(lengths), 0, timesteps)
    known = np.asarray(lengths)
    if known.size and not 0 <= known.min() <= known.max() <= timesteps:
        raise InputError(
            f"lstm: lengths go from {known.min()} to {known.max()}, expected 0 to {timesteps}, the timesteps"
        )
    return jnp.asarray(known, "int32")


def is_concrete(array: Any) -> bool:
    """Return whether the array has values here: it is neither traced nor split over several processes."""
    if isinstance(array, jax.core.Tracer):
        return False
    return not isinstance(array, jax.Array) or array.is_fully_addressable


def to_int32(array: jax.Array) -> jax.Array:
    """Return the array in int32; numbers beyond the range of int32 become its ends, and never wrap around."""
    if jnp.issubdtype(array.dtype, jnp.floating):
        most = 2**31 - 128 if array.dtype.itemsize > 2 else float(jnp.finfo(array.dtype).max)  # exact in float32
        return jnp.clip(array, -most, most).astype("int32")
    if jnp.can_cast(array.dtype, "int32"):
        return array.astype("int32")
    least = -(2**31) if jnp.issubdtype(array.dtype, jnp.signedinteger) else 0
    return jnp.clip(array, least, 2**31 - 1).astype("int32")


def check_dropout(dropout: Dropout | None, params: LSTMParams, x: jax.Array) -> Dropout:
    """Return the dropout masks as arrays of the dtype of `x`.

    Raises:
        InputError: for another type than `Dropout`, and for wrong shapes.
    """
    if dropout is None:
        return Dropout()
    if not isinstance(dropout, Dropout):
        raise InputError(f"lstm: dropout must be Dropout(inputs, hidden), given {type(dropout).__name__}")
    masks: list[jax.Array | None] = []
    for name, mask, size in (
        ("inputs", dropout.inputs, x.shape[2]),
        ("hidden", dropout.hidden, params.recurrent_kernel.shape[0]),
    ):
        array, shared = None if mask is None else as_jax(f"lstm: dropout.{name}", mask, x.dtype), (x.shape[0], size)
        if array is not None and array.shape not in (shared, (4, *shared)):
            raise _error(f"dropout.{name}", array.shape, f"{shared}, or {(4, *shared)}: one for each gate")
        masks.append(array)
    return Dropout(*masks)


def check_mesh(mesh: Any, batch: int) -> Any:
    """Return a mesh of automatic axes, `auto`, or None; refuse a mesh that cannot share the batch equally.

    Raises:
        InputError: for another type, more than one axis, or a batch that is no multiple of the devices.
    """
    mesh = as_mesh("lstm: mesh", mesh)
    if isinstance(mesh, Mesh) and len(mesh.axis_names) != 1:
        raise InputError(f"lstm: mesh has the axes {mesh.axis_names}, expected one, over which the batch is split")
    if isinstance(mesh, Mesh) and batch % mesh.size:
        raise InputError(f"lstm: the batch of {batch} cannot be shared equally by the {mesh.size} devices of the mesh")
    if isinstance(mesh, Mesh) and AxisType.Explicit in mesh.axis_types:  # the default of `jax.make_mesh`
        return Mesh(mesh.devices, mesh.axis_names)
    return mesh


def check_merge_mode(mode: str | None) -> None:
    """Refuse an unknown merge mode.

    Raises:
        InputError: naming the known ones.
    """
    if not isinstance(mode, str | None) or mode not in MERGE_MODES:
        raise InputError(choice("merge_mode", mode, MERGE_MODES))


def check_params(params: Any) -> LSTMParams:
    """Return the weights of an LSTM as JAX arrays.

    Raises:
        InputError: for another type than `LSTMParams`, and for arrays of wrong shapes.
    """
    if not isinstance(params, LSTMParams):
        raise InputError(
            f"lstm: params must be LSTMParams(kernel, recurrent_kernel, bias), given {type(params).__name__}; "
            f"multilstm.scan.init makes them"
        )
    bias = None if params.bias is None else as_jax("lstm: bias", params.bias)
    kernel, recurrent_kernel = as_jax("lstm: kernel", params.kernel), as_jax("lstm: recurrent_kernel", params[1])
    checked = LSTMParams(kernel, recurrent_kernel, bias)
    recurrent = checked.recurrent_kernel.shape
    if len(recurrent) != 2 or recurrent[1] != 4 * recurrent[0]:
        raise _error("recurrent_kernel", recurrent, "(units, 4 * units)")
    units = recurrent[0]
    if checked.kernel.ndim != 2 or checked.kernel.shape[1] != 4 * units:
        raise _error("kernel", checked.kernel.shape, f"(features, {4 * units}): units as in recurrent_kernel")
    if checked.bias is not None and checked.bias.shape != (4 * units,):
        raise _error("bias", checked.bias.shape, f"({4 * units},): units as in recurrent_kernel, or None")
    return checked


def _error(argument: str, given: tuple[int, ...], expected: str) -> InputError:
    return InputError(f"lstm: {argument} has shape {given}, expected {expected}")
