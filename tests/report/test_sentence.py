"""The verdict sentence of a report: it comes first, and never contradicts what follows."""

import pytest

from multilstm.compare import Comparison, KnownRow, Quantity
from multilstm.jobs.implementation import Implementation
from multilstm.report.data import Cell, Report
from multilstm.report.terminal import to_text

LOST = KnownRow("stateful_state_is_lost", "a stateful LSTM forgets its state")


def cell(engine, verdict, quantity="hidden:lstm", case="model", **more):
    comparison = Comparison(Quantity.parse(quantity), verdict, 1e-7, 0.1, 3, "1e-06", **more)
    return Cell(
        case=case,
        engine=engine,
        device="cpu",
        dtype="float32",
        layers="plain",
        seconds=0.5,
        implementation=Implementation(),
        comparison=comparison,
    )


AGREES = cell("keras-jax", "within")
KNOWN = cell("keras-jax", "known", "cell:lstm", known=(LOST,))
WRONG = cell("keras-torch", "diverges")
IDLE = cell("torch-lstm", "unsupported", message="no masks")

SENTENCES = {
    "agreement": (
        (AGREES, cell("jax-scan", "bitwise")),
        "Same answers on keras-jax, jax-scan: 2 quantities, compared with the float64 reference.",
    ),
    "difference": (
        (AGREES, WRONG),
        "Different answers: keras-torch (1 quantity). 1 quantity agrees.",
    ),
    "known": (
        (AGREES, KNOWN),
        "Same answers, except for known differences: keras-jax (1 quantity), by the ledger's stateful_state_is_lost.",
    ),
    "difference_and_known": (
        (KNOWN, WRONG),
        "Different answers: keras-torch (1 quantity). "
        "Known differences: keras-jax (1 quantity), by the ledger's stateful_state_is_lost.",
    ),
    "idle_engine": (
        (AGREES, IDLE),
        "Same answers on keras-jax: 1 quantity, compared with the float64 reference. torch-lstm executed nothing.",
    ),
    "case_not_executed": (
        (cell("torch-lstm", "within", case="other"), IDLE),
        "Same answers on torch-lstm: 1 quantity, compared with the float64 reference. "
        "1 case not executed by torch-lstm.",
    ),
    "nothing_supported": ((IDLE,), "Nothing was compared (torch-lstm: no masks)."),
    "nothing": ((), "Nothing was compared (no engine ran)."),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_sentence(name):
    cells, sentence = SENTENCES[name]
    report = Report(cells, {})
    assert report.sentence == sentence
    assert " ".join(to_text(report).split()).startswith(sentence)


def test_a_model_without_an_lstm_is_named_as_such():
    report = Report((AGREES,), {}, without_lstm=("model",))
    assert report.sentence.endswith("The model contains no LSTM.")


@pytest.mark.parametrize(
    ("cells", "named", "strict", "code"),
    [
        ((AGREES,), (), False, 0),
        ((AGREES, KNOWN), (), False, 0),
        ((AGREES, KNOWN), (), True, 1),
        ((AGREES, IDLE), (), False, 0),
        ((AGREES, IDLE), (), True, 1),
        ((AGREES, IDLE), ("torch-lstm",), False, 3),
        ((AGREES, WRONG), (), False, 1),
        ((IDLE,), (), False, 3),
        ((), (), False, 3),
    ],
    ids=["agrees", "known", "known-strict", "idle", "idle-strict", "idle-named", "wrong", "unsupported", "nothing"],
)
def test_the_exit_code(cells, named, strict, code):
    assert Report(cells, {}, named=named).exit_code(strict) == code


def test_printing_a_report_shows_it():
    assert str(Report((AGREES,), {})).startswith("Same answers on keras-jax: 1 quantity")
