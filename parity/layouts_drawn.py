"""Drawn LSTMs for the table of layouts: weights, inputs, states and targets, and the reference's answers to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from multilstm.conversion import DIALECTS, LSTMWeights, from_dialect, to_dialect
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Batch, Job, Result, Step
from multilstm.spec import LSTM, Bidirectional, Graph, Sequential
from multilstm.spec.arrays import State

KEEP = ("outputs", "states", "gradients")
SHIFTED = ("haiku", "tf1")  # they add 1 to the bias of gate f, which is exact for a bias from 0.5 to 2
Stack = Sequence[Sequence[LSTMWeights]]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A stack of LSTMs, and arrays to execute it with, all random.

    Attributes:
        stack: the weights of every layer and direction.
        inputs: `[batch, timesteps, features]`.
        states: the initial states of every layer and direction, each `[batch, units]`.
        target: `[batch, timesteps, units * directions]`; the loss is the mean squared error.
    """

    stack: list[list[LSTMWeights]]
    inputs: np.ndarray
    states: list[list[State]]
    target: np.ndarray

    @property
    def units(self) -> int:
        return self.stack[0][0].units

    @property
    def use_bias(self) -> bool:
        return self.stack[0][0].bias is not None

    @property
    def directions(self) -> int:
        return len(self.stack[0])

    @property
    def flat_states(self) -> list[State]:
        return [state for layer in self.states for state in layer]


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers of a framework to a problem. Gradients are None where the framework has none.

    Attributes:
        sequence: `[batch, timesteps, units * directions]`.
        states: the final states of every layer and direction.
        gradients: of the weights, in Keras's layout.
        input_gradient: of the inputs.
        state_gradients: of the initial states of every layer and direction.
    """

    sequence: Any
    states: Sequence[State]
    gradients: Stack | None = None
    input_gradient: Any = None
    state_gradients: Sequence[State] | None = None

    def parts(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield every array with its name."""
        yield "sequence", np.asarray(self.sequence)
        for kind, states in (("state", self.states), ("gradient of state", self.state_gradients)):
            for number, state in enumerate(states or ()):
                yield from ((f"{kind} {name} {number}", np.asarray(array)) for name, array in state._asdict().items())
        if self.input_gradient is not None:
            yield "gradient of inputs", np.asarray(self.input_gradient)
        cells = [cell for layer in self.gradients or () for cell in layer]
        for number, cell in enumerate(cells):
            for name, array in cell._asdict().items():
                if array is not None:
                    yield f"gradient of {name} {number}", np.asarray(array)


def drawn(seed: int, dialect: str, dtype: str = "float64") -> Problem:
    """Return the drawn problem of a number; the dialect limits its layers and directions.

    Any six numbers in a row have one to three layers, one or two directions, and LSTMs with and without a bias. The
    bias of gate f is from 0.5 to 2, where every layout is exact.
    """
    rng = np.random.default_rng(seed)
    features, units, batch, timesteps = (int(rng.integers(1, top)) for top in (5, 5, 4, 7))
    use_bias = seed // 2 % 2 == 0
    placement = DIALECTS[dialect].placement
    layers = 1 + seed % 3 if placement in ("numbered", "packed") else 1
    directions = 1 if placement == "cell" else 1 + seed % 2
    stack = [
        [_weights(rng, units * directions if number else features, units, use_bias, dtype) for _ in range(directions)]
        for number in range(layers)
    ]
    states = [[State(*rng.normal(size=(2, batch, units))) for _ in layer] for layer in stack]
    inputs = rng.normal(size=(batch, timesteps, features))
    return Problem(stack, inputs, states, rng.normal(size=(batch, timesteps, units * directions)))


def sizes(problem: Problem, dialect: str) -> dict[str, int]:
    """Return the arguments of `from_dialect` that describe a packed array."""
    if DIALECTS[dialect].placement != "packed":
        return {}
    first = problem.stack[0][0]
    return {
        "features": first.features, "units": first.units, "layers": len(problem.stack), "directions": problem.directions
    }  # fmt: skip


def travelled(problem: Problem, dialects: Sequence[str], *, gradients: bool = False) -> Stack:
    """Return the weights after a way through several layouts and back to Keras's after each."""
    stack: Stack = problem.stack
    for dialect in dialects:
        arrays = to_dialect(stack, dialect, gradients=gradients)
        stack = from_dialect(arrays, dialect, gradients=gradients, **sizes(problem, dialect))
    return stack


