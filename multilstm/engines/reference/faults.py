"""Faults of plain Keras that the reference computes on request, so that the ledger can predict an engine's answer.

A job names the faults. Without a name the reference computes exactly what its other modules define. The row of the
ledger with the same `prediction` describes each fault for a user, and its reproducer shows it without this package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Set
from typing import Any, TypeVar

import numpy as np

from multilstm.engines.reference.gates import BiasSum, exact_bias_sum
from multilstm.engines.reference.hidden_state import HiddenRecord
from multilstm.engines.reference.lstm import LSTMRecord
from multilstm.spec import Activation, ConvLSTM2D, Cropping1D, Dense, Graph, Layer, Permute, Ref, Reshape
from multilstm.spec.arrays import Array
from multilstm.spec.layers import Recurrent
from multilstm.spec.shapes import Shape

MASK_IS_DROPPED = "mask_is_dropped"
START_IS_RETURNED = "start_is_returned"
ZERO_OUTPUT_IS_IGNORED = "zero_output_is_ignored"
ZEROED_IN_WRONG_ORDER = "zeroed_in_wrong_order"
BIAS_SUM_IS_BFLOAT16 = "bias_sum_is_bfloat16"
TOKENS_ARE_SQUARED_APART = "tokens_are_squared_apart"
LOSS_OF_LOGITS = "loss_of_logits"
ENDS_ARE_REPEATED = "ends_are_repeated"
MASK_IS_KEPT = "mask_is_kept"
TIMESTEPS_ARE_CUT = "timesteps_are_cut"
NUMBERS_ARE_ROUNDED = "numbers_are_rounded"
SOFTPLUS_ENDS = "softplus_ends"
PADDING_IS_COUNTED = "padding_is_counted"

FAULTS = {
    MASK_IS_DROPPED: "a recurrent layer to which an initial state is given ignores its mask",
    START_IS_RETURNED: "masked timesteps at the beginning return the initial hidden state",
    ZERO_OUTPUT_IS_IGNORED: "an unrolled recurrent layer ignores zero_output_for_mask",
    ZEROED_IN_WRONG_ORDER: "an unrolled layer that runs backwards zeroes the masked timesteps of the order of time",
    BIAS_SUM_IS_BFLOAT16: "the gradient of a bias is a running sum in bfloat16",
    TOKENS_ARE_SQUARED_APART: "an optimizer squares the gradient of each occurrence of a token, and adds the squares",
    LOSS_OF_LOGITS: "categorical_crossentropy is the softmax cross-entropy of the values before the last activation",
    ENDS_ARE_REPEATED: "average pooling with padding 'same' pads with copies of the ends, where the padding is odd",
    MASK_IS_KEPT: "a Reshape, Permute or Cropping1D that changes nothing passes its mask on",
    TIMESTEPS_ARE_CUT: "a TimeDistributed of any batch size and timesteps returns as many timesteps as sequences",
    NUMBERS_ARE_ROUNDED: "numbers of activations, layers, regularizers and optimizers are rounded to float32",
    SOFTPLUS_ENDS: "softplus is the identity above 20, and the slope of hard_sigmoid is 1/6 rounded to float32",
}
# The semantics of older versions of Keras, which no row of the ledger predicts.
SEMANTICS = {PADDING_IS_COUNTED: "the mean of a masked loss counts masked timesteps, each as zero, as in Keras 2.3"}
Maybe = Array | None
R = TypeVar("R", LSTMRecord, HiddenRecord)


@dataclasses.dataclass(frozen=True)
class RecurrentFault:
    """The changed outputs of one call of a recurrent layer. Its states are right.

    Attributes:
        layer: the layer that the reference computes instead.
        started: boolean `[batch, timesteps, 1, ...]` in the order of processing, True where the output is the initial
            hidden state; None: nowhere.
        zeroed: likewise where the output is zero.
    """

    layer: Recurrent
    started: Maybe = None
    zeroed: Maybe = None

    def changed(self, record: R) -> R:
        """Return the record of `layer` with the changed outputs."""
        outputs = record.outputs.copy()
        if self.started is not None:
            outputs[1:] = np.where(self.started.swapaxes(0, 1), record.hidden[0], outputs[1:])
        if self.zeroed is not None:
            outputs[1:] = np.where(self.zeroed.swapaxes(0, 1), 0.0, outputs[1:])
        return dataclasses.replace(record, outputs=outputs)

    def of_outputs(self, d_outputs: Maybe) -> Maybe:
        """Return the gradient of the outputs of `layer` for that of the changed outputs."""
        if d_outputs is None or self.zeroed is None:
            return d_outputs
        return np.where(self.zeroed, 0.0, d_outputs)

    def of_start(self, d_outputs: Maybe) -> Array | float:
        """Return the gradient of the initial hidden state through the changed outputs, of its shape."""
        if d_outputs is None or self.started is None:
            return 0.0
        if not self.layer.return_sequences:
            return np.where(self.started[:, -1], d_outputs, 0.0)
        through: Array = np.where(self.started, d_outputs, 0.0).sum(axis=1)
        return through


def recurrent_fault(layer: Recurrent, mask: Maybe, faults: Set[str]) -> RecurrentFault:
    """Return the change of one call of a recurrent layer.

    Args:
        layer: the layer.
        mask: its mask `[batch, timesteps]`, or None.
        faults: names of `FAULTS`.
    """
    if mask is None:
        return RecurrentFault(layer)
    unrolled = layer.unroll and layer.zero_output_for_mask
    changes: dict[str, Any] = {"zero_output_for_mask": False}
    repeating: Recurrent = dataclasses.replace(layer, **changes)
    if unrolled and ZERO_OUTPUT_IS_IGNORED in faults:
        return RecurrentFault(repeating)
    if unrolled and layer.go_backwards and layer.return_sequences and ZEROED_IN_WRONG_ORDER in faults:
        return RecurrentFault(repeating, zeroed=_of_states(layer, ~mask))
    if not layer.unroll and not layer.zero_output_for_mask and START_IS_RETURNED in faults:
        processed = mask[:, ::-1] if layer.go_backwards else mask
        return RecurrentFault(layer, started=_of_states(layer, np.cumsum(processed, axis=1) == 0))
    return RecurrentFault(layer)


def _of_states(layer: Recurrent, flags: Array) -> Array:
    """Return flags `[batch, timesteps]` with axes for those of a state after the batch."""
    return flags.reshape(*flags.shape, *[1] * (3 if isinstance(layer, ConvLSTM2D) else 1))


def share_of_loss(output: Array, mask: Maybe, faults: Set[str]) -> float:
    """Return the factor of the loss of an output: the share of its unmasked timesteps, where padding is counted."""
    is_masked = mask is not None and mask.ndim == output.ndim - 1
    return float(mask.mean()) if mask is not None and is_masked and PADDING_IS_COUNTED in faults else 1.0


def bias_sum(faults: Set[str]) -> BiasSum:
    """Return the function that adds the gradients `[timesteps, batch, size]` of a bias to `[size]`."""
    return _bfloat16_sum if BIAS_SUM_IS_BFLOAT16 in faults else exact_bias_sum


def _bfloat16_sum(terms: Array) -> Array:
    """Add the sequences of each timestep in bfloat16, and then the timesteps."""
    total = np.zeros(terms.shape[-1], np.float32)
    for rows in terms[::-1].astype(np.float32):
        of_timestep = np.zeros_like(total)
        for row in bfloat16(rows):
            of_timestep = bfloat16(of_timestep + row)
        total = bfloat16(total + of_timestep)
    return total.astype(np.float64)


def bfloat16(array: Array) -> Array:
    """Return a float32 array rounded to bfloat16, the upper half of its bits."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def logits_of(spec: Graph, faults: Set[str], loss: str | None) -> dict[Ref, str]:
    """Return the outputs whose loss is computed before their activation, with the activation's name."""
    if LOSS_OF_LOGITS not in faults or loss != "categorical_crossentropy":
        return {}
    calls = [call.layer for call in spec.calls]
    read = {ref for call in spec.calls for ref in (*call.inputs, *call.initial_state)}
    activations: dict[Ref, str] = {}
    for ref in spec.outputs:
        name = calls[ref.call]
        layer: Any = spec.layer(name)
        alone = calls.count(name) == 1 and ref not in read
        if alone and isinstance(layer, (Dense, Activation)) and layer.activation in ("softmax", "sigmoid"):
            activations[ref] = layer.activation
    return activations


