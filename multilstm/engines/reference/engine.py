"""The judge: forward pass, losses and backpropagation through time in NumPy float64, by hand, with no framework.

Whatever the job's dtype, arrays are computed, and come back, as float64. What it does where Keras is silent or at odds
with itself is in reference_rulings.md beside this file; activations, the LSTM, the other layers and the gradients of
regularizers are in `reference_activations`, `reference_lstm`, `reference_layers` and `reference_penalties`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np

from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.engines.reference.activations import sigmoid
from multilstm.engines.reference.layers import Applied, Given, Maybe, apply, within
from multilstm.engines.reference.lstm import LSTMRecord
from multilstm.engines.reference.penalties import penalty_gradient
from multilstm.frameworks import numpy as numpy_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec import LSTM, Bidirectional, Call, Embedding, Graph, InputLayer, Layer, Masking, Ref
from multilstm.spec.arrays import Array, State
from multilstm.spec.optimizers import EPSILON, Optimizer
from multilstm.spec.propagation import walk


@final
class ReferenceEngine(AbstractEngine):
    """Executes every spec; imports nothing but NumPy."""

    platform = numpy_platform

    def prepare(self, job: Job) -> ReferenceProgram:
        """A program; float32 jobs compare Masking's mask_value in float32, as any engine that computes in it."""
        layers = tuple(
            dataclasses.replace(layer, mask_value=float(np.dtype(stored(job.dtype)).type(layer.mask_value)))
            if isinstance(layer, Masking)
            else layer
            for layer in job.spec.layers
        )
        return ReferenceProgram(dataclasses.replace(job.spec, layers=layers), job.loss, job.optimizer)

    def operations(self) -> Operations:
        """NumPy's."""
        return Operations(np.asarray, np.asarray, lambda f: f, np.sum, np.matmul, np.transpose, np.tanh, sigmoid)


class _Taped(NamedTuple):
    """One call on the tape: its position in the graph, and for each of its LSTMs its name if its state was given."""

    position: int
    call: Call
    applied: Applied
    given: tuple[str | None, ...]


class _Pass(NamedTuple):
    """One forward pass."""

    tensors: dict[Ref, Any]
    masks: dict[Ref, Any]
    tape: list[_Taped]


class _Gradients(NamedTuple):
    """Gradients of the loss, by name."""

    weights: dict[str, Array]
    inputs: dict[str, Array]
    states: dict[str, State]


