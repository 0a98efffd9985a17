"""GRU and SimpleRNN of the reference: layers whose only state is their output, forward in time and back.

Time is the first axis in this file: `[timesteps, batch, ...]`, in the order of processing (reversed by go_backwards).
The equations are those of `multilstm.spec.GRU` and `multilstm.spec.SimpleRNN`. A cell computes one timestep and returns
the way back through it; the pass back over all timesteps is backpropagation through time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import NamedTuple

import numpy as np

from multilstm.engines.reference.activations import function_of
from multilstm.engines.reference.gates import (
    BiasSum,
    Factors,
    at_each_timestep,
    d_kernel,
    exact_bias_sum,
    from_gates,
    in_order,
    kept_inputs,
    to_gates,
)
from multilstm.spec import GRU, SimpleRNN
from multilstm.spec.arrays import Array, HiddenState
from multilstm.spec.layers import Recurrent


class Pulled(NamedTuple):
    """Gradients of one timestep.

    Attributes:
        inputs: of `x @ kernel + bias`, `[batch, gates, units]`.
        products: of the products with the recurrent kernel, `[batch, gates, units]`.
        hidden: of the hidden state before, `[batch, units]`.
    """

    inputs: Array
    products: Array
    hidden: Array


class Step(NamedTuple):
    """One timestep.

    Attributes:
        hidden: the new hidden state `[batch, units]`.
        factors: for each gate, the array that met its part of the recurrent kernel, `[batch, units]`.
        pull: maps the gradient of the new hidden state to `Pulled`.
    """

    hidden: Array
    factors: list[Array]
    pull: Callable[[Array], Pulled]


# cell(inputs [batch, gates, units] with their bias, hidden [batch, units]) -> one timestep
Cell = Callable[[Array, Array], Step]


@dataclasses.dataclass(frozen=True)
class HiddenRecord:
    """Values of one layer at every timestep, float64, in the order of processing.

    Attributes:
        inputs: `[timesteps, batch, features]`, masked timesteps set to zero.
        drop: the dropout masks of inputs and hidden states for each gate.
        keep: `[timesteps, batch, 1]`, False where masked; None without a mask.
        steps: what each timestep computed, masked or not.
        hidden: `[timesteps + 1, batch, units]`: the initial hidden state, then the one after every timestep.
        outputs: `[timesteps + 1, batch, units]`: zeros, then the output of every timestep.
    """

    inputs: Array
    drop: Factors
    keep: Array | None
    steps: tuple[Step, ...]
    hidden: Array
    outputs: Array

    @property
    def state(self) -> HiddenState:
        """The state after the last timestep, `[batch, units]`."""
        return HiddenState(self.hidden[-1])

    @property
    def sequence(self) -> Array:
        """The outputs `[batch, timesteps, units]`, in the order of processing."""
        return self.outputs[1:].swapaxes(0, 1)


@dataclasses.dataclass(frozen=True)
class HiddenGradients:
    """Gradients of the loss.

    Attributes:
        inputs: `[batch, timesteps, features]`; zero in masked timesteps.
        weights: by name, each of the weight's shape.
        start: of the initial state, `[batch, units]`.
    """

    inputs: Array
    weights: dict[str, Array]
    start: HiddenState


@singledispatch
def cell_of(layer: Recurrent, weights: Mapping[str, Array], drop: Array | None) -> Cell:
    """Return the function that computes one timestep of `layer`.

    Args:
        layer: a GRU or a SimpleRNN.
        weights: its weights by name.
        drop: the dropout masks of the hidden state, `[gates, batch, units]`, or None.
    """
    raise NotImplementedError(type(layer))


@cell_of.register
def _(layer: SimpleRNN, weights: Mapping[str, Array], drop: Array | None) -> Cell:
    kernel, activation = weights["recurrent_kernel"], function_of(layer.activation)
    kept = 1.0 if drop is None else drop[0]

    def step(inputs: Array, hidden: Array) -> Step:
        factor = hidden * kept
        z = inputs[:, 0] + factor @ kernel
        after = activation.forward(z)

        def pull(d_after: Array) -> Pulled:
            d_z = activation.pullback(z, after, d_after)
            return Pulled(d_z[:, None], d_z[:, None], d_z @ kernel.T * kept)

        return Step(after, [factor], pull)

    return step


@cell_of.register
def _(layer: GRU, weights: Mapping[str, Array], drop: Array | None) -> Cell:
    """Return the cell.

    Its way back, with `d` the gradient of the new hidden state, is

        d_g = d * (1 - z);   d_z = d * (hidden - g);   d_a = activation'(d_g)
        d_r = d_a * h_h,  d_h_h = d_a * r                                   with reset_after
        d_q = d_a @ recurrent_kernel_h.T;   d_r = d_q * hidden               without; q = r * hidden
        d_hidden = d * z + the gradients through the three products
    """
    activation, recurrent = function_of(layer.activation), function_of(layer.recurrent_activation)
    of_z, of_r, of_h = np.split(weights["recurrent_kernel"], 3, axis=1)
    bias = weights["bias"][1].reshape(3, -1) if layer.use_bias and layer.reset_after else np.zeros((3, 1))
    kept = np.ones((3, 1, 1)) if drop is None else drop

    def step(inputs: Array, hidden: Array) -> Step:
        factors = list(hidden * kept)
        z_before = inputs[:, 0] + factors[0] @ of_z + bias[0]
        r_before = inputs[:, 1] + factors[1] @ of_r + bias[1]
        z, r = recurrent.forward(z_before), recurrent.forward(r_before)
        dropped = factors[2]
        if layer.reset_after:
            product = dropped @ of_h + bias[2]
            before = inputs[:, 2] + r * product
        else:
            factors[2] = r * dropped
            before = inputs[:, 2] + factors[2] @ of_h
        g = activation.forward(before)

        def pull(d: Array) -> Pulled:
            d_before = activation.pullback(before, g, d * (1.0 - z))
            if layer.reset_after:
                d_product, d_r = d_before * r, d_before * product
                d_dropped = d_product @ of_h.T
            else:
                d_product, d_factor = d_before, d_before @ of_h.T
                d_r, d_dropped = d_factor * dropped, d_factor * r
            d_z_before = recurrent.pullback(z_before, z, d * (hidden - g))
            d_r_before = recurrent.pullback(r_before, r, d_r)
            d_hidden = d * z + d_z_before @ of_z.T * kept[0] + d_r_before @ of_r.T * kept[1] + d_dropped * kept[2]
            return Pulled(
                np.stack([d_z_before, d_r_before, d_before], 1),
                np.stack([d_z_before, d_r_before, d_product], 1),
                d_hidden,
            )

        return Step(z * hidden + (1.0 - z) * g, factors, pull)

    return step


def forward(
    layer: Recurrent,
    inputs: Array,
    mask: Array | None,
    weights: Mapping[str, Array],
    start: HiddenState | None,
    dropout: Mapping[str, Array],
) -> HiddenRecord:
    """Run `layer` over a batch of sequences.

    Args:
        layer: a GRU or a SimpleRNN.
        inputs: `[batch, timesteps, features]`.
        mask: boolean `[batch, timesteps]`, True where a timestep counts; or None.
        weights: its weights by name.
        start: its initial state, `[batch, units]`; None: zeros.
        dropout: the masks `dropout` on its inputs and `recurrent_dropout` on its hidden states, each `[batch, size]`
            for all gates, or `[gates, batch, size]`; without one nothing is dropped.
    """
    batch, timesteps, _ = inputs.shape
    drop = Factors.of(layer, dropout)
    x, keep = kept_inputs(layer, inputs, mask)
    z = to_gates(x, weights["kernel"], layer.gate_count, drop.inputs)
    if layer.use_bias:
        z = z + weights["bias"].reshape(-1, layer.gate_count, layer.units)[0]
    cell = cell_of(layer, weights, drop.hidden)
    hidden = np.zeros((timesteps + 1, batch, layer.units))
    outputs = np.zeros_like(hidden)
    if start is not None:
        hidden[0] = start.hidden
    steps = []
    for t in range(timesteps):
        step = cell(z[t], hidden[t])
        steps.append(step)
        if keep is None:
            hidden[t + 1] = outputs[t + 1] = step.hidden
        else:
            hidden[t + 1] = np.where(keep[t], step.hidden, hidden[t])
            outputs[t + 1] = np.where(keep[t], step.hidden, 0.0 if layer.zero_output_for_mask else outputs[t])
    return HiddenRecord(x, drop, keep, tuple(steps), hidden, outputs)


def backward(
    layer: Recurrent,
    record: HiddenRecord,
    weights: Mapping[str, Array],
    d_outputs: Array | None,
    d_state: HiddenState,
    bias_sum: BiasSum = exact_bias_sum,
) -> HiddenGradients:
    """Return the gradients of the loss by backpropagation through time.

    A masked timestep passes the gradient of the hidden state on unchanged. Its output repeats the output before, which
    gets its gradient.

    Args:
        layer: a GRU or a SimpleRNN.
        record: the result of `forward`.
        weights: the weights that `forward` took.
        d_outputs: `[batch, timesteps, units]` in the order of processing, or `[batch, units]` of the last output
            alone, as `layer.return_sequences` decides; None: no gradient.
        d_state: of the last state, `[batch, units]` or None.
        bias_sum: adds the gradients `[timesteps, batch, gates * units]` of the bias of the inputs.
    """
    timesteps, batch, units = record.hidden[1:].shape
    d_each = at_each_timestep(layer, d_outputs, (timesteps, batch, units))
    zeros = np.zeros((batch, units))
    d_hidden = zeros if d_state.hidden is None else d_state.hidden
    d_repeated = zeros  # of the output at t, from masked timesteps after t that repeat it
    d_z = np.zeros((timesteps, batch, layer.gate_count, units))
    d_products = np.zeros_like(d_z)
    for t in reversed(range(timesteps)):
        d_output = d_each[t] + d_repeated
        d_z[t], d_products[t], d_before = record.steps[t].pull(d_hidden + d_output)
        if record.keep is not None:
            keep = record.keep[t]
            d_z[t], d_products[t] = (np.where(keep[..., None], d, 0.0) for d in (d_z[t], d_products[t]))
            d_before = np.where(keep, d_before, d_hidden)
            d_repeated = np.where(keep, 0.0, 0.0 if layer.zero_output_for_mask else d_output)
        d_hidden = d_before
    d_x = from_gates(d_z, weights["kernel"], record.drop.inputs)
    d_weights = _d_weights(layer, record, d_z, d_products, bias_sum)
    return HiddenGradients(d_x[in_order(layer)].swapaxes(0, 1), d_weights, HiddenState(d_hidden))


def _d_weights(
    layer: Recurrent, record: HiddenRecord, d_z: Array, d_products: Array, bias_sum: BiasSum
) -> dict[str, Array]:
    """Return the gradients of the weights by name; a GRU with reset_after has a bias of the products too."""
    d_recurrent = np.zeros((layer.units, layer.gate_count, layer.units))
    for step, d_step in zip(record.steps, d_products, strict=True):
        for gate, factor in enumerate(step.factors):
            d_recurrent[:, gate] += factor.T @ d_step[:, gate]
    d_weights = {
        "kernel": d_kernel(record.inputs, d_z, record.drop.inputs),
        "recurrent_kernel": d_recurrent.reshape(layer.units, -1),
    }
    if layer.use_bias:
        flat, of_products = (d.reshape(*d.shape[:2], layer.gate_count * layer.units) for d in (d_z, d_products))
        both = len(layer.bias_shape) == 2
        d_weights["bias"] = np.stack([bias_sum(flat), exact_bias_sum(of_products)]) if both else bias_sum(flat)
    return d_weights
