"""The arguments of a loop over time: the arrays as one pytree, and everything that is no array as one frozen value."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from multilstm.scan.cell import LSTMParams, Names
from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.plan import Plan
from multilstm.scan.loops.split import Split
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

    def with_equal_shares(self, devices: int) -> Problem:
        """Return the problem with rows added until the devices divide the batch; it needs a state.

        The added rows repeat the first ones, so that their values are as finite as those. Nothing reads their results,
        so that they add zeros to the weights' gradients.
        """
        missing = -self.x.shape[0] % devices

        def repeat(array: Any, axis: int = 0) -> Any:
            return jnp.concatenate([array, lax.slice_in_dim(array, 0, missing, axis=axis)], axis)

        assert self.state is not None
        lengths = self.lengths
        return self._replace(
            x=repeat(self.x),
            state=State(*map(repeat, self.state)),
            mask=None if self.mask is None else repeat(self.mask),
            lengths=lengths if lengths is None or lengths.ndim == 0 else repeat(lengths),
            dropout=Dropout(*(None if mask is None else repeat(mask, mask.ndim - 2) for mask in self.dropout)),
        )


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """The options of one LSTM that decide its compiled program; hashable, for a static argument of `jax.jit`.

    Attributes:
        names: the activations.
        plan: the layout of the loop.
        go_backwards: from the last timestep to the first.
        zero_output_for_mask: a masked timestep has the output 0; otherwise it repeats the output before it.
        custom_gradient: the gradient derived by hand; False: JAX's own.
        split: the devices that share the batch, or None.
    """

    names: Names
    plan: Plan
    go_backwards: bool = False
    zero_output_for_mask: bool = False
    custom_gradient: bool = True
    split: Split | None = None

    def counting(self, units: int) -> LoopOptions:
        """Return the options of a loop over more units, of which these many count."""
        return dataclasses.replace(self, names=self.names._replace(units=units))
