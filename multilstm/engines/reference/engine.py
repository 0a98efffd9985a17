"""Engine `reference`: forward pass, losses and backpropagation through time in NumPy float64, without a framework.

All other engines are judged by it. Arrays are computed and returned as float64, whatever the job's dtype. Where Keras
is silent or contradicts itself, rulings.md in this folder is the specification. The other modules of this folder hold
the activations, the LSTM, the other layers and the gradients of regularizers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple, final

import numpy as np

from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.engines.reference.activations import FUNCTIONS, sigmoid, with_functions
from multilstm.engines.reference.faults import (
    FAULTS,
    MASK_IS_DROPPED,
    SEMANTICS,
    faults_of_call,
    logits_of,
    share_of_loss,
    with_logits,
    with_masks_kept,
)
from multilstm.engines.reference.layers import AnyRecord, Given, apply, within
from multilstm.engines.reference.losses import loss_and_gradient
from multilstm.engines.reference.penalties import penalty_gradient
from multilstm.engines.reference.rounded_numbers import activations_of, optimizers_of, with_rounded_numbers
from multilstm.engines.reference.tape import GradientSums, Taped
from multilstm.errors import UnsupportedError, UsageError, choice
from multilstm.frameworks import numpy as numpy_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec import Call, Embedding, Graph, InputLayer, Layer, Masking, Ref
from multilstm.spec.arrays import AnyState, Array, as_state
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.propagation import walk


@final
class ReferenceEngine(AbstractEngine):
    """Executes every spec; imports nothing but NumPy."""

    platform = numpy_platform

    def prepare(self, job: Job) -> ReferenceProgram:
        """Return a program; Masking's mask_value is rounded to the job's dtype, as on engines that compute in it."""
        dtype = np.dtype(stored(job.dtype))

        def rounded(layer: Layer) -> Layer:
            if not isinstance(layer, Masking):
                return layer
            return dataclasses.replace(layer, mask_value=float(dtype.type(layer.mask_value)))

        for layer in job.spec.opaque:
            raise UnsupportedError(f"layer {layer.label}: the reference does not compute it; Keras's engines do")
        unknown = [name for name in job.faults if name not in (*FAULTS, *SEMANTICS)]
        if unknown:
            raise UsageError(choice("fault", unknown[0], FAULTS))
        return ReferenceProgram(job.spec.with_layers(rounded), job.loss, job.optimizer, frozenset(job.faults))

    def operations(self) -> Operations:
        """Return NumPy's operations."""
        return Operations(np.asarray, np.asarray, lambda f: f, np.sum, np.matmul, np.transpose, np.tanh, sigmoid)


class _Pass(NamedTuple):
    """One forward pass."""

    tensors: dict[Ref, Any]
    masks: dict[Ref, Any]
    tape: list[Taped]
    statistics: dict[str, Array]


class _Gradients(NamedTuple):
    """Gradients of the loss, by name."""

    weights: dict[str, Any]
    inputs: dict[str, Array]
    states: dict[str, AnyState]