def with_logits(spec: Graph, logits: dict[Ref, str]) -> Graph:
    """Return the model with linear outputs in place of those in `logits`."""
    names = {spec.calls[ref.call].layer for ref in logits}
    layers = (
        dataclasses.replace(layer, activation="linear") if layer.name in names else layer  # type: ignore[call-arg]
        for layer in spec.layers
    )
    return dataclasses.replace(spec, layers=tuple(layers))


def changes_nothing(layer: Layer, inputs: Shape) -> bool:
    """Whether a Reshape, Permute or Cropping1D returns its input."""
    if isinstance(layer, Permute):
        return list(layer.dims) == sorted(layer.dims)
    return isinstance(layer, Reshape | Cropping1D) and layer.output_shapes(inputs) == (inputs,)


def faults_of_call(faults: Set[str], inputs: Shape) -> Set[str]:
    """Return the faults of one call; a TimeDistributed cuts only sequences whose batch size and length are open.

    Args:
        faults: names of `FAULTS`.
        inputs: the shape of the call's first input in the model.
    """
    return faults if inputs[:2] == (None, None) else faults - {TIMESTEPS_ARE_CUT}


def with_masks_kept(spec: Graph, faults: Set[str]) -> Graph:
    """Return the model with an identity that passes its mask on in place of each layer that changes nothing."""
    if MASK_IS_KEPT not in faults:
        return spec
    layers = (
        Activation("linear", name=layer.name)
        if changes_nothing(layer, spec.layer_inputs.get(str(layer.name), ()))
        else layer
        for layer in spec.layers
    )
    return dataclasses.replace(spec, layers=tuple(layers))
