"""Several LSTMs: in both directions, and on top of one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from multilstm.errors import InputError
from multilstm.scan.cell import LSTMParams
from multilstm.scan.checks import check_merge_mode
from multilstm.scan.layer import lstm
from multilstm.state import State


def bidirectional(
    forward_params: LSTMParams,
    backward_params: LSTMParams,
    x: jax.Array,
    forward_state: State | None = None,
    backward_state: State | None = None,
    mask: jax.Array | None = None,
    merge_mode: str | None = "concat",
    **options: Any,
) -> tuple[Any, State, State]:
    """Runs one LSTM forward and one backward over the same sequences, and merges their outputs step by step.

    Args:
        forward_params: the weights of the forward LSTM.
        backward_params: the weights of the backward LSTM.
        x: `[batch, timesteps, features]`.
        forward_state: the initial state of the forward LSTM, each `[batch, units]`; None: zeros.
        backward_state: the same of the backward LSTM, which begins at the last timestep.
        mask: boolean `[batch, timesteps]`.
        merge_mode: `concat`, `sum`, `mul`, `ave`, or None.
        **options: `activation`, `recurrent_activation`, `zero_output_for_mask`, `custom_gradient` of `lstm`.

    Returns:
        The merged outputs `[batch, timesteps, units]` (`2 * units` with `concat`; the pair with None), the forward
        state, and the backward state. Outputs of the backward LSTM are turned back before merging.

    Raises:
        InputError: as `lstm`, and for an unknown merge mode.
    """
    check_merge_mode(merge_mode)
    forward, forward_state = lstm(forward_params, x, forward_state, mask, False, **options)
    backward, backward_state = lstm(backward_params, x, backward_state, mask, True, **options)
    return merge(merge_mode, forward, jnp.flip(backward, 1)), forward_state, backward_state


def merge(mode: str | None, forward: jax.Array, backward: jax.Array) -> Any:
    """Merges the outputs of two directions, `[..., units]` each, as Keras's Bidirectional.

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
    return forward + backward if mode == "sum" else (forward + backward) / 2


def stack(
    layers: Sequence[Any],
    x: jax.Array,
    states: Sequence[Any] | None = None,
    mask: jax.Array | None = None,
    merge_mode: str = "concat",
    **options: Any,
) -> tuple[jax.Array, tuple[Any, ...]]:
    """Runs LSTMs on top of one another: each goes through the outputs of the one below.

    Args:
        layers: from the lowest to the highest, `LSTMParams`, or a pair of them for a bidirectional one.
        x: `[batch, timesteps, features]`.
        states: for each layer its initial `State`, or a pair of them, or None: zeros.
        mask: boolean `[batch, timesteps]`, the same for every layer.
        merge_mode: how a bidirectional layer merges its outputs.
        **options: of `lstm`, the same for every layer.

    Returns:
        The outputs of the highest layer `[batch, timesteps, units]`, and for each layer its last `State`, or a pair.

    Raises:
        InputError: as `lstm` and `bidirectional`, and where layers and states do not match.
    """
    if not layers:
        raise InputError("stack: no layers given, expected at least one")
    if states is not None and len(states) != len(layers):
        raise InputError(f"stack: {len(states)} states given for {len(layers)} layers; None stands for zeros")
    if merge_mode is None:
        raise InputError("stack: merge_mode None gives two outputs, and the next layer takes one; expected another")
    last: list[Any] = []
    for params, state in zip(layers, states or [None] * len(layers), strict=True):
        if isinstance(params, LSTMParams):
            x, after = lstm(params, x, state, mask, **options)
            last.append(after)
        else:
            ahead, back = state or (None, None)
            x, *both = bidirectional(params[0], params[1], x, ahead, back, mask, merge_mode, **options)
            last.append(tuple(both))
    return x, tuple(last)
