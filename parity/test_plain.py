"""Seed programs in plain Keras: every difference is known, by the expected rows of the ledger and no others.

Each prediction of the ledger is what plain Keras computes, on a case that shows it.
"""

import dataclasses

import pytest

from multilstm.cases.catalogue import select
from multilstm.cases.model_case import model_case
from multilstm.engines.registry import ENGINES
from multilstm.execution.options import Options
from multilstm.ledger.rows import ledger
from multilstm.spec import (
    GRU,
    L1L2,
    LSTM,
    Activation,
    Bidirectional,
    Dense,
    Input,
    LeakyReLU,
    Masking,
    Model,
    Normalization,
    ReLU,
    Rescaling,
    Reshape,
    Sequential,
)
from multilstm.spec.optimizers import SGD, AdamW, RMSprop
from multilstm.suite.compare_cases import compare_cases
from multilstm.workers import WorkerPool

# By program and engine: the rows that explain the differences. All others agree.
EXPECTED = {
    ("seed1-stateful", "keras-jax"): {"stateful_state_is_lost"},
    ("seed1-stateful", "keras-torch"): {"stateful_training_raises"},
    ("seed2-stacked", "keras-tensorflow"): {"categorical_crossentropy_logits"},
    ("seed3-units", "keras-jax"): {"stateful_state_is_lost"},
    ("seed3-units", "keras-torch"): {"stateful_training_raises"},
    ("seed5-masked", "keras-tensorflow"): {"time_distributed_more_sequences"},
}
PLAIN = ("seed1-stateful", "seed2-stacked", "seed2-functional", "seed3-units", "seed5-masked")
KERAS = tuple(name for name in ENGINES if name.startswith("keras-"))


@pytest.fixture(scope="module")
def plain():
    """Forward and gradient in float32, on the Keras engines that are installed."""
    engines = tuple(name for name in KERAS if not ENGINES[name].missing)
    quantities = ("parameter_count", "output", "sequence", "hidden", "cell", "gradient")
    return compare_cases(select(PLAIN), Options(engines, ("float32",), "plain", quantities=quantities)).cells


@pytest.mark.parametrize("engine", KERAS)
@pytest.mark.parametrize("program", PLAIN)
def test_every_difference_is_known(plain, program, engine):
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    cells = [cell for cell in plain if (cell.case, cell.engine) == (program, engine)]
    assert cells
    failing = [f"{cell.verdict}: {cell.comparison.message}" for cell in cells if cell.verdict in ("diverges", "error")]
    assert failing == []
    rows = {row.id for cell in cells for row in cell.comparison.known}
    assert rows == EXPECTED.get((program, engine), set())


def unused_half():
    """A case whose optimizer lets weights decay that no output depends on."""
    inputs = Input((3, 2))
    outputs = Bidirectional(LSTM(4), merge_mode=None, name="both")(inputs)
    case = model_case(Model(inputs, outputs[0]), 2, 3)
    return dataclasses.replace(case, optimizer=AdamW(0.1, weight_decay=0.5), example=False)


def no_change():
    """A case of a Reshape that changes nothing, under a mask."""
    below = [Masking(0.0), Reshape((4, 2)), LSTM(3, return_sequences=True)]
    case = model_case(Sequential(below, (4, 2)), 2, 4)
    return dataclasses.replace(case, optimizer=None, training=())


def large_batch():
    """A case whose biases get gradients of thousands of terms."""
    case = model_case(Sequential([LSTM(3, return_sequences=True), Dense(2)], (None, 2)), 2000, 2)
    return dataclasses.replace(case, optimizer=None, training=())


def uneven_labels():
    """A case of softmax and sigmoid outputs, whose labels do not sum to one."""
    inputs = Input((None, 2))
    sequence = LSTM(3, return_sequences=True)(inputs)
    heads = [Dense(4, activation=name, name=name)(sequence) for name in ("softmax", "sigmoid")]
    return dataclasses.replace(model_case(Model(inputs, heads), 2, 4), loss="categorical_crossentropy")


def trained(*layers, optimizer):
    """A case of an optimizer, with layers below a Dense."""
    case = model_case(Sequential([*layers, Dense(2)], (4, 2)), 2, 4)
    return dataclasses.replace(case, optimizer=optimizer, example=False)


def activated(*names):
    """A case of activations, in recurrent layers and behind them; the inputs of the last one reach beyond 20."""
    gates = [LSTM(3, name, name, return_sequences=True) for name in names]
    heads = [*(Dense(3, name) for name in names), Rescaling(64.0), Activation(names[-1])]
    case = model_case(Sequential([*gates, GRU(3, *names, return_sequences=True), *heads], (4, 2)), 2, 4)
    return dataclasses.replace(case, optimizer=None, training=())


