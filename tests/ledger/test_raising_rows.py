"""A row of an error explains its own words in its own quantities, and neither other errors nor wrong numbers."""

import dataclasses
import math

import pytest

from multilstm.cases.catalogue import catalogue
from multilstm.cases.model_case import model_case
from multilstm.compare import Comparison, Quantity
from multilstm.compare.quantity import FORWARD
from multilstm.jobs.implementation import Implementation
from multilstm.ledger import matching
from multilstm.ledger.matching import mark_known
from multilstm.ledger.rows import ledger
from multilstm.report.cells import Cell
from multilstm.spec import LSTM, BatchNormalization, Bidirectional, Input, Masking, Model, Sequential

ROWS = {row.id: row for row in ledger() if row.effect == "raises"}


def stateful_halves():
    inputs = Input((3, 2), batch_size=2)
    outputs = Bidirectional(LSTM(3, stateful=True, return_state=True))(inputs)
    return model_case(Model(inputs, outputs[0]))


def one_masked_feature():
    return model_case(Sequential([Masking(-1.0), BatchNormalization(), LSTM(3)], (None, 1)))


# By row: a case that fulfils its condition, the dtype, and an error of plain Keras there.
SHOWN = {
    "stateful_training_raises": (
        "seed1-stateful",
        "float32",
        "RuntimeError: a variable modified by an inplace operation",
    ),
    "bidirectional_stateful_return_state": (
        stateful_halves(),
        "float32",
        "TypeError: unsupported operand type(s) for *: 'generator' and 'int'",
    ),
    "unroll_backwards_mask_raises": (
        "sweep-bidirectional-concat-layers-2-mask-right-unroll-return_sequences",
        "float32",
        "AttributeError: 'tuple' object has no attribute 'shape'",
    ),
    "mask_of_conv_lstm": (
        "recurrent-conv_lstm-mask-full_row",
        "float32",
        "ValueError: Incompatible shapes for broadcasting: shapes=[(3, 1, 1, 1), (3, 4, 3, 2)]",
    ),
    "time_distributed_more_sequences": (
        "model-masking_time_distributed-mask-all_true",
        "float32",
        "slice index 3 of dimension 0 out of bounds. [[{{node td/loop_body/strided_slice}}]]",
    ),
    "time_distributed_training_raises": (
        "model-masking_time_distributed-mask-scattered",
        "float32",
        "InvalidArgumentError: Incompatible shapes: [2,5,3] vs. [2,2,3]",
    ),
    "use_cudnn_true_on_cpu": (
        model_case(Sequential([LSTM(3, use_cudnn=True)], (None, 2))),
        "float32",
        "ValueError: use_cudnn=True was specified, but cuDNN is not supported",
    ),
    "gru_without_bias": (
        "recurrent-gru",
        "float32",
        "TypeError: calling GRU.call(). scan body function carry input and carry output must have equal types",
    ),
    "centered_rmsprop_repeated_tokens": (
        "optimizer-rmsprop-rho-centered-clipnorm-constant-decaying-constrained",
        "float32",
        "InvalidArgumentError: indices[0] = 26 is not in [0, 19)",
    ),
    "orthogonal_regularizer_float64": (
        "option-kernel_regularizer-OrthogonalRegularizer",
        "float64",
        "TypeError: Input 'y' of 'Mul' Op has type float64 that does not match type float32 of argument 'x'.",
    ),
    "batch_normalization_of_one_masked_feature": (
        one_masked_feature(),
        "float32",
        "IndexError: calling BatchNormalization.call(). tuple index out of range",
    ),
    "layer_normalization_axis": (
        "layer-normalization-mask-holes",
        "float32",
        "RuntimeError: Given normalized_shape=[5], expected input with shape [*, 5]",
    ),
}
OTHERS = {
    "memory": "RuntimeError: out of memory",
    "shapes": "ValueError: shapes (2, 3) and (4, 5) not aligned",
    "index": "IndexError: list index out of range",
    "type": "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "crash": "its worker ended with exit code 139",
    "nothing": "",
}


@pytest.fixture(autouse=True)
def versions_of_the_ledger(monkeypatch):
    """The versions in which the rows were seen, whatever is installed here."""
    monkeypatch.setattr(matching, "versions", lambda: {"keras": ledger()[0].last})


def judged(name, verdict, message, kind=None, engine=None, predicted=math.inf):
    """Return the cell of an engine of a row, matched with the ledger."""
    case, dtype, _ = SHOWN[name]
    case = catalogue()[case] if isinstance(case, str) else case
    comparison = Comparison(Quantity(kind or ROWS[name].quantities[-1]), verdict, 0.5, message=message)
    cell = Cell(
        case=case.name,
        engine=engine or ROWS[name].engines[0],
        device="cpu",
        dtype=dtype,
        layers="plain",
        seconds=0.0,
        implementation=Implementation(),
        comparison=comparison,
    )
    (matched,) = mark_known(case, [cell], lambda cell, names: (cell.comparison, predicted))
    return matched


def test_every_row_of_an_error_is_shown():
    assert SHOWN.keys() == ROWS.keys()


@pytest.mark.parametrize("engine", ["keras-tensorflow", "keras-jax", "keras-torch", "jax-scan"])
@pytest.mark.parametrize("name", SHOWN)
def test_its_error_is_known_on_its_engines_alone(name, engine):
    known = [row.id for row in judged(name, "error", SHOWN[name][-1], engine=engine).comparison.known]
    assert known == ([name] if engine in ROWS[name].engines else [])


@pytest.mark.parametrize("name", SHOWN)
def test_its_error_in_another_quantity_is_an_error(name):
    row, message = ROWS[name], SHOWN[name][-1]
    for kind in {*FORWARD, "gradient", "weights"} - set(row.quantities):
        assert judged(name, "error", message, kind).verdict == "error"
    assert judged(name, "error", message, row.quantities[0]).verdict == "known"


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", SHOWN)
def test_another_error_is_an_error(name, other):
    assert judged(name, "error", OTHERS[other]).verdict == "error"


@pytest.mark.parametrize("name", SHOWN)
def test_wrong_numbers_in_place_of_its_error_diverge(name):
    for kind in ROWS[name].quantities:
        assert judged(name, "diverges", SHOWN[name][-1], kind).verdict == "diverges"


@pytest.mark.parametrize("name", SHOWN)
def test_its_error_of_a_model_outside_of_its_condition_is_an_error(name):
    case = model_case(Sequential([LSTM(3)], (None, 2)))
    cell = judged(name, "error", "")
    cell = dataclasses.replace(cell, comparison=dataclasses.replace(cell.comparison, message=SHOWN[name][-1]))
    (matched,) = mark_known(case, [cell], lambda cell, names: (cell.comparison, math.inf))
    assert matched.verdict == "error"
