"""LSTM and ConvLSTM2D of the reference: one pass forward in time and one pass back.

The record holds every gate of every timestep.
Time is the first axis in this file: `[timesteps, batch, ...]`, in the order of processing (reversed by go_backwards).
The equations are those of `multilstm.spec.LSTM` and `multilstm.spec.ConvLSTM2D`. The pass back is their derivative,
backpropagation through time (Werbos 1990, https://doi.org/10.1109/5.58337). For a ConvLSTM2D,
the axes `rows, columns, filters` of its state replace `units` in all shapes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from multilstm.engines.reference.activations import function_of
from multilstm.engines.reference.gates import (
    BiasSum,
    Factors,
    at_each_timestep,
    exact_bias_sum,
    in_order,
    kept_inputs,
    products_of,
)
from multilstm.spec import LSTM, ConvLSTM2D
from multilstm.spec.arrays import Array, State

GATES = ("i", "f", "c", "o")  # their order on the third axis of `LSTMRecord.gates`


@dataclasses.dataclass(frozen=True)
class LSTMRecord:
    """Values of one layer at every timestep, float64, in the order of processing.

    Attributes:
        inputs: `[timesteps, batch, features]`, masked timesteps set to zero.
        drop: the dropout masks of inputs and hidden states for each gate.
        keep: `[timesteps, batch, 1]`, False where masked; None without a mask.
        preactivations: `[timesteps, batch, 4, units]`: z of the gates i, f, c, o.
        gates: `[timesteps, batch, 4, units]`: the gates i, f, c, o after their activation.
        hidden: `[timesteps + 1, batch, units]`: the initial hidden state, then the one after every timestep.
        cell: `[timesteps + 1, batch, units]`: likewise the cell state.
        squashed: `[timesteps, batch, units]`: activation(cell).
        outputs: `[timesteps + 1, batch, units]`: zeros, then the output of every timestep.
    """

    inputs: Array
    drop: Factors
    keep: Array | None
    preactivations: Array
    gates: Array
    hidden: Array
    cell: Array
    squashed: Array
    outputs: Array

    @property
    def state(self) -> State:
        """The state after the last timestep, each `[batch, units]`."""
        return State(self.hidden[-1], self.cell[-1])

    @property
    def sequence(self) -> Array:
        """The outputs `[batch, timesteps, units]`, in the order of processing."""
        return self.outputs[1:].swapaxes(0, 1)


@dataclasses.dataclass(frozen=True)
class LSTMGradients:
    """Gradients of the loss.

    Attributes:
        inputs: `[batch, timesteps, features]`; zero in masked timesteps.
        weights: `kernel [features, 4 * units]`, `recurrent_kernel [units, 4 * units]` and, if used, `bias [4 * units]`.
        start: of the initial state, each `[batch, units]`.
    """

    inputs: Array
    weights: dict[str, Array]
    start: State


def forward(
    layer: LSTM | ConvLSTM2D,
    inputs: Array,
    mask: Array | None,
    weights: Mapping[str, Array],
    start: State | None,
    dropout: Mapping[str, Array],
) -> LSTMRecord:
    """Run `layer` over a batch of sequences.

    Args:
        layer: the layer.
        inputs: `[batch, timesteps, features]`.
        mask: boolean `[batch, timesteps]`, True where a timestep counts; or None.
        weights: its weights by name.
        start: its initial state, each `[batch, units]`; None: zeros.
        dropout: the masks `dropout` on its inputs and `recurrent_dropout` on its hidden states, each `[batch, size]`
            for all gates, or `[4, batch, size]`; without one nothing is dropped.
    """
    activation, recurrent = function_of(layer.activation).forward, function_of(layer.recurrent_activation).forward
    timesteps = inputs.shape[1]
    drop = Factors.of(layer, dropout, inputs.ndim - 1)
    of_inputs, of_hidden = products_of(layer, inputs.shape)
    x, keep = kept_inputs(layer, inputs, mask)

    z = of_inputs.to_gates(x, weights["kernel"], 4, drop.inputs)
    if layer.use_bias:
        z += weights["bias"].reshape(4, *[1] * (z.ndim - 4), layer.units)
    gates = np.empty_like(z)
    hidden = np.zeros((timesteps + 1, z.shape[1], *z.shape[3:]))
    cell, outputs, squashed = np.zeros_like(hidden), np.zeros_like(hidden), np.empty_like(hidden[1:])
    if start is not None:
        hidden[0], cell[0] = start

    for t in range(timesteps):
        z[t] += of_hidden.to_gates(hidden[t], weights["recurrent_kernel"], 4, drop.hidden)
        gates[t, :, :2] = recurrent(z[t, :, :2])
        gates[t, :, 2] = activation(z[t, :, 2])
        gates[t, :, 3] = recurrent(z[t, :, 3])
        i, f, g, o = gates[t].swapaxes(0, 1)
        new_cell = f * cell[t] + i * g
        squashed[t] = activation(new_cell)
        new_hidden = o * squashed[t]
        if keep is None:
            hidden[t + 1], cell[t + 1], outputs[t + 1] = new_hidden, new_cell, new_hidden
        else:
            hidden[t + 1] = np.where(keep[t], new_hidden, hidden[t])
            cell[t + 1] = np.where(keep[t], new_cell, cell[t])
            outputs[t + 1] = np.where(keep[t], new_hidden, 0.0 if layer.zero_output_for_mask else outputs[t])
    return LSTMRecord(x, drop, keep, z, gates, hidden, cell, squashed, outputs)


def backward(
    layer: LSTM | ConvLSTM2D,
    record: LSTMRecord,
    weights: Mapping[str, Array],
    d_outputs: Array | None,
    d_state: State,
    bias_sum: BiasSum = exact_bias_sum,
) -> LSTMGradients:
    """Return the gradients of the loss by backpropagation through time; `d_x` is the gradient of `x`.

    With `d_hidden` and `d_cell` arriving from the timestep after, one timestep that counts is

        d_hidden += d_output
        d_o = d_hidden * activation(cell);    d_cell += d_hidden * o * activation'(cell)
        d_i = d_cell * g;   d_g = d_cell * i;   d_f = d_cell * cell_before
        d_z = (d_i * i', d_f * f', d_g * g', d_o * o')                        [batch, 4, units]
        d_hidden_before = d_z @ recurrent_kernel.T;   d_cell_before = d_cell * f

    With dropout, each gate's share of `d_hidden_before` is multiplied by the gate's dropout mask. A masked timestep
    passes `d_hidden` and `d_cell` on unchanged. Its output repeats the output before, which gets its gradient.

    Args:
        layer: the layer.
        record: the result of `forward`.
        weights: the weights that `forward` took.
        d_outputs: `[batch, timesteps, units]` in the order of processing, or `[batch, units]` of the last output
            alone, as `layer.return_sequences` decides; None: no gradient.
        d_state: of the last state, each `[batch, units]` or None.
        bias_sum: adds the gradients `[timesteps, batch, 4 * units]` of the bias.
    """
    activation, recurrent = function_of(layer.activation).pullback, function_of(layer.recurrent_activation).pullback
    of_inputs, of_hidden = products_of(layer, record.inputs.swapaxes(0, 1).shape)
    d_each = at_each_timestep(layer, d_outputs, record.hidden[1:].shape)
    zeros = np.zeros(record.hidden.shape[1:])
    d_hidden, d_cell = (zeros if gradient is None else gradient for gradient in d_state)
    d_repeated = zeros  # of the output at t, from masked timesteps after t that repeat it
    d_z = np.empty_like(record.gates)

    for t in reversed(range(len(record.gates))):
        z, a = record.preactivations[t], record.gates[t]
        i, f, g, o = a.swapaxes(0, 1)
        d_output = d_each[t] + d_repeated
        d_h = d_hidden + d_output
        d_c = d_cell + activation(record.cell[t + 1], record.squashed[t], d_h * o)
        d_z[t, :, 0] = recurrent(z[:, 0], i, d_c * g)
        d_z[t, :, 1] = recurrent(z[:, 1], f, d_c * record.cell[t])
        d_z[t, :, 2] = activation(z[:, 2], g, d_c * i)
        d_z[t, :, 3] = recurrent(z[:, 3], o, d_h * record.squashed[t])
        if record.keep is not None:
            keep = record.keep[t]
            d_z[t] = np.where(keep[:, None], d_z[t], 0.0)
            d_repeated = np.where(keep, 0.0, 0.0 if layer.zero_output_for_mask else d_output)
        d_hidden_before = of_hidden.from_gates(d_z[t], weights["recurrent_kernel"], record.drop.hidden)
        d_cell_before = d_c * f
        if record.keep is not None:
            d_hidden_before = np.where(keep, d_hidden_before, d_hidden)
            d_cell_before = np.where(keep, d_cell_before, d_cell)
        d_hidden, d_cell = d_hidden_before, d_cell_before

    d_x = of_inputs.from_gates(d_z, weights["kernel"], record.drop.inputs)
    return LSTMGradients(
        d_x[in_order(layer)].swapaxes(0, 1), _d_weights(layer, record, d_z, bias_sum), State(d_hidden, d_cell)
    )


def _d_weights(layer: LSTM | ConvLSTM2D, record: LSTMRecord, d_z: Array, bias_sum: BiasSum) -> dict[str, Array]:
    """Return the gradients of the weights by name; `d_z [timesteps, batch, 4, units]` is that of the preactivations."""
    of_inputs, of_hidden = products_of(layer, record.inputs.swapaxes(0, 1).shape)
    d_weights = {
        "kernel": of_inputs.d_kernel(record.inputs, d_z, record.drop.inputs),
        "recurrent_kernel": of_hidden.d_kernel(record.hidden[:-1], d_z, record.drop.hidden),
    }
    if layer.use_bias:
        of_rows = d_z.sum(axis=tuple(range(3, d_z.ndim - 1)))  # over rows and columns
        d_weights["bias"] = bias_sum(of_rows.reshape(*of_rows.shape[:2], 4 * layer.units))
    return d_weights
