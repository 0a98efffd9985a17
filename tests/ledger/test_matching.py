"""The verdict `known`, the rows that a model touches, and how both are shown."""

import dataclasses
import io

import pytest
from rich.console import Console

from multilstm.cases.catalogue import catalogue
from multilstm.cases.model_case import model_case
from multilstm.compare import Comparison, Quantity
from multilstm.execution.options import Options
from multilstm.jobs.implementation import Implementation
from multilstm.ledger import matching as known
from multilstm.ledger.matching import mark_known, touches
from multilstm.ledger.rows import ledger
from multilstm.report.cells import Cell
from multilstm.report.report import Report
from multilstm.report.terminal import show
from multilstm.spec import LSTM, Masking, Sequential

ENGINES = ("keras-tensorflow", "keras-jax", "keras-torch")
VERSIONS = {"keras": ledger()[0].last, "jaxlib": "0.0.1"}


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """The versions of the ledger, whatever is installed here."""
    monkeypatch.setattr(known, "versions", lambda: VERSIONS)


def cell(
    case, engine, quantity, verdict="diverges", message="it differs", max_abs=0.5, dtype="float32", layers="plain"
):
    comparison = Comparison(Quantity.parse(quantity), verdict, max_abs, message=message)
    return Cell(
        case=case, engine=engine, device="cpu", dtype=dtype, layers=layers, seconds=0.0,
        implementation=Implementation(), comparison=comparison,
    )  # fmt: skip


def agreeing(cell, predictions):
    """Pretend that an engine gives every predicted answer, and that its largest desired number is 1."""
    return dataclasses.replace(cell.comparison, verdict="within" if predictions else cell.verdict), (
        cell.comparison.max_abs
    )