@final
class ReferenceProgram(AbstractProgram):
    """One model in NumPy.

    Attributes:
        records: for every LSTM, all that its last call computed, gate by gate and timestep by timestep.
    """

    places = frozenset({"cpu"})

    def __init__(self, spec: Graph, loss: str | None, optimizer: Optimizer | None) -> None:
        self.records: dict[str, LSTMRecord] = {}
        self._spec, self._loss, self._optimizer = spec, loss, optimizer
        self._weights: dict[str, Array] = {}
        self._slots: dict[str, Array] = {}
        self._iteration = 0

    @property
    def implementation(self) -> Implementation:
        """NumPy's operations, called from the loops of this package."""
        return Implementation("numpy float64")

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Sets weights and optimizer slots, as float64, and the update counter."""
        self._weights = {name: np.array(weights[name], np.float64) for name in self._spec.weight_shapes}
        self._slots = {name: np.array(slot, np.float64) for name, slot in slots.items()}
        self._iteration = iteration

    def weights(self) -> dict[str, Array]:
        """All weights, float64."""
        return dict(self._weights)

    def slots(self) -> dict[str, Array]:
        """All optimizer slots, float64."""
        return dict(self._slots)

    def parameter_counts(self) -> dict[str, int]:
        """The sizes of the weight arrays, added up by layer."""
        return {
            name: sum(weight.size for key, weight in self._weights.items() if key.startswith(f"{name}/"))
            for name in self._spec.layer_inputs
        }

    def step(self, kind: str, batch: Batch, states: Mapping[str, State]) -> Answer:
        """One step; see `AbstractProgram.step`."""
        with np.errstate(all="ignore"):  # masked timesteps may hold anything; values that count are judged later
            run = self._forward(batch, states)
            outputs = tuple(run.tensors[ref] for ref in self._spec.outputs)
            loss, gradients = None, _Gradients({}, {}, {})
            if kind != "forward":
                loss, d_outputs = self._losses(run, batch.targets)
                loss = float(loss + self._spec.penalty(self._weights))
            if kind in ("gradient", "update"):
                gradients = self._backward(run, d_outputs, batch, states)
            if kind == "update":
                self._update(gradients.weights)
                gradients = _Gradients({}, {}, {})
        return Answer(
            loss=loss,
            outputs=outputs,
            sequences={
                name: self.records[name].sequence for name, lstm in self._spec.lstms.items() if lstm.return_sequences
            },
            last_outputs={
                name: self.records[name].outputs[-1]
                for name, lstm in self._spec.lstms.items()
                if not lstm.return_sequences
            },
            states={name: record.state for name, record in self.records.items()},
            gradients=gradients.weights,
            input_gradients=gradients.inputs,
            state_gradients=gradients.states,
        )

    def _forward(self, batch: Batch, states: Mapping[str, State]) -> _Pass:
        calls = iter(
            [i for i, c in enumerate(self._spec.calls) if not isinstance(self._spec.layer(c.layer), InputLayer)]
        )
        current = dict(states)
        tape: list[_Taped] = []

        def apply_call(call: Call, layer: Layer, inputs: list[Any], mask: Any, passed: list[Any]) -> Sequence[Array]:
            names = _lstm_names(layer)
            starts: list[State | None] = []
            for number, name in enumerate(names):
                from_graph = State(*passed[2 * number : 2 * number + 2]) if passed else None
                starts.append(State(*map(_float64, current[name])) if name in current else from_graph)
            applied = apply(
                layer,
                Given(
                    inputs if isinstance(layer, Embedding) else [_float64(array) for array in inputs],
                    mask,
                    within(self._weights, call.layer),
                    tuple(starts),
                    {name: _float64(factor) for name, factor in within(batch.dropout, call.layer).items()},
                ),
            )
            given = tuple(name if name in current else None for name in names)
            tape.append(_Taped(next(calls), call, applied, given))
            for name, record in zip(names, applied.records, strict=True):
                self.records[name] = record
                if self._spec.lstms[name].stateful:
                    current[name] = record.state  # where a second call of a shared layer goes on
            return applied.outputs

        inputs = {name: array if array.dtype.kind in "iu" else _float64(array) for name, array in batch.inputs.items()}
        tensors, masks = walk(self._spec, inputs, batch.masks, apply_call)
        return _Pass(tensors, masks, tape)

    def _losses(self, run: _Pass, targets: Sequence[Array]) -> tuple[float, list[tuple[Ref, Array]]]:
        """The sum of the losses of all outputs, and the gradient of each output."""
        total, gradients = 0.0, []
        for ref, target in zip(self._spec.outputs, targets, strict=True):
            value, gradient = loss_and_gradient(str(self._loss), run.tensors[ref], _float64(target), run.masks[ref])
            total += value
            gradients.append((ref, gradient))
        return total, gradients

    def _backward(
        self, run: _Pass, d_outputs: list[tuple[Ref, Array]], batch: Batch, states: Mapping[str, State]
    ) -> _Gradients:
        """Goes back over the tape; gradients of a tensor, weight or state that is used several times add up.

        Weights that are not trained are left out of what it returns.
        """
        inputs, given_states = self._spec.sources(states)
        d_states = {name: State(*(np.zeros(np.shape(array)) for array in states[name])) for name in given_states}
        d_tensors: dict[Ref, Array] = {}
        d_weights = {name: np.zeros_like(weight) for name, weight in self._weights.items()}

        def add(ref: Ref, gradient: Maybe) -> None:
            if gradient is not None:
                d_tensors[ref] = d_tensors[ref] + gradient if ref in d_tensors else gradient

        for ref, gradient in d_outputs:
            add(ref, gradient)
        for position, call, applied, given in reversed(run.tape):
            arriving = [d_tensors.get(Ref(position, number)) for number in range(len(applied.outputs))]
            if all(gradient is None for gradient in arriving):
                continue
            back = applied.backward(arriving)
            for ref, d_input in zip(call.inputs, back.inputs, strict=True):
                add(ref, d_input)
            for name, d_weight in back.weights.items():
                d_weights[f"{call.layer}/{name}"] += d_weight
            for number, ref in enumerate(call.initial_state):
                if given[number // 2] is None:
                    add(ref, back.states[number])
            for number, lstm in enumerate(given):
                if lstm in d_states:
                    hidden, cell = d_states[lstm]
                    d_states[lstm] = State(hidden + back.states[2 * number], cell + back.states[2 * number + 1])
        for name, regularizer in self._spec.regularizers.items():
            d_weights[name] += penalty_gradient(regularizer, self._weights[name])
        calls = {call.layer: Ref(index) for index, call in enumerate(self._spec.calls)}
        return _Gradients(
            {name: d_weights[name] for name in self._spec.trainable_weights},
            {name: d_tensors.get(calls[name], np.zeros(np.shape(batch.inputs[name]))) for name in inputs},
            d_states,
        )

    def _update(self, gradients: Mapping[str, Array]) -> None:
        assert self._optimizer is not None
        coefficients = self._optimizer.coefficients(self._iteration)
        for name, gradient in self._optimizer.clip(gradients).items():
            slots = {slot: self._slots[f"{name}/{slot}"] for slot in self._optimizer.slots}
            self._weights[name], slots = self._optimizer.step(self._weights[name], gradient, slots, coefficients)
            self._slots.update({f"{name}/{slot}": array for slot, array in slots.items()})
        for name, constraint in self._spec.constraints.items():
            self._weights[name] = constraint(self._weights[name])
        self._iteration += 1


def loss_and_gradient(loss: str, output: Array, target: Array, mask: Maybe) -> tuple[float, Array]:
    """The loss of one output, and its gradient with respect to that output.

    Over the last axis, with p = output / sum(output) and q = clip(p, 1e-7, 1 - 1e-7),

        categorical_crossentropy: -sum(target * log(q));    mean_squared_error: mean((output - target)**2)

    then the mean over all that the mask keeps (keras/src/losses/loss.py; keras/src/backend/numpy/nn.py).

    Args:
        loss: its name.
        output: `[batch, ..., features]`.
        target: of the same shape.
        mask: `[batch, timesteps]`, which acts on an output of one rank more; or None.
    """
    keep = np.ones(output.shape[:-1], bool) if mask is None or mask.ndim != output.ndim - 1 else mask
    weight = keep / max(int(keep.sum()), 1)
    output = np.where(keep[..., None], output, 1.0)  # NaN times a weight of zero would be NaN
    target = np.where(keep[..., None], target, 1.0)
    if loss == "mean_squared_error":
        error = output - target
        values, gradient = (error**2).mean(axis=-1), 2.0 * error / output.shape[-1]
    else:
        norm = output.sum(axis=-1, keepdims=True)
        p = output / norm
        q = np.clip(p, EPSILON, 1.0 - EPSILON)
        values = -(target * np.log(q)).sum(axis=-1)
        d_p = np.where(p == q, -target / q, 0.0)
        gradient = (d_p - (d_p * p).sum(axis=-1, keepdims=True)) / norm
    return float((values * weight).sum()), np.where(keep[..., None], gradient * weight[..., None], 0.0)


def _float64(array: Array) -> Array:
    return np.asarray(array, np.float64)


def _lstm_names(layer: Layer) -> tuple[str, ...]:
    """The names of the states of `layer`, as in `Graph.lstms`."""
    if isinstance(layer, Bidirectional):
        return tuple(f"{layer.name}/{direction}" for direction in layer.directions)
    return (str(layer.name),) if isinstance(layer, LSTM) else ()
