"""One timestep of an LSTM, and its derivative written by hand.

With gates in Keras's order i, f, c, o along the last axis, `a` the activation and `r` the recurrent activation:

    z = x @ kernel + hidden_before @ recurrent_kernel + bias        [batch, 4 * units]
    i = r(z_i);  f = r(z_f);  g = a(z_c);  o = r(z_o)               [batch, units]
    cell = f * cell_before + i * g                                  [batch, units]
    hidden = o * a(cell)                                            [batch, units]

(Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with the forget gate of Gers,
Schmidhuber and Cummins 2000, https://doi.org/10.1162/089976600300015015, and no peepholes.)

In the backward pass, `d` is the derivative of the loss. `dhidden` and `dcell` come from the next step and the output
(Graves 2012, "Supervised Sequence Labelling with Recurrent Neural Networks", section 4.6, without peepholes):

    do = dhidden * a(cell)
    dcell = dcell + dhidden * o * a'(cell)
    di = dcell * g;  df = dcell * cell_before;  dg = dcell * i
    dz = [r'(z_i) di, r'(z_f) df, a'(z_c) dg, r'(z_o) do]           [batch, 4 * units]
    dcell_before = dcell * f;  dhidden_before = dz @ recurrent_kernel.T
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from multilstm.scan.activations import ACTIVATIONS, activate_and_keep, pullback
from multilstm.spec.arrays import State

Gates = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


class LSTMParams(NamedTuple):
    """The weights of one LSTM in Keras's layout: gates i, f, c, o along the last axis.

    Attributes:
        kernel: `[features, 4 * units]`.
        recurrent_kernel: `[units, 4 * units]`.
        bias: `[4 * units]`, or None.
    """

    kernel: Any
    recurrent_kernel: Any
    bias: Any = None


class Names(NamedTuple):
    """The activations of an LSTM by name, and the units that they reach.

    Attributes:
        activation: of the candidate and of the cell state.
        recurrent_activation: of the three gates.
        units: the number of units that count; the others, added by `loops/filling.py`, take no value from z or from
            its derivative. 0: all.
    """

    activation: str
    recurrent_activation: str
    units: int = 0

    @property
    def gates(self) -> tuple[str, str, str, str]:
        """The activations of the gates, in the order i, f, c, o."""
        return (self.recurrent_activation, self.recurrent_activation, self.activation, self.recurrent_activation)


def cell_forward(names: Names, z: jax.Array, cell_before: jax.Array) -> tuple[State, Gates]:
    """Compute one timestep from the sums that its gates received.

    Args:
        names: the activations.
        z: `[batch, 4 * units]`, see above.
        cell_before: the cell state before the step, `[batch, units]`.

    Returns:
        The state after the step, and for `cell_backward` an array of each gate, `[batch, units]`.
    """
    parts = _counted(names, jnp.split(z, 4, -1))
    both = [activate_and_keep(name, part) for name, part in zip(names.gates, parts, strict=True)]
    (i, keep_i), (f, keep_f), (g, keep_g), (o, keep_o) = both
    cell = f * cell_before + i * g
    hidden = o * ACTIVATIONS[names.activation](cell)
    return State(hidden, cell), (keep_i, keep_f, keep_g, keep_o)


def cell_backward(
    names: Names, kept: Gates, cell_before: jax.Array, cell: jax.Array, after: State
) -> tuple[jax.Array, jax.Array]:
    """Compute the derivative of one timestep.

    Args:
        names: the activations.
        kept: the second result of `cell_forward`.
        cell_before: the cell state before the step, `[batch, units]`.
        cell: the cell state after the step, `[batch, units]`.
        after: the loss's derivatives by the state after the step, each `[batch, units]`.

    Returns:
        `dz [batch, 4 * units]` and `dcell_before [batch, units]`.
    """
    pulled = [pullback(name, part) for name, part in zip(names.gates, kept, strict=True)]
    (i, pull_i), (f, pull_f), (g, pull_g), (o, pull_o) = pulled
    squashed, pull_cell = pullback(names.activation, activate_and_keep(names.activation, cell)[1])
    dcell = after.cell + pull_cell(after.hidden * o)
    dz = [pull_i(dcell * g), pull_f(dcell * cell_before), pull_g(dcell * i), pull_o(after.hidden * squashed)]
    return jnp.concatenate(_counted(names, dz), -1), dcell * f


def _counted(names: Names, gates: list[jax.Array]) -> list[jax.Array]:
    """Return the gates' arrays `[batch, units]` with 0 for units that do not count: their 0 * infinity is NaN."""
    if not names.units:
        return gates
    counts = jnp.arange(gates[0].shape[-1]) < names.units
    return [jnp.where(counts, part, 0) for part in gates]
