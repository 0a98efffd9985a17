"""Several LSTMs: in both directions, and on top of one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from multilstm.errors import InputError, choice, shown
from multilstm.scan.arguments import as_flag, as_sequence
from multilstm.scan.cell import LSTMParams
from multilstm.scan.dropout import Dropout
from multilstm.scan.layer import lstm
from multilstm.scan.loops.checks import check_merge_mode
from multilstm.scan.loops.wavefront import wavefront as one_loop
from multilstm.spec.arrays import State

OPTIONS = (
    "activation", "recurrent_activation", "zero_output_for_mask", "custom_gradient", "lengths", "dtype", "unroll",
    "checkpoint", "mesh",
)  # fmt: skip


def bidirectional(  # noqa: PLR0913 - the public signature
    forward_params: LSTMParams,
    backward_params: LSTMParams,
    x: jax.Array,
    forward_state: State | None = None,
    backward_state: State | None = None,
    mask: jax.Array | None = None,
    merge_mode: str | None = "concat",
    forward_dropout: Dropout | None = None,
    backward_dropout: Dropout | None = None,
    **options: Any,
) -> tuple[Any, State, State]:
    """Run one LSTM forward and one backward over the same sequences, and merge their outputs timestep by timestep.

    Args:
        forward_params: the weights of the forward LSTM.
        backward_params: the weights of the backward LSTM.
        x: `[batch, timesteps, features]`.
        forward_state: the initial state of the forward LSTM, each `[batch, units]`; None: zeros.
        backward_state: the same of the backward LSTM, which begins at the last timestep.
        mask: boolean `[batch, timesteps]`.
        merge_mode: `concat`, `sum`, `mul`, `ave`, or None.
        forward_dropout: the masks of the forward LSTM.
        backward_dropout: the masks of the backward LSTM.
        **options: any other option of `lstm` except `go_backwards`, the same for both.

    Returns:
        The merged outputs `[batch, timesteps, units]` (`2 * units` with `concat`; the pair with None), the forward
        state, and the backward state. Outputs of the backward LSTM are reversed before merging.

    Raises:
        InputError: as `lstm`, and for an unknown merge mode or option.
    """
    _check_options("bidirectional", options)
    check_merge_mode(merge_mode)
    forward, forward_state = lstm(forward_params, x, forward_state, mask, False, dropout=forward_dropout, **options)
    backward, backward_state = lstm(backward_params, x, backward_state, mask, True, dropout=backward_dropout, **options)
    return merge(merge_mode, forward, jnp.flip(backward, 1)), forward_state, backward_state


def _check_options(function: str, options: Mapping[str, Any]) -> None:
    """Refuse an option that `lstm` lacks, and `go_backwards`, which `bidirectional` decides."""
    for name in options:
        if name not in OPTIONS:
            raise InputError(f"{function}: {choice('option', name, OPTIONS)}")


def merge(mode: str | None, forward: jax.Array, backward: jax.Array) -> Any:
    """Merge the outputs of two directions, `[..., units]` each, as Keras's Bidirectional.

    Raises:
        InputError: for an unknown mode.
    """
    check_merge_mode(mode)
    if mode is None:
        return forward, backward
    if mode == "concat":
        return jnp.concatenate([forward, backward], -1)
    if mode == "mul":
        return forward * backward
    return forward + backward if mode == "sum" else _average(forward, backward)


# Compiled, since in eager mode the 2 would be an implicit transfer to the device.
_average = jax.jit(lambda forward, backward: (forward + backward) / 2)


def stack(
    layers: Sequence[Any],
    x: jax.Array,
    states: Sequence[Any] | None = None,
    mask: jax.Array | None = None,
    merge_mode: str = "concat",
    dropout: Sequence[Any] | None = None,
    wavefront: bool = False,
    **options: Any,
) -> tuple[jax.Array, tuple[Any, ...]]:
    """Run LSTMs on top of one another: each takes the outputs of the one below.

    Args:
        layers: from the lowest to the highest, `LSTMParams`, or a pair of them for a bidirectional one.
        x: `[batch, timesteps, features]`.
        states: for each layer its initial `State`, or a pair of them, or None: zeros.
        mask: boolean `[batch, timesteps]`, the same for every layer.
        merge_mode: how a bidirectional layer merges its outputs.
        dropout: for each layer its `Dropout`, or a pair of them, or None.
        wavefront: all layers in one loop, each a timestep behind the one below. It takes LSTMs of the same units in
            one direction, without dropout. Its options are `activation`, `recurrent_activation`,
            `zero_output_for_mask` and `dtype`. It suits devices on which a launch dominates a step, and no CPU.
        **options: any other option of `lstm` except `go_backwards`, the same for every layer.

    Returns:
        The outputs of the highest layer `[batch, timesteps, units]`, and for each layer its last `State`, or a pair.

    Raises:
        InputError: as `lstm` and `bidirectional`, and for states that do not match the layers.
    """
    _check_options("stack", options)
    if not as_sequence("stack: layers", layers):
        raise InputError("stack: no layers given, expected at least one")
    for name, given in (("states", states), ("dropout", dropout)):
        if given is not None and len(as_sequence(f"stack: {name}", given)) != len(layers):
            raise InputError(f"stack: {name} has {len(given)} entries for {len(layers)} layers; None means none")
    check_merge_mode(merge_mode)
    if merge_mode is None:
        raise InputError("stack: merge_mode None gives two outputs, and the next layer takes one; expected another")
    none = [None] * len(layers)
    if as_flag("stack: wavefront", wavefront):
        left = sorted(options.keys() - {"activation", "recurrent_activation", "zero_output_for_mask", "dtype"})
        if dropout is not None or left:
            refused = ", ".join([*(["dropout"] if dropout is not None else []), *left])
            raise InputError(f"stack: wavefront does not go with {refused}; leave one of them out")
        return one_loop(layers, x, states or none, mask, **options)
    last: list[Any] = []
    for params, state, drop in zip(layers, states or none, dropout or none, strict=True):
        if isinstance(params, LSTMParams):
            x, after = lstm(params, x, state, mask, dropout=drop, **options)
            last.append(after)
        else:
            if not isinstance(params, (list, tuple)) or len(params) != 2:
                raise InputError(f"stack: a layer must be LSTMParams or a pair of them, given {shown(params)}")
            two = (None, None) if state is None else as_sequence("stack: the states of a pair of layers", state, 2)
            drops = (None, None) if drop is None else as_sequence("stack: the dropout of a pair of layers", drop, 2)
            x, *both = bidirectional(
                params[0], params[1], x, two[0], two[1], mask, merge_mode, drops[0], drops[1], **options
            )
            last.append(tuple(both))
    return x, tuple(last)
