"""The verdict sentence of a report: it comes first, and never contradicts the lines below it."""

import time

import pytest

from multilstm.compare import Comparison, KnownRow, Quantity
from multilstm.jobs.implementation import Implementation
from multilstm.report.arguments import Arguments
from multilstm.report.cells import Cell
from multilstm.report.html import to_html
from multilstm.report.report import Report
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
NAMED = "torch-lstm: LSTM 'lstm' has recurrent_activation='hard_sigmoid'; torch.nn.LSTM has only 'sigmoid'"
REFUSED = cell("torch-lstm", "unsupported", message=NAMED)

SENTENCES = {
    "agreement": (
        (AGREES, cell("jax-scan", "bitwise")),
        "Same answers on keras-jax, jax-scan: 2 quantities, compared with the float64 reference.",
    ),
    "reference_beside_an_engine": (
        (AGREES, cell("reference", "bitwise")),
        "Same answers on keras-jax: 1 quantity, compared with the float64 reference.",
    ),
    "reference_alone": (
        (cell("reference", "bitwise"), IDLE),
        "Same answers on reference: 1 quantity, compared with the float64 reference. "
        "torch-lstm executed nothing: no masks. No other engine was compared with the reference, which is the judge.",
    ),
    "difference": (
        (AGREES, WRONG),
        "Different answers: keras-torch (1 quantity). 1 other quantity agrees with the float64 reference.",
    ),
    "known": (
        (AGREES, KNOWN),
        "Known differences: keras-jax (1 quantity: stateful_state_is_lost). "
        "1 other quantity agrees with the float64 reference.",
    ),
    "difference_and_known": (
        (KNOWN, WRONG),
        "Different answers: keras-torch (1 quantity). "
        "Known differences: keras-jax (1 quantity: stateful_state_is_lost). No quantity agrees.",
    ),
    "error": (
        (AGREES, cell("keras-torch", "error", message="engine 'keras-torch': RuntimeError: x")),
        "Errors: keras-torch (1 quantity). 1 other quantity agrees with the float64 reference.",
    ),
    "difference_and_error": (
        (WRONG, cell("keras-jax", "error")),
        "Different answers: keras-torch (1 quantity). Errors: keras-jax (1 quantity). No quantity agrees.",
    ),
    "idle_engine": (
        (AGREES, IDLE),
        "Same answers on keras-jax: 1 quantity, compared with the float64 reference. "
        "torch-lstm executed nothing: no masks.",
    ),
    "two_idle_engines": (
        (AGREES, REFUSED, IDLE, cell("onnx-file", "unsupported", message=f"Keras\ndoes not build it: {150 * 'x '}")),
        "Same answers on keras-jax: 1 quantity, compared with the float64 reference. torch-lstm executed nothing: "
        "LSTM 'lstm' has recurrent_activation='hard_sigmoid'. onnx-file executed nothing: Keras does not build it: "
        f"{86 * 'x '}....",
    ),
    "case_not_executed": (
        (cell("torch-lstm", "within", case="other"), IDLE),
        "Same answers on torch-lstm: 1 quantity, compared with the float64 reference. "
        "1 case not executed by torch-lstm.",
    ),
    "nothing_supported": ((IDLE,), "Nothing was compared (torch-lstm: no masks)."),
    "nothing_supported_by_the_name": ((REFUSED,), f"Nothing was compared ({NAMED})."),
    "nothing": ((), "Nothing was compared (no engine ran)."),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_sentence(name):
    cells, sentence = SENTENCES[name]
    report = Report(cells, {})
    assert report.sentence == sentence
    assert " ".join(to_text(report).split()).startswith(sentence)


@pytest.mark.parametrize(
    ("cells", "end"),
    [
        ((AGREES,), "1 case on 1 engine: 1 quantity in 0 s."),
        ((AGREES, IDLE), "1 case on 2 engines: 2 quantities in 0 s; 1 of them was not executed."),
        ((AGREES, IDLE, REFUSED), "1 case on 2 engines: 3 quantities in 0 s; 2 of them were not executed."),
    ],
    ids=["executed", "one", "two"],
)
@pytest.mark.parametrize("render", [to_text, lambda report: to_html({"": report})], ids=["terminal", "page"])
def test_the_totals_count_what_was_not_executed(cells, end, render):
    assert end in render(Report(cells, {}))


@pytest.mark.parametrize(
    ("model", "name"),
    [("a folder/my model.keras", "my model.keras"), ("mine:build", "mine:build"), ("saved/", "saved")],
    ids=["file", "function", "folder"],
)
def test_the_terminal_and_the_page_name_the_model(model, name):
    report = Report((AGREES,), {}, arguments=Arguments(model=model))
    assert to_text(report).splitlines()[1] == f"Model: {name}"
    page = to_html({"": report})
    assert f"<title>{name}: Same answers on keras-jax" in page
    assert f"Model: {name}. 1 case on" in page
    assert "Model:" not in to_text(Report((AGREES,), {}))


def test_the_name_of_a_model_is_text():
    report = Report((AGREES,), {}, arguments=Arguments(model="<b>[red]\x1b.keras"))
    assert "Model: <b>[red]\\x1b.keras" in to_text(report)
    assert "<title>&lt;b&gt;[red]\\x1b.keras: " in to_html({"": report})


def test_a_model_without_a_recurrent_layer_is_named_as_such():
    report = Report((AGREES,), {}, without_recurrent=("model",))
    assert report.sentence.endswith("The model contains no recurrent layer.")


@pytest.mark.parametrize(
    ("cells", "named", "strict", "code"),
    [
        ((AGREES,), (), False, 0),
        ((AGREES, KNOWN), (), False, 0),
        ((AGREES, KNOWN), (), True, 1),
        ((KNOWN,), (), False, 0),
        ((KNOWN,), (), True, 1),
        ((AGREES, IDLE), (), False, 0),
        ((AGREES, IDLE), (), True, 1),
        ((AGREES, IDLE), ("torch-lstm",), False, 3),
        ((AGREES, WRONG), (), False, 1),
        ((IDLE,), (), False, 3),
        ((), (), False, 3),
    ],
    ids=[
        "agrees",
        "known",
        "known-strict",
        "all-known",
        "all-known-strict",
        "idle",
        "idle-strict",
        "idle-named",
        "wrong",
        "unsupported",
        "nothing",
    ],
)
def test_the_exit_code(cells, named, strict, code):
    assert Report(cells, {}, named=named).exit_code(strict) == code


def test_printing_a_report_shows_it():
    assert str(Report((AGREES,), {})).startswith("Same answers on keras-jax: 1 quantity")


def test_a_report_in_a_prompt_is_one_short_line():
    report = Report((AGREES,) * 1000, {"python": "3"})
    assert repr(report) == (
        "<Report of 1,000 quantities: "
        "Same answers on keras-jax: 1,000 quantities, compared with the float64 reference.>"
    )


def test_a_report_of_a_hundred_thousand_quantities_is_printed_in_a_second():
    engines = ["keras-tensorflow", "keras-jax", "keras-torch", "jax-scan", "torch-lstm"]
    report = Report(
        tuple(
            cell(engine, "diverges" if case % 7 == 0 else "within", f"{kind}:lstm", f"sweep-{case}", message="far")
            for case in range(700)
            for engine in engines
            for kind in ("hidden", "cell", "gradient", "weights") * 7
        ),
        {},
    )
    start = time.process_time()
    text = str(report)
    assert time.process_time() - start < 1
    assert "98,000 quantities" in text
