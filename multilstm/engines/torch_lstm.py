"""An independent witness: the same models by `torch.nn.LSTM`, with gradients by autograd.

The gates of torch stand in the same slots as Keras's (i, f, g, o against i, f, c, o), its matrices are transposed, and
it adds two biases, of which the second is held at zero here. It knows tanh and sigmoid only, no masks, and no dropout
inside the recurrence; what else a spec asks of an LSTM is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's custom

from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.errors import UnsupportedError
from multilstm.frameworks import torch as torch_platform
from multilstm.frameworks.kernels import of_aten
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec import (
    LSTM,
    Activation,
    Bidirectional,
    Call,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Layer,
    Masking,
    RepeatVector,
    TimeDistributed,
)
from multilstm.spec.arrays import Array, State
from multilstm.spec.optimizers import EPSILON
from multilstm.spec.propagation import walk

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softmax": lambda z: torch.softmax(z, dim=-1),
    "hard_sigmoid": lambda z: F.relu6(z + 3) / 6,  # the gradient of F.hardsigmoid takes 1 / 6 from float32
    "elu": F.elu,
    "selu": F.selu,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),  # F.softplus is the identity above 20
    "softsign": F.softsign,
    "exponential": torch.exp,
    "silu": F.silu,
    "gelu": F.gelu,
    "leaky_relu": lambda z: F.leaky_relu(z, 0.2),
    "relu6": F.relu6,
}


@final
class TorchLSTMEngine(AbstractEngine):
    """Executes specs whose LSTMs `torch.nn.LSTM` can express."""

    platform = torch_platform

    def __init__(self) -> None:
        torch_platform.set_tf32(False)

    def prepare(self, job: Job) -> TorchLSTMProgram:
        """A program on the CPU, or on a CUDA device."""
        for name, lstm in job.spec.lstms.items():
            for argument, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
                if getattr(lstm, argument) != expected:
                    raise UnsupportedError(
                        f"torch-lstm: LSTM {name!r} has {argument}={getattr(lstm, argument)!r}; torch.nn.LSTM knows "
                        f"only {expected!r}; leave the engine torch-lstm out for this model"
                    )
        return TorchLSTMProgram(job)

    def operations(self) -> Operations:
        """Eager PyTorch."""
        return torch_platform.operations()


@dataclasses.dataclass
class _Run:
    """One pass: its inputs and initial states, and what every LSTM returned and kept."""

    inputs: dict[str, Any]
    starts: dict[str, State]
    sequences: dict[str, Any] = dataclasses.field(default_factory=dict)
    last_outputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    last: dict[str, State] = dataclasses.field(default_factory=dict)


@final
class TorchLSTMProgram(AbstractProgram):
    """One model in torch; weights are kept in Keras's layout and transposed on their way into `torch.nn.LSTM`."""

    def __init__(self, job: Job) -> None:
        self._spec, self._loss, self._optimizer = job.spec, job.loss, job.optimizer
        if job.dtype in MIXED:
            raise UnsupportedError(
                f"torch-lstm: {job.dtype} is Keras's policy, which torch.nn.LSTM does not know; "
                f"leave the engine torch-lstm out, or compute in float32 or float64"
            )
        self._dtype, self._tf32 = getattr(torch, stored(job.dtype)), job.dtype == "tf32"
        self._device = torch.device("cuda" if job.device == "gpu" else "cpu")
        self._weights: dict[str, Any] = {}
        self._slots: dict[str, Any] = {}
        self._iteration = 0
        self._kernels: set[str] = set()
        self._watched: set[tuple[Any, ...]] = set()  # the calls of which `_kernels` tells
        self._modules = {
            name: torch.nn.LSTM(
                self._spec.weight_shapes[f"{name}/kernel"][0], lstm.units, bias=lstm.use_bias, batch_first=True
            ).to(self._device, self._dtype)
            for name, lstm in self._spec.lstms.items()
        }

    @property
    def implementation(self) -> Implementation:
        """The kernels that were dispatched: cuDNN on a GPU; on a CPU, oneDNN (mkldnn), or ATen's loop."""
        return Implementation(f"torch.nn.LSTM ({', '.join(sorted(self._kernels)) or 'none ran'})")

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Sets weights and optimizer slots, and the update counter."""
        self._weights = {name: self._tensor(weights[name]).requires_grad_() for name in self._spec.weight_shapes}
        self._slots = {name: self._tensor(slot) for name, slot in slots.items()}
        self._iteration = iteration

    def weights(self) -> dict[str, Array]:
        """All weights, in Keras's layout."""
        return {name: _numpy(weight) for name, weight in self._weights.items()}

    def slots(self) -> dict[str, Array]:
        """All optimizer slots."""
        return {name: _numpy(slot) for name, slot in self._slots.items()}

    def parameter_counts(self) -> dict[str, int]:
        """What torch counts, less one bias.

        `torch.nn.LSTM` keeps a second bias vector of 4 * units, which is left out of the count, being zero and not
        trained.
        """
        counts = dict.fromkeys(self._spec.layer_inputs, 0)
        for name, module in self._modules.items():
            counts[name.split("/")[0]] += sum(
                weight.numel() for key, weight in module.named_parameters() if not key.startswith("bias_hh")
            )
        for name, weight in self._weights.items():
            if name.rsplit("/", 1)[0] not in self._modules:
                counts[name.split("/")[0]] += weight.numel()
        return counts

    def step(self, kind: str, batch: Batch, states: Mapping[str, State]) -> Answer:
        """One step; see `AbstractProgram.step`."""
        for name in batch.dropout:
            lstm, _, argument = name.rpartition("/")
            if lstm:
                raise UnsupportedError(
                    f"torch-lstm: LSTM {lstm!r} trains with {argument}; torch.nn.LSTM knows no dropout inside the "
                    f"recurrence; leave the engine torch-lstm out, or put a Dropout layer below the LSTM"
                )
        torch_platform.set_tf32(self._tf32)
        gradients: dict[str, Any] = {}
        others: list[Array] = []
        inputs = {name: self._tensor(array) for name, array in batch.inputs.items()}
        starts = {name: State(*map(self._tensor, state)) for name, state in states.items()}
        floats, given = self._spec.sources(states)
        differentiated = [inputs[name] for name in floats] + [array for name in given for array in starts[name]]
        if kind == "gradient":
            for tensor in differentiated:
                tensor.requires_grad_()
        run = _Run(inputs, starts)
        loss = None
        with torch.set_grad_enabled(kind in ("gradient", "update")):
            outputs, masks = self._forward(batch, run)
            self.places = {torch_platform.place(output) for output in outputs}
            if kind != "forward":
                targets = [self._tensor(target) for target in batch.targets]
                loss = sum(
                    _loss(str(self._loss), output, target, mask)
                    for output, target, mask in zip(outputs, targets, masks, strict=True)
                ) + self._spec.penalty(self._weights)
        if kind in ("gradient", "update"):
            names = self._spec.trainable_weights
            wanted = [self._weights[name] for name in names] + (differentiated if kind == "gradient" else [])
            found = torch.autograd.grad(loss, wanted, materialize_grads=True) if wanted else ()
            gradients = dict(zip(names, found, strict=False))
            self.places |= {torch_platform.place(gradient) for gradient in found}
            others = list(map(_numpy, found[len(names) :]))
        if kind == "update":
            self._update(gradients)
            gradients = {}
        return Answer(
            loss=None if loss is None else loss.item(),
            outputs=tuple(_numpy(output) for output in outputs),
            sequences={name: _numpy(sequence) for name, sequence in run.sequences.items()},
            last_outputs={name: _numpy(output) for name, output in run.last_outputs.items()},
            states={name: State(*map(_numpy, state)) for name, state in run.last.items()},
            gradients={name: _numpy(value) for name, value in gradients.items()},
            input_gradients=dict(zip(floats, others, strict=False)),
            state_gradients={
                name: State(*pair)
                for name, pair in zip(given, zip(*[iter(others[len(floats) :])] * 2, strict=True), strict=False)
            },
        )

    def _tensor(self, array: Array) -> Any:
        """A new tensor: integers as tokens, all else in the job's dtype."""
        array = np.asarray(array)
        dtype = torch.int64 if array.dtype.kind in "iu" else torch.bool if array.dtype.kind == "b" else self._dtype
        return torch.tensor(array, dtype=dtype, device=self._device)

    def _forward(self, batch: Batch, run: _Run) -> tuple[list[Any], list[Any]]:
        """The model's outputs and their masks; puts what every LSTM returned and kept into `run`."""
        current = dict(run.starts)

        def lstm(name: str, inputs: Any, passed: State | None) -> list[Any]:
            layer, module = self._spec.lstms[name], self._modules[name]
            # The second bias is new and zero in every call, so that nothing can train it. All are copies: cuDNN moves
            # what it is given into one block of memory, and takes no transposed view.
            own = {
                f"weight_{short}_l0": self._weights[f"{name}/{weight}"].T.clone(memory_format=torch.contiguous_format)
                for short, weight in (("ih", "kernel"), ("hh", "recurrent_kernel"))
            }
            if layer.use_bias:
                bias = self._weights[f"{name}/bias"].clone()
                own |= {"bias_ih_l0": bias, "bias_hh_l0": torch.zeros_like(bias)}
            start = current.get(name, passed)
            if start is None:
                zeros = inputs.new_zeros(len(inputs), layer.units)
                start = State(zeros, zeros)
            given = inputs.flip(1) if layer.go_backwards else inputs
            hidden_and_cell = tuple(state[None].contiguous() for state in start)
            call = partial(torch.func.functional_call, module, own, (given.contiguous(), hidden_and_cell))
            kind = name, given.shape, torch.is_grad_enabled()
            if kind in self._watched:
                sequence, final_state = call()
            else:
                (sequence, final_state), operators = torch_platform.watch(call)
                self._kernels.add(of_aten(operators))
                self._watched.add(kind)
            last = run.last[name] = State(*(state[0] for state in final_state))
            if layer.stateful:
                current[name] = State(*(state.detach() for state in last))
            if layer.return_sequences:
                run.sequences[name] = sequence
                return [sequence, *last]
            run.last_outputs[name] = sequence[:, -1]
            return [sequence[:, -1], *last]

        def apply(call: Call, layer: Layer, inputs: list[Any], mask: Any, passed: list[Any]) -> Sequence[Any]:
            if isinstance(layer, Embedding):
                return [self._weights[f"{call.layer}/embeddings"][inputs[0].long()]]
            inputs = [tensor.to(self._dtype) for tensor in inputs]
            if isinstance(layer, (LSTM, Bidirectional)):
                if mask is not None:
                    raise UnsupportedError(
                        f"torch-lstm: {type(layer).__name__} {call.layer!r} is given a mask, which torch.nn.LSTM does "
                        f"not know; leave the engine torch-lstm out for this model, or the mask out of the inputs"
                    )
                if isinstance(layer, LSTM):
                    return lstm(call.layer, inputs[0], State(*passed) if passed else None)[: layer.output_count]
                first = lstm(f"{call.layer}/forward", inputs[0], State(*passed[:2]) if passed else None)
                second = lstm(f"{call.layer}/backward", inputs[0], State(*passed[2:]) if passed else None)
                turned = second[0].flip(1) if layer.layer.return_sequences else second[0]
                merged = _merge(layer.merge_mode, first[0], turned)
                return [*merged, *first[1:], *second[1:]][: layer.output_count]
            if isinstance(layer, (Dense, TimeDistributed)):
                dense = layer.layer if isinstance(layer, TimeDistributed) else layer
                z = inputs[0] @ self._weights[f"{call.layer}/kernel"]
                if dense.use_bias:
                    z = z + self._weights[f"{call.layer}/bias"]
                return [ACTIVATIONS[str(dense.activation)](z)]
            if isinstance(layer, Masking):
                keep = (inputs[0] != layer.mask_value).any(-1, keepdim=True)
                return [torch.where(keep, inputs[0], 0.0)]
            if isinstance(layer, Dropout):
                factor = batch.dropout.get(call.layer)
                return inputs if factor is None else [inputs[0] * self._tensor(factor)]
            if isinstance(layer, Activation):
                return [ACTIVATIONS[layer.activation](inputs[0])]
            if isinstance(layer, RepeatVector):
                return [inputs[0][:, None].expand(-1, layer.n, -1)]
            if isinstance(layer, Concatenate):
                return [torch.cat(inputs, dim=-1)]
            raise UnsupportedError(f"torch-lstm: it does not execute {type(layer).__name__} ({call.layer!r})")

        tensors, masks = walk(
            self._spec,
            run.inputs,
            {name: self._tensor(mask) for name, mask in batch.masks.items()},
            apply,
        )
        return [tensors[ref] for ref in self._spec.outputs], [masks[ref] for ref in self._spec.outputs]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _update(self, gradients: Mapping[str, Any]) -> None:
        assert self._optimizer is not None
        coefficients = self._optimizer.coefficients(self._iteration)
        for name, gradient in self._optimizer.clip(gradients).items():
            slots = {slot: self._slots[f"{name}/{slot}"] for slot in self._optimizer.slots}
            weight, slots = self._optimizer.step(self._weights[name], gradient, slots, coefficients)
            constraint = self._spec.constraints.get(name)
            self._weights[name] = (weight if constraint is None else constraint(weight)).requires_grad_()
            self._slots.update({f"{name}/{slot}": tensor for slot, tensor in slots.items()})
        self._iteration += 1


def _merge(mode: str | None, first: Any, second: Any) -> list[Any]:
    if mode is None:
        return [first, second]
    if mode == "concat":
        return [torch.cat([first, second], dim=-1)]
    if mode == "mul":
        return [first * second]
    return [first + second if mode == "sum" else (first + second) / 2]


def _loss(loss: str, output: Any, target: Any, mask: Any) -> Any:
    """Keras's losses (`reference.loss_and_gradient` has the equations)."""
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


def _numpy(tensor: Any) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array
