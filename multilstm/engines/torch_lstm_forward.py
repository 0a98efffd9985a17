"""Forward pass of the engine `torch-lstm`: the walk through the graph, and the states of recurrent layers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Protocol, final

import torch

from multilstm.engines.torch_lstm_layers import Given, apply
from multilstm.engines.torch_lstm_modules import module_name
from multilstm.errors import UnsupportedError
from multilstm.spec import Bidirectional, Call, Embedding, Graph, Layer
from multilstm.spec.arrays import AnyState, as_state
from multilstm.spec.layers import Recurrent
from multilstm.spec.optimizers import EPSILON
from multilstm.spec.propagation import walk

Tensors = list[Any]


class Modules(Protocol):
    """The recurrent modules of a model: `RecurrentModules`, or modules that own their weights.

    Attributes:
        dtype: of their parameters.
    """

    dtype: Any

    def call(self, name: str, weights: Mapping[str, Any], sequence: Any, start: AnyState) -> tuple[Any, AnyState]:
        """See `RecurrentModules.call`."""


@final
class ForwardPass:
    """One pass of a batch through a model.

    Args:
        spec: the model.
        weights: all weights by `layer/weight`, in Keras's layout.
        modules: the recurrent modules of the model.
        starts: initial states by recurrent layer; a layer without one starts with the state that the graph passes, or
            at zero.
        dropout: the factor of each Dropout layer by its name; in training only.
        training: whether gradients are computed.

    Attributes:
        statistics: in training, the weights that an update sets to statistics of the batch.
        sequences: for every recurrent layer with return_sequences, its output.
        last_outputs: for every other recurrent layer, its output.
        states: for every recurrent layer, its state after the last timestep.
        activity: the penalties of activities, which the loss contains.
    """

    def __init__(
        self,
        spec: Graph,
        weights: Mapping[str, Any],
        modules: Modules,
        starts: Mapping[str, AnyState],
        dropout: Mapping[str, Any],
        training: bool = False,
    ) -> None:
        self._spec, self._weights, self._modules, self._dropout = spec, weights, modules, dropout
        self._training = training
        self.statistics: dict[str, Any] = {}
        self._starts = dict(starts)
        self.sequences: dict[str, Any] = {}
        self.last_outputs: dict[str, Any] = {}
        self.states: dict[str, AnyState] = {}
        self.activity: Any = 0.0

    def run(self, inputs: Mapping[str, Any], masks: Mapping[str, Any]) -> tuple[Tensors, Tensors]:
        """Return the model's outputs, and their masks (None where there is none)."""
        tensors, tensor_masks = walk(self._spec, inputs, masks, self._apply)
        return [tensors[ref] for ref in self._spec.outputs], [tensor_masks[ref] for ref in self._spec.outputs]

    def _apply(self, call: Call, layer: Layer, inputs: Tensors, masks: Tensors, passed: Tensors) -> Tensors:
        """Return the outputs of one call of a layer, `passed` being the initial states that the graph passes to it."""
        tensors = [tensor if isinstance(layer, Embedding) else self._float(tensor) for tensor in inputs]
        if not layer.state_names:
            weights = {**self._weights, **self.statistics}
            given = Given(call.layer, tensors, masks, weights, self._dropout, self._training, self.statistics)
            output = apply(layer, given)
            if layer.activity is not None:
                self.activity = self.activity + layer.activity(output) / len(output)
            return [output]
        if masks[0] is not None:
            name = module_name(next(iter(layer.recurrent.values())))
            raise UnsupportedError(
                f"torch-lstm: {type(layer).__name__} {call.layer!r} is given a mask, which {name} does not know; leave "
                f"the engine torch-lstm out for this model, or the mask out of the inputs"
            )
        return self._recurrent(layer, call.layer, tensors[0], passed)

    @functools.singledispatchmethod
    def _recurrent(self, layer: Layer, name: str, sequence: Any, passed: Tensors) -> Tensors:
        raise UnsupportedError(f"torch-lstm: it does not execute {type(layer).__name__} ({name!r})")

    @_recurrent.register
    def _(self, layer: Recurrent, name: str, sequence: Any, passed: Tensors) -> Tensors:
        return self._run(name, sequence, passed)[: layer.output_count]

    @_recurrent.register
    def _(self, layer: Bidirectional, name: str, sequence: Any, passed: Tensors) -> Tensors:
        half = len(passed) // 2
        forward, *forward_state = self._run(f"{name}/forward", sequence, passed[:half])
        backward, *backward_state = self._run(f"{name}/backward", sequence, passed[half:])
        if layer.layer.return_sequences:
            backward = backward.flip(1)
        merged = _merge(layer.merge_mode, forward, backward)
        return [*merged, *forward_state, *backward_state][: layer.output_count]

    def _float(self, tensor: Any) -> Any:
        """Return the tensor in the dtype of the weights; tokens may enter any layer."""
        return tensor.to(self._modules.dtype)

    def _run(self, name: str, inputs: Any, passed: Tensors) -> Tensors:
        """Return the output and the states of one recurrent layer, and record them."""
        layer = self._spec.recurrent[name]
        start = self._starts.get(name, as_state(*passed) if passed else None)
        if start is None:
            start = layer.zero_state(inputs.new_zeros(len(inputs), layer.units))
        sequence = inputs.flip(1) if layer.go_backwards else inputs
        outputs, state = self._modules.call(name, self._weights, sequence, start)
        self.states[name] = state
        if layer.stateful:  # a second call of a shared layer continues here
            self._starts[name] = as_state(*(array.detach() for array in state))
        output = outputs if layer.return_sequences else outputs[:, -1]
        (self.sequences if layer.return_sequences else self.last_outputs)[name] = output
        return [output, *state]


def _merge(mode: str | None, forward: Any, backward: Any) -> Tensors:
    if mode is None:
        return [forward, backward]
    if mode == "concat":
        return [torch.cat([forward, backward], dim=-1)]
    if mode == "mul":
        return [forward * backward]
    return [forward + backward if mode == "sum" else (forward + backward) / 2]


def loss_value(loss: str, output: Any, target: Any, mask: Any) -> Any:
    """Return the loss of one output (`reference.losses.loss_and_gradient` has the equations)."""
    masked = mask is not None and mask.ndim == output.ndim - 1
    if masked:
        output = torch.where(mask[..., None], output, 1.0)
        target = torch.where(mask[..., None], target, 1.0)
    if loss == "mean_squared_error":
        values = ((output - target) ** 2).mean(-1)
    else:
        p = (output / output.sum(-1, keepdim=True)).clip(EPSILON, 1.0 - EPSILON)
        values = -(target * p.log()).sum(-1)
    return (values * mask).sum() / mask.sum().clip(1) if masked else values.mean()