def rounded_layers():
    """A case of all layers whose numbers are rounded."""
    numbers = [Rescaling([0.1, 0.2], 0.3), Rescaling(1.1), Normalization(mean=[0.1, 0.2], variance=[0.3, 0.4])]
    slopes = [LeakyReLU(0.3), ReLU(negative_slope=0.7), ReLU(0.3, 0.2, 0.1), ReLU(max_value=0.7)]
    case = model_case(Sequential([*numbers, LSTM(3, return_sequences=True), *slopes, Dense(2)], (4, 2)), 2, 4)
    return dataclasses.replace(case, optimizer=None, training=())


# Cases by prediction, each with the engine and the dtype in which the rest of the case has no bounded difference.
SHOWN = {
    "states_are_lost": ("option-stateful", "keras-jax", "float64"),
    "mask_is_dropped": ("model-encoder_decoder-mask-right", "keras-torch", "float64"),
    "start_is_returned": (
        "sweep-bidirectional-ave-mask-full_row-state-given-stateful-any_length",
        "keras-jax",
        "float32",
    ),
    "zero_output_is_ignored": (
        "sweep-bidirectional-concat-layers-2-mask-right-unroll-return_sequences",
        "keras-jax",
        "float64",
    ),
    "zeroed_in_wrong_order": (
        "sweep-bidirectional-ave-layers-2-mask-scattered-unroll-return_sequences",
        "keras-tensorflow",
        "float32",
    ),
    "bias_sum_is_bfloat16": (large_batch(), "keras-tensorflow", "mixed_bfloat16"),
    "loss_of_logits": (uneven_labels(), "keras-tensorflow", "float64"),
    "mask_is_kept": (no_change(), "keras-jax", "float64"),
    "ends_are_repeated": ("layer-time_distributed", "keras-torch", "float64"),
    "timesteps_are_cut": ("model-masking_time_distributed-mask-scattered", "keras-tensorflow", "float64"),
    "decay_is_skipped": (unused_half(), "keras-torch", "float32"),
}
CLIPPED = {
    f"tokens_are_squared_apart-{name}": (name, "keras-tensorflow", "float64")
    for name in (
        "optimizer-adam-beta-1-clipnorm-piecewise-alone",
        "optimizer-adam-global-clipnorm-decay-decaying-constrained",
        "optimizer-adamw-beta-2-clipvalue-decay-alone",
    )
}


ROUNDED = {
    f"numbers_are_rounded-{name}": (case, "keras-tensorflow", "float64")
    for name, case in {
        "layers": rounded_layers(),
        "penalties": trained(LSTM(3, kernel_regularizer=L1L2(0.1, 0.2)), optimizer=SGD(0.1)),
        "adamw": trained(LSTM(3), optimizer=AdamW(0.01, 0.7, weight_decay=0.3)),
        "sgd": trained(LSTM(3), optimizer=SGD(0.1, 0.9, nesterov=True, weight_decay=0.3)),
        "rmsprop": trained(LSTM(3), optimizer=RMSprop(0.01, 0.7, 0.3, weight_decay=0.3)),
        "activations": activated("gelu", "leaky_relu"),
    }.items()
} | {"softplus_ends-activations": (activated("hard_sigmoid", "softplus"), "keras-torch", "float64")}
PREDICTED = SHOWN | CLIPPED | ROUNDED


def test_every_prediction_is_shown():
    assert {row.prediction for row in ledger()} - {""} == {name.partition("-")[0] for name in PREDICTED}


@pytest.fixture(scope="module")
def workers():
    with WorkerPool(threads=1, parallel=1) as pool:
        yield pool


@pytest.mark.parametrize("name", PREDICTED)
def test_plain_keras_gives_the_predicted_answer(workers, name):
    case, engine, dtype = PREDICTED[name]
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    (case,) = select([case]) if isinstance(case, str) else (case,)
    report = compare_cases((case,), Options((engine,), (dtype,), "plain"), pool=workers)
    assert not report.failures, str(report)
    predictions = {row.id: row.prediction for row in ledger()}
    known = {predictions[row.id] for cell in report.cells for row in cell.comparison.known}
    assert name.partition("-")[0] in known


def test_plain_keras_raises_the_error_of_a_row(workers):
    """Errors of a traced model have other words than those of a reproducer, which is eager."""
    if ENGINES["keras-tensorflow"].missing:
        pytest.skip(f"{', '.join(ENGINES['keras-tensorflow'].missing)} is not installed")
    cases = select(["option-kernel_regularizer-OrthogonalRegularizer"])
    report = compare_cases(cases, Options(("keras-tensorflow",), ("float64",), "plain"), pool=workers)
    assert not report.failures, str(report)
    known = {row.id for cell in report.cells for row in cell.comparison.known}
    assert known == {"orthogonal_regularizer_float64"}
