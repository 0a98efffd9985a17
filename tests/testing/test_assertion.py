"""`assert_parity`: its outcomes, and the message of a failure."""

import json
import re

import numpy as np
import pytest
import small_reports
from marks import needs

from multilstm import LSTM, Dense, Masking, Sequential, discriminating_weights
from multilstm.compare import Mismatch
from multilstm.engines import registry
from multilstm.errors import EngineUnavailableError, InputError, ParityError, UsageError
from multilstm.report.arguments import Arguments
from multilstm.spec import to_json
from multilstm.testing import assert_parity
from multilstm.testing.message import WIDTH, failure_message

SPEC = Sequential([LSTM(3), Dense(2)], input_shape=(None, 3), name="mine")
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")

needs_torch = needs("torch-lstm")


@pytest.fixture
def workers(living_pool):
    return living_pool()


def answers(spec=SPEC, swap=False):
    """Return output and states of the model, computed here; `swap` exchanges the gates f and c."""
    weights = discriminating_weights(spec)
    kernel, recurrent, bias = (weights[f"lstm/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
    hidden = cell = np.zeros((2, 3))
    for inputs in np.moveaxis(X, 1, 0):
        i, f, c, o = np.split(inputs @ kernel + hidden @ recurrent + bias, 4, axis=1)
        f, c = (c, f) if swap else (f, c)
        cell = cell / (1 + np.exp(-f)) + np.tanh(c) / (1 + np.exp(-i))
        hidden = np.tanh(cell) / (1 + np.exp(-o))
    output = hidden @ weights["dense/kernel"] + weights["dense/bias"]
    arrays = {"output": output, "hidden:lstm": hidden, "cell:lstm": cell}
    return {name: array.astype("float32") for name, array in arrays.items()}


def test_right_answers_give_the_report(workers):
    report = assert_parity(SPEC, X, against=answers(), dtype="float32", workers=workers)
    assert report.engines == ("reference", "recorded")
    assert {cell.dtype for cell in report.cells} == {"float32"}


def test_the_message_has_values_statistics_place_and_command(workers):
    with pytest.raises(ParityError) as caught:
        assert_parity(SPEC, X, against=answers(swap=True), dtype="float32", workers=workers)
    text = str(caught.value)
    expected = [
        "recorded: 3 of 3 quantities differ",
        "output of 'mine' on recorded in float32",
        " ACTUAL:  ",
        " DESIRED: ",
        "Mismatched elements: 4 / 4 (100%)",
        "Max absolute difference: ",
        "Max relative difference: ",
        "All differences: mean ",
        "Tolerance: ",
        "First divergence:",
        "LSTM 'lstm'",
        "as if the gates were in the order i c f o",
        "Other differences:",
        "recorded float32: hidden:lstm",
        "Repeat with:",
        "  pytest tests/testing/test_assertion.py::test_the_message_has_values_statistics_place_and_command",
    ]
    places = [" ".join(text.split()).find(" ".join(part.split())) for part in expected]
    assert -1 not in places
    assert places == sorted(places)
    long = [line for line in text.splitlines() if len(line) > WIDTH and not line.startswith("  pytest ")]
    assert long == []


def test_the_traceback_of_a_refusal_shows_the_line_of_the_test_alone(suite):
    shown = suite("def test_it(): assert_parity(SPEC, X, engines=['kears'])\n").stdout.str()
    assert "E   multilstm.errors.UsageError: unknown engine 'kears'" in shown
    assert "comparison.py" not in shown
    assert "assertion.py" not in shown


def test_the_traceback_shows_the_line_of_the_test_alone(suite):
    result = suite("def test_it(): assert_parity(SPEC, X, against=X[:, 0, :2], dtype='float32')\n")
    shown = result.stdout.str()
    assert "assert_parity(SPEC, X, against=X[:, 0, :2], dtype='float32')" in shown
    assert "assertion.py" not in shown
    assert "E   First divergence:" in shown


def test_a_file_without_inputs_is_repeated_by_the_command_line(tmp_path, workers):
    path = tmp_path / "my model.json"
    path.write_text(json.dumps(to_json(SPEC)), encoding="utf-8")
    report = assert_parity(path, engines=["reference"], dtype="float64", workers=workers)
    assert report.arguments == Arguments(model=str(path))
    assert assert_parity(path, X, engines=["reference"], dtype="float64", workers=workers).arguments is None


def diverging(**more):
    """Return a report of one cell that diverges, in a file from a stranger."""
    mismatch = Mismatch(3, 8, (0, 1), 0.5, 0.25, None, 0.125, 0.0625, batch=1)
    cell = small_reports.cell("m", "keras-jax", verdict="diverges", share=2.0, mismatch=mismatch, **more)
    return small_reports.report(cell, arguments=Arguments(model="my model.json"))


def test_the_message_of_a_file_ends_with_both_commands():
    lines = failure_message(diverging()).splitlines()
    assert lines[3:5] == [" ACTUAL:  0.5   keras-jax, at [0, 1] of batch 1", " DESIRED: 0.25  the float64 reference"]
    assert "Max relative difference" not in "".join(lines)
    assert lines[-3] == "Repeat with:"
    assert lines[-1] == (
        "  multilstm parity 'my model.json' --engine keras-jax --dtype float32 --layers plain --quantity hidden"
    )


@pytest.mark.parametrize(
    "text", ["a\x1b[31mb", "a\u202eb", "x" * 5000, "line\n" * 500], ids=["control", "direction", "long", "lines"]
)
def test_a_hostile_text_stays_text_in_the_message(text):
    error = small_reports.cell(text, "keras-jax", verdict="error", share=None, message=text, explanation=text)
    for report in (diverging(explanation=text), small_reports.report(error)):
        message = failure_message(report)
        assert all(line.isprintable() for line in message.splitlines())
        assert len(message.splitlines()) < 60


@needs_torch
def test_nothing_compared_is_an_error(workers):
    masked = Sequential([Masking(), LSTM(3)], input_shape=(None, 3), name="masked")
    x = np.array(X)
    x[0, 2:] = 0
    with pytest.raises(ParityError, match="nothing was compared on torch-lstm") as caught:
        assert_parity(masked, x, engines=["torch-lstm"], dtype="float32", workers=workers)
    assert "torch-lstm: " in str(caught.value)


@needs_torch
def test_a_named_engine_that_is_idle_is_an_error_although_another_agrees(workers):
    masked = Sequential([Masking(), LSTM(3)], input_shape=(None, 3), name="masked")
    x = np.array(X)
    x[0, 2:] = 0
    with pytest.raises(ParityError, match="nothing was compared on torch-lstm"):
        assert_parity(masked, x, engines=["reference", "torch-lstm"], dtype="float32", workers=workers)


@pytest.fixture
def without_frameworks(monkeypatch):
    monkeypatch.setattr(registry, "not_installed", lambda modules: tuple(name for name in modules if name != "numpy"))


def test_without_an_engine_a_test_is_skipped_with_the_reason(without_frameworks):
    with pytest.raises(pytest.skip.Exception) as caught:
        assert_parity(SPEC, X)
    first, others = caught.value.msg.split("; nor can ")
    name = re.match(r"no engine can run here: engine '(.*)' needs .*, not installed here; install it with: ", first)[1]
    names = {name, *others.split(", ")}
    assert names == {name for name, row in registry.ENGINES.items() if name != "reference" and row.is_default(None)}
    assert caught.value.msg.isprintable()


def test_without_an_engine_outside_of_a_test_is_an_error(without_frameworks, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with pytest.raises(EngineUnavailableError, match="no engine can run here"):
        assert_parity(SPEC, X)


def test_a_named_engine_that_is_not_installed_is_an_error(without_frameworks):
    with pytest.raises(EngineUnavailableError, match="'jax-scan' needs jax"):
        assert_parity(SPEC, X, engines=["jax-scan"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": SPEC, "inputs": X, "engines": ["kears"]}, UsageError, "unknown engine 'kears'"),
        ({"model": SPEC, "inputs": X, "dtype": "float8"}, UsageError, "unknown dtype 'float8'"),
        ({"model": SPEC, "inputs": X[..., :2]}, InputError, "shape"),
        ({"model": "none.keras"}, InputError, "cannot read 'none.keras'"),
        ({"model": SPEC, "against": X}, UsageError, "against: given without inputs"),
    ],
    ids=["engine", "dtype", "shape", "file", "no_inputs"],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        assert_parity(**arguments)
