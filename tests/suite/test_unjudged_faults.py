"""Engines with one fault each, among engines without a judge: every fault is found, and its engine is named."""

import dataclasses

import numpy as np
import pytest
from faulty_pool import FaultyPool, with_arrays

from multilstm.cases.model_case import model_case
from multilstm.engines.registry import JUDGE
from multilstm.errors import UnsupportedError, WorkerError
from multilstm.execution.options import Options
from multilstm.jobs.dtypes import stored
from multilstm.spec import LSTM, Activation, Dense, Sequential
from multilstm.spec.arrays import State
from multilstm.spec.layers.opaque import Facts, OpaqueLayer
from multilstm.suite.compare_cases import compare_cases

FAULTY, OTHERS = "keras-torch", ("keras-tensorflow", "keras-jax")
IDENTITY = OpaqueLayer(
    name="identity",
    keras_class="Identity",
    config="{}",
    call='{"positional": true, "arguments": {}}',
    facts=Facts(((None, None, 3),), (((0, 0), (0, 1), 3),), (), passes_mask=True),
)


def model():
    spec = Sequential([LSTM(3, return_sequences=True), Activation("linear", name="identity"), Dense(2)], (None, 2))
    return dataclasses.replace(
        spec, layers=tuple(IDENTITY if layer.name == "identity" else layer for layer in spec.layers)
    )


class Engines(FaultyPool):
    """The reference in place of every engine, with a layer of its own for Keras's Identity; one engine is faulty."""

    def execute(self, engine, job):
        layers = (
            Activation("linear", name=layer.name) if isinstance(layer, OpaqueLayer) else layer
            for layer in job.spec.layers
        )
        known = dataclasses.replace(job, spec=dataclasses.replace(job.spec, layers=tuple(layers)))
        result = with_arrays(super().execute(JUDGE, known), lambda array: array.astype(stored(job.dtype)))
        return self.fault(result) if engine == FAULTY else result


def compared(fault, dtype="float64"):
    options = Options((*OTHERS, FAULTY), (dtype,))
    return compare_cases((model_case(model()),), options, pool=Engines(fault))


def in_answers(change):
    return lambda result: dataclasses.replace(
        result, answers=tuple(change(number, answer) for number, answer in enumerate(result.answers))
    )


def in_outputs(change):
    return in_answers(lambda _, answer: dataclasses.replace(answer, outputs=tuple(map(change, answer.outputs))))


def in_states(change):
    return in_answers(lambda _, answer: dataclasses.replace(answer, states=change(answer.states)))


def raises(error):
    def fault(result):
        raise error

    return fault


FAULTS = {
    "a wrong number": in_outputs(lambda array: array + 0.1 * (np.arange(array.size).reshape(array.shape) == 1)),
    "a wrong last digit": in_outputs(lambda array: array * (1 + 1e-12)),
    "NaN": in_outputs(lambda array: np.full_like(array, np.nan)),
    "one NaN": in_outputs(lambda array: np.where(np.arange(array.size).reshape(array.shape) == 1, np.nan, array)),
    "infinity": in_outputs(lambda array: np.full_like(array, np.inf)),
    "a constant": in_outputs(lambda array: np.full_like(array, array.mean())),
    "zeros": in_outputs(np.zeros_like),
    "rows in another order": in_outputs(lambda array: array[::-1]),
    "rounded to float32": in_outputs(lambda array: array.astype("float32").astype("float64")),
    "stored in float32": in_outputs(lambda array: array.astype("float32")),
    "integers": in_outputs(lambda array: array.astype(int)),
    "complex numbers": in_outputs(lambda array: array.astype(complex)),
    "objects": in_outputs(lambda array: array.astype(object)),
    "texts": in_outputs(lambda array: array.astype(str)),
    "no axis of the batch": in_outputs(np.ravel),
    "no rows": in_outputs(lambda array: array[:0]),
    "no output": in_answers(lambda _, answer: dataclasses.replace(answer, outputs=())),
    "a second output": in_answers(lambda _, answer: dataclasses.replace(answer, outputs=answer.outputs * 2)),
    "no answer to the last batch": lambda result: dataclasses.replace(result, answers=result.answers[:-1]),
    "no answers": lambda result: dataclasses.replace(result, answers=()),
    "the first answer twice": lambda result: dataclasses.replace(result, answers=result.answers[:1] * 2),
    "no states": in_states(lambda states: {}),
    "exchanged states": in_states(lambda states: {name: State(s.cell, s.hidden) for name, s in states.items()}),
    "states of another layer": in_states(lambda states: {f"{name}_1": state for name, state in states.items()}),
    "one parameter more": lambda result: dataclasses.replace(
        result, parameter_counts={name: count + 1 for name, count in result.parameter_counts.items()}
    ),
    "no weights": lambda result: dataclasses.replace(result, weights={}),
}


def test_engines_without_a_fault_agree():
    report = compared(lambda result: result)
    assert {cell.verdict for cell in report.cells} == {"unjudged"}
    assert {cell.engine for cell in report.cells} == {*OTHERS, FAULTY}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_faulty_engine_differs_from_both_others(fault):
    report = compared(FAULTS[fault])
    assert report.exit_code() == 1
    messages = [cell.comparison.message for cell in report.failures if cell.engine == FAULTY]
    assert any(all(f"against {other}" in message for other in OTHERS) for message in messages)
    for cell in report.failures:
        if cell.engine != FAULTY:  # the two that agree name the faulty one alone
            assert f"against {FAULTY}" in cell.comparison.message
            assert not any(f"against {other}" in cell.comparison.message for other in OTHERS)
        assert "the reference has" not in cell.comparison.message


@pytest.mark.parametrize("fault", ["a wrong number", "NaN", "a constant", "no output"])
def test_a_fault_is_found_in_float32(fault):
    report = compared(FAULTS[fault], "float32")
    assert FAULTY in {cell.engine for cell in report.failures}


@pytest.mark.parametrize(
    ("error", "verdict", "code"),
    [(WorkerError("boom", kind="crash"), "error", 1), (UnsupportedError("no such layer"), "unsupported", 0)],
    ids=["error", "unsupported"],
)
def test_an_engine_without_an_answer_is_named(error, verdict, code):
    report = compared(raises(error))
    assert {cell.verdict for cell in report.cells if cell.engine == FAULTY} == {verdict}
    assert {cell.verdict for cell in report.cells if cell.engine != FAULTY} == {"unjudged"}
    assert report.exit_code() == code
    assert verdict == "error" or f"{FAULTY} executed nothing" in report.sentence
