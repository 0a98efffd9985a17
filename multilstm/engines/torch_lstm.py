"""Engine `torch-lstm`: `torch.nn.LSTM`, `GRU` and `RNN`, with gradients by autograd; an independent, partial engine.

These classes have few activations, no masks, and no dropout inside the recurrence. A spec that needs more is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch

from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.engines.torch_lstm_forward import ForwardPass, loss_value
from multilstm.engines.torch_lstm_modules import RecurrentModules, check_known, module_name
from multilstm.errors import UnsupportedError
from multilstm.frameworks import torch as torch_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec.arrays import AnyState, Array, as_state


@final
class TorchLSTMEngine(AbstractEngine):
    """Executes specs whose recurrent layers PyTorch's own can express."""

    platform = torch_platform

    def __init__(self) -> None:
        torch_platform.set_tf32(False)

    def prepare(self, job: Job) -> TorchLSTMProgram:
        """Return a program on the CPU, or on a CUDA device."""
        check_known(job.spec)
        return TorchLSTMProgram(job)

    def operations(self) -> Operations:
        """Return the operations of eager PyTorch."""
        return torch_platform.operations()


@final
class TorchLSTMProgram(AbstractProgram):
    """One model in PyTorch; weights are kept in Keras's layout, and transposed in every call of a recurrent layer."""

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
        self._modules = RecurrentModules(self._spec, self._device, self._dtype)

    @property
    def implementation(self) -> Implementation:
        """The kernels that were dispatched: cuDNN on a GPU; on a CPU, oneDNN (mkldnn), or ATen's loop."""
        kernels = ", ".join(sorted(self._modules.kernels)) or "none ran"
        return Implementation(f"{self._modules.classes} ({kernels})")

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Set weights and optimizer slots, and the update counter."""
        self._weights = {name: self._tensor(weights[name]).requires_grad_() for name in self._spec.weight_shapes}
        self._slots = {name: self._tensor(slot) for name, slot in slots.items()}
        self._iteration = iteration

    def weights(self) -> dict[str, Array]:
        """Return all weights, in Keras's layout."""
        return {name: _numpy(weight) for name, weight in self._weights.items()}

    def slots(self) -> dict[str, Array]:
        """Return all optimizer slots."""
        return {name: _numpy(slot) for name, slot in self._slots.items()}

    def parameter_counts(self) -> dict[str, int]:
        """Return PyTorch's counts by layer, without a second bias that Keras lacks."""
        recurrent = self._modules.parameter_counts()
        counts = dict.fromkeys(self._spec.layer_inputs, 0)
        for name, count in recurrent.items():
            counts[name.split("/")[0]] += count
        for name, weight in self._weights.items():
            if name.rsplit("/", 1)[0] not in recurrent:
                counts[name.split("/")[0]] += weight.numel()
        return counts

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step; see `AbstractProgram.step`."""
        torch_platform.set_tf32(self._tf32)
        inputs = {name: self._tensor(array) for name, array in batch.inputs.items()}
        starts = {name: as_state(*map(self._tensor, state)) for name, state in states.items()}
        float_inputs, given_states = self._spec.sources(states)
        sources = [inputs[name] for name in float_inputs] + [array for name in given_states for array in starts[name]]
        if kind == "gradient":
            for tensor in sources:
                tensor.requires_grad_()
        training = kind in ("gradient", "update")
        run = ForwardPass(self._spec, self._weights, self._modules, starts, self._factors(batch), training)
        with torch.set_grad_enabled(training):
            outputs, masks = run.run(inputs, {name: self._tensor(mask) for name, mask in batch.masks.items()})
            loss = None if kind == "forward" else self._total_loss(outputs, masks, batch) + run.activity
        self.places = {torch_platform.place(output) for output in outputs}
        gradients: dict[str, Array] = {}
        of_inputs: list[Array] = []
        of_states: list[AnyState] = []
        if kind == "gradient":
            weights, others = self._differentiate(loss, sources)
            gradients = {name: _numpy(gradient) for name, gradient in weights.items()}
            arrays = list(map(_numpy, others))
            of_inputs, arrays = arrays[: len(float_inputs)], arrays[len(float_inputs) :]
            for name in given_states:
                of_states.append(as_state(*arrays[: len(starts[name])]))
                arrays = arrays[len(starts[name]) :]
        elif kind == "update":
            gradients_of_weights, _ = self._differentiate(loss, [])
            self._weights |= run.statistics
            self._update(gradients_of_weights)
        return Answer(
            loss=None if loss is None else loss.item(),
            outputs=tuple(_numpy(output) for output in outputs),
            sequences={name: _numpy(sequence) for name, sequence in run.sequences.items()},
            last_outputs={name: _numpy(output) for name, output in run.last_outputs.items()},
            states={name: as_state(*map(_numpy, state)) for name, state in run.states.items()},
            gradients=gradients,
            input_gradients=dict(zip(float_inputs, of_inputs, strict=True)) if kind == "gradient" else {},
            state_gradients=dict(zip(given_states, of_states, strict=True)) if kind == "gradient" else {},
        )

    def _tensor(self, array: Array) -> Any:
        """Return a new tensor: integers as tokens, masks as booleans, all others in the job's dtype."""
        array = np.asarray(array)
        dtype = torch.int64 if array.dtype.kind in "iu" else torch.bool if array.dtype.kind == "b" else self._dtype
        return torch.tensor(array, dtype=dtype, device=self._device)

    def _factors(self, batch: Batch) -> dict[str, Any]:
        """Return the factors of Dropout layers; refuse dropout inside a recurrent layer."""
        for name in batch.dropout:
            place, _, argument = name.rpartition("/")
            if place:
                layer = self._spec.recurrent[place]
                raise UnsupportedError(
                    f"torch-lstm: {layer.class_name} {place!r} trains with {argument}; {module_name(layer)} knows no "
                    f"dropout inside the recurrence; leave the engine torch-lstm out, or put a Dropout layer below it"
                )
        return {name: self._tensor(factor) for name, factor in batch.dropout.items()}

    def _total_loss(self, outputs: list[Any], masks: list[Any], batch: Batch) -> Any:
        """Return the sum of the losses of all outputs and of the penalties."""
        losses = [
            loss_value(str(self._loss), output, self._tensor(target), mask)
            for output, target, mask in zip(outputs, batch.targets, masks, strict=True)
        ]
        return sum(losses) + self._spec.penalty(self._weights)

    def _differentiate(self, loss: Any, sources: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """Return the gradients of the trained weights by name, and those of `sources` in their order."""
        names = self._spec.trainable_weights
        arguments = [*(self._weights[name] for name in names), *sources]
        gradients = torch.autograd.grad(loss, arguments, materialize_grads=True) if arguments else ()
        self.places |= {torch_platform.place(gradient) for gradient in gradients}
        return dict(zip(names, gradients[: len(names)], strict=True)), list(gradients[len(names) :])

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


def _numpy(tensor: Any) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array