IN_PLACE = "a variable has been modified by an inplace operation"
OUT_OF_BOUNDS = "slice index 99 of dimension 0 out of bounds. [[{{node td/loop_body/strided_slice}}]]"
CENTERED = "optimizer-rmsprop-rho-centered-clipnorm-constant-decaying-constrained"
SCAN = "calling GRU.call(). scan body function carry input and carry output must have equal types, but they differ:"
KNOWN = {
    "state lost": (cell("seed1-stateful", "keras-jax", "hidden:lstm"), "stateful_state_is_lost"),
    "state not lost elsewhere": (cell("seed1-stateful", "keras-torch", "hidden:lstm"), None),
    "no state to lose": (cell("seed1-stateless", "keras-jax", "hidden:lstm"), None),
    "counts are not states": (cell("seed1-stateful", "keras-jax", "parameter_count"), None),
    "training raises": (
        cell("seed1-stateful", "keras-torch", "gradient:lstm/kernel", "error", IN_PLACE),
        "stateful_training_raises",
    ),
    "another error": (cell("seed1-stateful", "keras-torch", "gradient:lstm/kernel", "error", "out of memory"), None),
    "forward does not raise": (cell("seed1-stateful", "keras-torch", "output", "error", IN_PLACE), None),
    "repeated tokens": (
        cell("seed2-embedding", "keras-tensorflow", "weights:program/embedding/embeddings"),
        "embedding_repeated_tokens",
    ),
    "no Embedding": (cell("seed2-integers", "keras-tensorflow", "weights:program/lstm/kernel"), None),
    "uneven labels": (
        cell("seed2-stacked", "keras-tensorflow", "gradient:lstm/kernel"),
        "categorical_crossentropy_logits",
    ),
    "Adam": (
        cell("seed3-states", "keras-tensorflow", "weights:updates/lstm/kernel", max_abs=1e-6, dtype="float64"),
        "adam_float64",
    ),
    "Adam in float32": (cell("seed3-states", "keras-tensorflow", "weights:updates/lstm/kernel", max_abs=1e-6), None),
    "bias in bfloat16": (
        cell("seed2-integers", "keras-tensorflow", "gradient:dense/bias", dtype="mixed_bfloat16"),
        "bias_gradient_bfloat16",
    ),
    "bias in float16": (cell("seed2-integers", "keras-tensorflow", "gradient:dense/bias", dtype="mixed_float16"), None),
    "TimeDistributed": (
        cell("seed5", "keras-tensorflow", "output", "error", OUT_OF_BOUNDS),
        "time_distributed_more_sequences",
    ),
    "TimeDistributed, another error": (
        cell("seed5", "keras-tensorflow", "output", "error", "InvalidArgumentError: shapes"),
        None,
    ),
    "TimeDistributed, another slice": (
        cell("seed5", "keras-tensorflow", "output", "error", OUT_OF_BOUNDS.replace("loop_body", "lstm")),
        None,
    ),
    "targets of uncut sequences": (
        cell("seed5", "keras-tensorflow", "gradient:lstm/kernel", "error", "Incompatible shapes: [2,5,3] vs. [2,2,3]"),
        "time_distributed_training_raises",
    ),
    "targets of another shape": (
        cell("seed5", "keras-tensorflow", "gradient:lstm/kernel", "error", "Incompatible shapes: [2,5,3] vs. [2,4,3]"),
        None,
    ),
    "fixed batch": (cell("seed3-states", "keras-tensorflow", "output", "error", OUT_OF_BOUNDS), None),
    "centered RMSprop": (
        cell(CENTERED, "keras-tensorflow", "loss:program", "error", "indices[0] = 26 is not in [0, 19)"),
        "centered_rmsprop_repeated_tokens",
    ),
    "centered RMSprop, another token": (
        cell(CENTERED, "keras-tensorflow", "loss:program", "error", "indices[0,3] = 26 is not in [0, 19)"),
        None,
    ),
    "GRU without bias": (
        cell("recurrent-gru", "keras-jax", "weight_shape:gru/kernel", "error", f"TypeError: {SCAN}"),
        "gru_without_bias",
    ),
    "GRU without bias in float64": (
        cell("recurrent-gru", "keras-jax", "output", "error", f"TypeError: {SCAN}", dtype="float64"),
        None,
    ),
    "GRU without bias under a mask": (
        cell("recurrent-gru-mask-left", "keras-jax", "output", "error", f"TypeError: {SCAN}"),
        None,
    ),
    "portable": (
        dataclasses.replace(cell("seed1-stateful", "keras-jax", "hidden:lstm"), layers="portable"),
        None,
    ),
    "on a GPU, where it was not seen": (
        dataclasses.replace(cell("seed1-stateful", "keras-jax", "hidden:lstm"), device="gpu"),
        None,
    ),
    "agreement": (cell("seed1-stateful", "keras-jax", "hidden:lstm", "within", ""), None),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_a_failing_cell_is_known_exactly_where_a_row_explains_it(name):
    given, row = KNOWN[name]
    (judged,) = mark_known(catalogue()[given.case], [given], agreeing)
    if row is None:
        assert judged == given
    else:
        assert judged.verdict == "known"
        assert [known.id for known in judged.comparison.known] == [row]
        assert judged.comparison.message == given.comparison.message
        assert judged.comparison.max_abs == given.comparison.max_abs


def test_another_version_is_not_known(monkeypatch):
    monkeypatch.setattr(known, "versions", lambda: {"keras": "99.0"})
    given, _ = KNOWN["state lost"]
    assert mark_known(catalogue()[given.case], [given], agreeing) == [given]


def touched(spec, engines=ENGINES):
    return {touch.row.id: touch for touch in touches(model_case(spec, 2, 5), Options(engines, ("float32",), "plain"))}


def test_a_model_touches_the_rows_of_its_options():
    found = touched(Sequential([Masking(), LSTM(4, stateful=True)], input_shape=(None, 3), batch_size=2))
    assert found["stateful_state_is_lost"].layers == ("lstm",)
    assert found["stateful_state_is_lost"].engines == ("keras-jax",)
    assert {"leading_mask_initial_state", "stateful_mixed_precision", "exception_in_predict_loses_weights"} <= set(
        found
    )
    assert not {"time_distributed_variable_length", "embedding_repeated_tokens", "stacked_cells_dtype"} & set(found)
    order = [touch.row.severity for touch in found.values()]
    assert order == sorted(order, key=("high", "medium", "low").index)


def test_a_model_touches_only_rows_of_the_engines_that_run():
    spec = Sequential([LSTM(4, stateful=True)], input_shape=(None, 3), batch_size=2)
    assert "stateful_state_is_lost" not in touched(spec, ("keras-torch",))
    assert touched(spec, ("torch-lstm",)) == {}


def test_known_differences_are_shown():
    given, row = KNOWN["state lost"]
    case = catalogue()["seed1-stateful"]
    found = touches(case, Options(ENGINES, ("float32",), "plain"))
    report = Report(tuple(mark_known(case, [given], agreeing)), {}, touches=tuple(touch.to_dict() for touch in found))
    console = Console(file=io.StringIO(), width=80, color_system=None)
    show(report, console)
    text = " ".join(console.file.getvalue().split())
    assert text.startswith(f"Known differences: keras-jax (1 quantity: {row}).")
    assert f"{row} on keras-jax at lstm (in this run) a stateful LSTM forgets its state" in text
    assert "Use multilstm.keras_layers.LSTM." in text
    assert report.touches[0]["severity"] == "high"
    assert not report.failures
