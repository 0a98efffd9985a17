"""Engines compared with each other, where no reference computes the model: all pairs, and no winner."""

import numpy as np
import pytest

from multilstm.cases.model_case import model_case
from multilstm.compare import Quantity
from multilstm.errors import UnsupportedError, WorkerError
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.report.report import Report
from multilstm.spec import LSTM, Sequential
from multilstm.suite import unjudged
from multilstm.suite.judge_part import Attempt

ENGINES = ("keras-tensorflow", "keras-jax", "keras-torch")
OUTPUT = Quantity("output")
CASE = model_case(Sequential([LSTM(2)], input_shape=(3, 2)))
ANSWER = np.linspace(-1, 1, 4)


def compared(monkeypatch, attempts, dtype="float64"):
    """Return the cells of engines whose attempts are given, by engine and quantity."""
    monkeypatch.setattr(unjudged, "attempt_part", lambda execution, part: attempts[execution.engine])
    options = Options(tuple(attempts), (dtype,))
    executions = [Execution(None, engine, CASE, dtype, options) for engine in attempts]
    return {
        (execution.engine, str(cell.quantity)): cell
        for execution, cells in unjudged.compare_all_pairs(executions, Part.FORWARD)
        for cell in cells
    }


def answering(*values):
    return {engine: Attempt({OUTPUT: [np.asarray(value)]}) for engine, value in zip(ENGINES, values, strict=True)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agreement_has_a_verdict_of_its_own(monkeypatch, dtype):
    near = ANSWER * (1 + np.finfo(dtype).eps)
    cells = compared(monkeypatch, answering(*(array.astype(dtype) for array in (ANSWER, ANSWER, near))), dtype)
    assert {cell.verdict for cell in cells.values()} == {"unjudged"}
    assert cells["keras-jax", "output"].comparison.max_abs > 0  # the largest distance, that from keras-torch
    assert cells["keras-jax", "output"].comparison.message == ""


@pytest.mark.parametrize("other", range(3), ids=ENGINES)
def test_a_difference_names_every_pair_that_differs_and_elects_no_winner(monkeypatch, other):
    values = [ANSWER + (0.5 if number == other else 0) for number in range(3)]
    cells = compared(monkeypatch, answering(*values))
    assert {cell.verdict for cell in cells.values()} == {"diverges"}
    for engine in ENGINES:
        named = {
            name
            for name in ENGINES
            if f"against {name}, which is no judge" in cells[engine, "output"].comparison.message
        }
        assert named == (set(ENGINES) - {engine} if engine == ENGINES[other] else {ENGINES[other]})


def test_three_answers_differ_in_all_pairs(monkeypatch):
    cells = compared(monkeypatch, answering(ANSWER, ANSWER + 1, ANSWER + 2))
    for engine in ENGINES:
        message = cells[engine, "output"].comparison.message
        assert all(f"against {other}" in message for other in set(ENGINES) - {engine})
    assert cells["keras-tensorflow", "output"].comparison.max_abs == 2


def test_an_engine_that_fails_takes_no_part(monkeypatch):
    attempts = answering(ANSWER, ANSWER, ANSWER)
    attempts["keras-torch"] = Attempt({}, error=WorkerError("boom", kind="crash"))
    attempts["jax-scan"] = Attempt({}, error=UnsupportedError("layer MultiHeadAttention 'm'"))
    cells = compared(monkeypatch, attempts)
    verdicts = {engine: cells[engine, "output"].verdict for engine in attempts}
    expected = {
        "keras-tensorflow": "unjudged",
        "keras-jax": "unjudged",
        "keras-torch": "error",
        "jax-scan": "unsupported",
    }
    assert verdicts == expected


def test_one_engine_alone_is_no_comparison(monkeypatch):
    attempts = {"keras-jax": answering(ANSWER, ANSWER, ANSWER)["keras-jax"]}
    cells = compared(monkeypatch, attempts)
    assert cells["keras-jax", "output"].verdict == "unsupported"
    assert "no second engine computed the model" in cells["keras-jax", "output"].comparison.message
    assert Report(tuple(cells.values()), {}).exit_code() == 3


def test_another_shape_and_a_number_that_is_not_finite_differ(monkeypatch):
    cells = compared(monkeypatch, answering(ANSWER, ANSWER[:2], np.full(4, np.nan)))
    assert {cell.verdict for cell in cells.values()} == {"diverges"}


@pytest.mark.parametrize(("verdicts", "strict", "code"), [
    (("unjudged",), False, 0), (("unjudged",), True, 1), (("unjudged", "diverges"), False, 1),
    (("unjudged", "unsupported"), False, 0),
])  # fmt: skip
def test_exit_codes(monkeypatch, verdicts, strict, code):
    cells = compared(monkeypatch, answering(ANSWER, ANSWER, ANSWER))
    cell = cells["keras-jax", "output"]
    import dataclasses

    made = [dataclasses.replace(cell, comparison=dataclasses.replace(cell.comparison, verdict=v)) for v in verdicts]
    assert Report(tuple(made), {}).exit_code(strict) == code
