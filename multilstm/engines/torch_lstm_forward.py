"""Forward pass of the engine `torch-lstm`: the walk through the graph, and the LSTMs.

The gates of `torch.nn.LSTM` have the same slots as Keras's (i, f, g, o against i, f, c, o). Its matrices are
transposed, and it adds two biases; the second is zero here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, final

import torch

from multilstm.engines.torch_lstm_layers import Given, apply
from multilstm.errors import UnsupportedError
from multilstm.frameworks import torch as torch_platform
from multilstm.frameworks.kernels import of_aten
from multilstm.spec import LSTM, Bidirectional, Call, Embedding, Graph, Layer
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import EPSILON
from multilstm.spec.propagation import walk

Tensors = list[Any]


@final
class LSTMModules:
    """One `torch.nn.LSTM` for every LSTM of a model.

    Attributes:
        dtype: of their parameters.
        kernels: the kernels that PyTorch dispatched for them.
    """

    def __init__(self, spec: Graph, device: Any, dtype: Any) -> None:
        self.dtype = dtype
        self.kernels: set[str] = set()
        self._watched: set[tuple[Any, ...]] = set()  # the kinds of calls whose kernel is known
        self._modules = {
            name: torch.nn.LSTM(
                spec.weight_shapes[f"{name}/kernel"][0], lstm.units, bias=lstm.use_bias, batch_first=True
            ).to(device, dtype)
            for name, lstm in spec.lstms.items()
        }

    def parameter_counts(self) -> dict[str, int]:
        """Return PyTorch's counts by LSTM, without the second bias of 4 * units, which is zero and not trained."""
        return {
            name: sum(array.numel() for key, array in module.named_parameters() if not key.startswith("bias_hh"))
            for name, module in self._modules.items()
        }

    def call(self, name: str, weights: Mapping[str, Any], sequence: Any, start: State) -> tuple[Any, State]:
        """Run one LSTM over a batch of sequences, and note its kernel.

        Args:
            name: of the LSTM.
            weights: all weights of the model by `layer/weight`, in Keras's layout.
            sequence: `[batch, timesteps, features]`, in the order of processing.
            start: the initial state, each `[batch, units]`.

        Returns:
            The outputs `[batch, timesteps, units]`, and the state after the last timestep.
        """
        # All parameters are copies: cuDNN moves them into one block of memory, and accepts no transposed view. The
        # second bias is new and zero in every call, so that nothing can train it.
        parameters = {
            f"weight_{short}_l0": weights[f"{name}/{weight}"].T.clone(memory_format=torch.contiguous_format)
            for short, weight in (("ih", "kernel"), ("hh", "recurrent_kernel"))
        }
        module = self._modules[name]
        if module.bias:
            bias = weights[f"{name}/bias"].clone()
            parameters |= {"bias_ih_l0": bias, "bias_hh_l0": torch.zeros_like(bias)}
        arguments = sequence.contiguous(), tuple(state[None].contiguous() for state in start)
        call = functools.partial(torch.func.functional_call, module, parameters, arguments)
        kind = name, sequence.shape, torch.is_grad_enabled()
        if kind in self._watched:
            outputs, last = call()
        else:
            (outputs, last), operators = torch_platform.watch(call)
            self.kernels.add(of_aten(operators))
            self._watched.add(kind)
        return outputs, State(*(state[0] for state in last))


@final
class ForwardPass:
    """One pass of a batch through a model.

    Args:
        spec: the model.
        weights: all weights by `layer/weight`, in Keras's layout.
        modules: the LSTMs of the model.
        starts: initial states by LSTM; an LSTM without one starts with the state that the graph passes, or at zero.
        dropout: the factor of each Dropout layer by its name; in training only.
        training: whether gradients are computed.

    Attributes:
        statistics: in training, the weights that an update sets to statistics of the batch.
        sequences: for every LSTM with return_sequences, its output.
        last_outputs: for every other LSTM, its output.
        states: for every LSTM, its state after the last timestep.
    """

    def __init__(
        self,
        spec: Graph,
        weights: Mapping[str, Any],
        modules: LSTMModules,
        starts: Mapping[str, State],
        dropout: Mapping[str, Any],
        training: bool = False,
    ) -> None:
        self._spec, self._weights, self._modules, self._dropout = spec, weights, modules, dropout
        self._training = training
        self.statistics: dict[str, Any] = {}
        self._starts = dict(starts)
        self.sequences: dict[str, Any] = {}
        self.last_outputs: dict[str, Any] = {}
        self.states: dict[str, State] = {}

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
            return [apply(layer, given)]
        if masks[0] is not None:
            raise UnsupportedError(
                f"torch-lstm: {type(layer).__name__} {call.layer!r} is given a mask, which torch.nn.LSTM does "
                f"not know; leave the engine torch-lstm out for this model, or the mask out of the inputs"
            )
        return self._recurrent(layer, call.layer, tensors[0], passed)

    @functools.singledispatchmethod
    def _recurrent(self, layer: Layer, name: str, sequence: Any, passed: Tensors) -> Tensors:
        raise UnsupportedError(f"torch-lstm: it does not execute {type(layer).__name__} ({name!r})")

    @_recurrent.register
    def _(self, layer: LSTM, name: str, sequence: Any, passed: Tensors) -> Tensors:
        return self._lstm(name, sequence, passed)[: layer.output_count]

    @_recurrent.register
    def _(self, layer: Bidirectional, name: str, sequence: Any, passed: Tensors) -> Tensors:
        forward, *forward_state = self._lstm(f"{name}/forward", sequence, passed[:2])
        backward, *backward_state = self._lstm(f"{name}/backward", sequence, passed[2:])
        if layer.layer.return_sequences:
            backward = backward.flip(1)
        merged = _merge(layer.merge_mode, forward, backward)
        return [*merged, *forward_state, *backward_state][: layer.output_count]

    def _float(self, tensor: Any) -> Any:
        """Return the tensor in the dtype of the weights; tokens may enter any layer."""
        return tensor.to(self._modules.dtype)

    def _lstm(self, name: str, inputs: Any, passed: Tensors) -> Tensors:
        """Return output, hidden state and cell state of one LSTM, and record them."""
        layer = self._spec.lstms[name]
        start = self._starts.get(name, State(*passed) if passed else None)
        if start is None:
            zeros = inputs.new_zeros(len(inputs), layer.units)
            start = State(zeros, zeros)
        sequence = inputs.flip(1) if layer.go_backwards else inputs
        outputs, state = self._modules.call(name, self._weights, sequence, start)
        self.states[name] = state
        if layer.stateful:  # a second call of a shared layer continues here
            self._starts[name] = State(*(array.detach() for array in state))
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
