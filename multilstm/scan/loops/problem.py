"""The arguments of a loop over time: the arrays as one pytree, and everything that is no array as one frozen value."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from jax.sharding import Mesh

from multilstm.scan.cell import LSTMParams, Names
from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.plan import Plan
from multilstm.spec.arrays import State


class Problem(NamedTuple):
    """The arrays of one LSTM over one batch of sequences.

    Attributes:
        params: the weights.
        x: `[batch, timesteps, features]`.
        state: the initial state, each `[batch, units]`; None: zeros.
        mask: boolean `[batch, timesteps]`, True where a timestep counts, or None.
        lengths: integers from 0 to timesteps, `[batch]`, or one for all sequences, or None.
        dropout: the dropout masks.
    """

    params: LSTMParams
    x: Any
    state: State | None = None
    mask: Any = None
    lengths: Any = None
    dropout: Dropout = Dropout()


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """The options of one LSTM that decide its compiled program; hashable, for a static argument of `jax.jit`.

    Attributes:
        names: the activations.
        plan: the layout of the loop.
        go_backwards: from the last timestep to the first.
        zero_output_for_mask: a masked timestep has the output 0; otherwise it repeats the output before it.
        custom_gradient: the gradient derived by hand; False: JAX's own.
        mesh: one axis of devices that share the batch, or None.
    """

    names: Names
    plan: Plan
    go_backwards: bool = False
    zero_output_for_mask: bool = False
    custom_gradient: bool = True
    mesh: Mesh | None = None