@final
class ReferenceProgram(AbstractProgram):
    """One model in NumPy.

    Attributes:
        records: for every recurrent layer, the gates and states of its last call at every timestep.
    """

    places = frozenset({"cpu"})

    def __init__(
        self, spec: Graph, loss: str | None, optimizer: Optimizer | None, faults: Set[str] = frozenset()
    ) -> None:
        self.records: dict[str, AnyRecord] = {}
        spec = with_rounded_numbers(with_masks_kept(spec, faults), faults)
        self._logits = logits_of(spec, faults, loss)
        self._spec = with_logits(spec, self._logits) if self._logits else spec
        self._loss, self._optimizer, self._faults = loss, optimizer, faults
        self._weights: dict[str, Array] = {}
        self._slots: dict[str, Array] = {}
        self._iteration = 0

    @property
    def implementation(self) -> Implementation:
        """NumPy's operations, called from the loops of this package."""
        return Implementation("numpy float64")

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Set weights and optimizer slots, as float64, and the update counter."""
        self._weights = {name: np.array(weights[name], np.float64) for name in self._spec.weight_shapes}
        self._slots = {name: np.array(slot, np.float64) for name, slot in slots.items()}
        self._iteration = iteration

    def weights(self) -> dict[str, Array]:
        """Return all weights, float64."""
        return dict(self._weights)

    def slots(self) -> dict[str, Array]:
        """Return all optimizer slots, float64."""
        return dict(self._slots)

    def parameter_counts(self) -> dict[str, int]:
        """Return the sizes of the weight arrays, added up by layer."""
        return {
            name: sum(weight.size for key, weight in self._weights.items() if key.startswith(f"{name}/"))
            for name in self._spec.layer_inputs
        }

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step; see `AbstractProgram.step`."""
        # Masked timesteps may hold any value; the others are judged later.
        with np.errstate(all="ignore"), with_functions(activations_of(self._faults)):
            run = self._forward(batch, states, kind in ("gradient", "update"))
            outputs = tuple(self._output(ref, run.tensors[ref]) for ref in self._spec.outputs)
            loss, gradients = None, _Gradients({}, {}, {})
            if kind != "forward":
                loss, d_outputs = self._losses(run, batch.targets)
                loss = float(loss + self._spec.penalty(self._weights))
            if kind in ("gradient", "update"):
                gradients = self._backward(run, d_outputs, batch, states)
            if kind == "update":
                self._weights |= run.statistics
                self._update(gradients.weights)
                gradients = _Gradients({}, {}, {})
        return Answer(
            loss=loss,
            outputs=outputs,
            sequences={
                name: self.records[name].sequence
                for name, layer in self._spec.recurrent.items()
                if layer.return_sequences
            },
            last_outputs={
                name: self.records[name].outputs[-1]
                for name, layer in self._spec.recurrent.items()
                if not layer.return_sequences
            },
            states={name: record.state for name, record in self.records.items()},
            gradients={name: np.asarray(gradient) for name, gradient in gradients.weights.items()},
            input_gradients=gradients.inputs,
            state_gradients=gradients.states,
        )

    def _output(self, ref: Ref, tensor: Array) -> Array:
        """Return an output of the model, activated where the model computes logits."""
        return FUNCTIONS[self._logits[ref]].forward(tensor) if ref in self._logits else tensor

    def _forward(self, batch: Batch, states: Mapping[str, AnyState], training: bool) -> _Pass:
        calls = iter(
            [i for i, c in enumerate(self._spec.calls) if not isinstance(self._spec.layer(c.layer), InputLayer)]
        )
        current = dict(states)
        tape: list[Taped] = []
        statistics: dict[str, Array] = {}

        def apply_call(
            call: Call, layer: Layer, inputs: list[Any], masks: list[Any], passed: list[Any]
        ) -> Sequence[Array]:
            names = [f"{layer.name}/{direction}".removesuffix("/") for direction in layer.recurrent]
            starts: list[AnyState | None] = []
            count = len(passed) // max(1, len(names))
            for number, name in enumerate(names):
                from_graph = as_state(*passed[count * number : count * (number + 1)]) if passed else None
                starts.append(as_state(*map(_float64, current[name])) if name in current else from_graph)
            is_given = passed or any(name in current and not self._spec.recurrent[name].stateful for name in names)
            if is_given and MASK_IS_DROPPED in self._faults:
                masks = [None] * len(masks)
            applied = apply(
                layer,
                Given(
                    inputs if isinstance(layer, Embedding) else [_float64(array) for array in inputs],
                    masks,
                    within(self._weights | statistics, call.layer),
                    tuple(starts),
                    {name: _float64(factor) for name, factor in within(batch.dropout, call.layer).items()},
                    faults_of_call(self._faults, self._spec.tensor_shapes[call.inputs[0]]),
                    training,
                ),
            )
            given = tuple(name if name in current else None for name in names)
            tape.append(Taped(next(calls), call, applied, given))
            statistics.update({f"{call.layer}/{name}": array for name, array in applied.statistics.items()})
            for name, record in zip(names, applied.records, strict=True):
                self.records[name] = record
                if self._spec.recurrent[name].stateful:
                    current[name] = record.state  # where a second call of a shared layer goes on
            return applied.outputs

        inputs = {name: array if array.dtype.kind in "iu" else _float64(array) for name, array in batch.inputs.items()}
        tensors, masks = walk(self._spec, inputs, batch.masks, apply_call)
        return _Pass(tensors, masks, tape, statistics)

    def _losses(self, run: _Pass, targets: Sequence[Array]) -> tuple[float, list[tuple[Ref, Array]]]:
        """Return the sum of the losses of all outputs and of the penalties of activities, with the gradients."""
        total, gradients = 0.0, []
        for ref, target in zip(self._spec.outputs, targets, strict=True):
            arrays = run.tensors[ref], _float64(target), run.masks[ref]
            value, gradient = loss_and_gradient(str(self._loss), *arrays, of_logits=ref in self._logits)
            share = share_of_loss(arrays[0], arrays[2], self._faults)
            total += share * value
            gradients.append((ref, share * gradient))
        for position, call, applied, _ in run.tape:
            regularizer, output = self._spec.layer(call.layer).activity, applied.outputs[0]
            if regularizer is not None:
                total += float(regularizer(output)) / len(output)
                gradients.append((Ref(position, 0), penalty_gradient(regularizer, output) / len(output)))
        return total, gradients

    def _backward(
        self, run: _Pass, d_outputs: list[tuple[Ref, Array]], batch: Batch, states: Mapping[str, AnyState]
    ) -> _Gradients:
        """Return the gradients of trained weights, inputs and given states: go back over the tape."""
        inputs, given_states = self._spec.sources(states)
        sums = GradientSums({name: states[name] for name in given_states})
        for ref, gradient in d_outputs:
            sums.add(ref, gradient)
        for taped in reversed(run.tape):
            sums.go_back(taped)
        for name, regularizer in self._spec.regularizers.items():
            sums.add_of_weight(name, penalty_gradient(regularizer, self._weights[name]))
        calls = {call.layer: Ref(index) for index, call in enumerate(self._spec.calls)}
        return _Gradients(
            {name: sums.weights.get(name, np.zeros_like(self._weights[name])) for name in self._spec.trainable_weights},
            {name: sums.tensors.get(calls[name], np.zeros(np.shape(batch.inputs[name]))) for name in inputs},
            sums.states,
        )

    def _update(self, gradients: Mapping[str, Any]) -> None:
        assert self._optimizer is not None
        numbers, rule = optimizers_of(self._optimizer, self._faults)
        coefficients = numbers.coefficients(self._iteration)
        for name, gradient in self._optimizer.clip(gradients).items():
            if self._optimizer.global_clipnorm:
                gradient = np.asarray(gradient)  # the product of a RowGradient and the common factor is dense in Keras
            slots = {slot: self._slots[f"{name}/{slot}"] for slot in self._optimizer.slots}
            self._weights[name], slots = rule.step(self._weights[name], gradient, slots, coefficients)
            self._slots.update({f"{name}/{slot}": array for slot, array in slots.items()})
        for name, constraint in self._spec.constraints.items():
            self._weights[name] = constraint(self._weights[name])
        self._iteration += 1


def _float64(array: Array) -> Array:
    return np.asarray(array, np.float64)