def same_bits(actual: Stack, desired: Stack) -> bool:
    """Whether two stacks have the same shapes, dtypes and bits; an absent bias is a bias of zeros."""
    if [len(layer) for layer in actual] != [len(layer) for layer in desired]:
        return False
    cells = zip(
        (cell for layer in actual for cell in layer), (cell for layer in desired for cell in layer), strict=True
    )
    return all(_same(a, b) for first, second in cells for a, b in zip(first, second, strict=True))


def largest_difference(actual: Stack, desired: Stack) -> float:
    """Return the largest difference of two stacks of the same shapes."""
    pairs = zip(
        (array for layer in actual for cell in layer for array in cell),
        (array for layer in desired for cell in layer for array in cell),
        strict=True,
    )
    zero = np.zeros(1)
    return max(float(np.max(np.abs((zero if a is None else a) - (zero if b is None else b)))) for a, b in pairs)


def reference(problem: Problem) -> Answers:
    """Return the reference's answers."""
    spec, job = as_job(problem)
    return answers_of(problem, spec, Executor(ReferenceEngine()).execute(job))


def as_job(problem: Problem) -> tuple[Graph, Job]:
    """Return the problem as a model of Keras, with one step that computes its gradients."""
    layers, weights, named = [], {}, {}
    for number, (layer, starts) in enumerate(zip(problem.stack, problem.states, strict=True)):
        lstm = LSTM(problem.units, return_sequences=True, use_bias=problem.use_bias, name=f"l{number}")
        both = len(layer) == 2
        layers.append(Bidirectional(lstm, name=f"l{number}") if both else lstm)
        for place, cell, start in zip(("/forward", "/backward") if both else ("",), layer, starts, strict=True):
            named[f"l{number}{place}"] = start
            weights |= {f"l{number}{place}/{k}": v for k, v in cell._asdict().items() if v is not None}
    spec = Sequential(layers, input_shape=(None, problem.inputs.shape[-1]))
    batch = Batch({next(iter(spec.inputs)): problem.inputs}, targets=(problem.target,), states=named)
    steps = (Step("gradient", batch, keep=KEEP),)
    return spec, Job(spec, weights, steps, dtype="float64", loss="mean_squared_error", layers="plain")


def answers_of(problem: Problem, spec: Graph, result: Result) -> Answers:
    """Return an engine's result for `as_job` in the order of `Answers`."""
    answer = result.answers[0]
    places = list(spec.lstms)
    gradients = [
        [
            LSTMWeights(*(answer.gradients.get(f"{place}/{name}") for name in LSTMWeights._fields))
            for place in places
            if place.split("/")[0] == f"l{number}"
        ]
        for number in range(len(problem.stack))
    ]
    return Answers(
        answer.outputs[0],
        [answer.states[place] for place in places],
        gradients,
        next(iter(answer.input_gradients.values())),
        [answer.state_gradients[place] for place in places],
    )


def distance(actual: Answers, desired: Answers) -> float:
    """Return the largest difference of all arrays that the framework gives; infinity for one of another shape.

    A framework whose LSTM always has a bias has its gradient too, where the reference has no bias.
    """
    wanted = dict(desired.parts())
    largest = 0.0
    given = dict(actual.parts())
    required = [name for name in wanted if actual.gradients is not None or not name.startswith("gradient")]
    for name in required:
        if name not in given or given[name].shape != wanted[name].shape:
            return float("inf")
        difference = float(np.max(np.abs(given[name] - wanted[name])))
        largest = max(largest, difference if np.isfinite(difference) else float("inf"))
    return largest


def _weights(rng: np.random.Generator, features: int, units: int, use_bias: bool, dtype: str) -> LSTMWeights:
    kernel, recurrent, bias = (rng.normal(size=s) for s in ((features, 4 * units), (units, 4 * units), (4 * units,)))
    bias[units : 2 * units] = rng.uniform(0.5, 2, units)
    return LSTMWeights(kernel.astype(dtype), recurrent.astype(dtype), bias.astype(dtype) if use_bias else None)


def _same(actual: np.ndarray | None, desired: np.ndarray | None) -> bool:
    if actual is None or desired is None:
        present = desired if actual is None else actual
        return present is None or not present.any()
    return actual.dtype == desired.dtype and actual.shape == desired.shape and actual.tobytes() == desired.tobytes()
