"""A row of the ledger explains the answer that it predicts, and no other.

Each engine here is the reference with the fault of a row. parity/test_plain.py shows that plain Keras has these faults.
"""

import dataclasses

import numpy as np
import pytest
from faulty_pool import FaultyPool, scaled, with_arrays

from multilstm.cases.catalogue import catalogue
from multilstm.cases.model_case import model_case
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.engine import ReferenceProgram
from multilstm.errors import WorkerError
from multilstm.execution.options import Options
from multilstm.ledger import matching
from multilstm.ledger.predictions import DECAY_IS_SKIPPED, STATES_ARE_LOST, combinations
from multilstm.ledger.rows import ledger
from multilstm.spec import (
    L1L2,
    LSTM,
    Bidirectional,
    Dense,
    Input,
    LeakyReLU,
    Masking,
    Model,
    Rescaling,
    Reshape,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import SGD, Adam, AdamW
from multilstm.spec.schedules import ExponentialDecay
from multilstm.suite import judge_part
from multilstm.suite.compare_cases import compare_cases

true_forward = reference_lstm.forward
true_step = ReferenceProgram.step
true_update = ReferenceProgram._update
ROWS = {row.id: row for row in ledger() if row.prediction}


def unused_half():
    """A case whose optimizer lets weights decay that no output depends on."""
    inputs = Input((3, 2))
    outputs = Bidirectional(LSTM(4), merge_mode=None, name="both")(inputs)
    case = model_case(Model(inputs, outputs[0]), 2, 3)
    return dataclasses.replace(case, optimizer=AdamW(0.1, weight_decay=0.5), example=False)


def stateful(*below):
    spec = Sequential([*below, LSTM(3, stateful=True, return_sequences=True)], (None, 2), batch_size=2)
    return model_case(spec, 2, 4)


def uneven_labels():
    """A case of softmax and sigmoid outputs, whose labels do not sum to one."""
    inputs = Input((None, 2))
    sequence = LSTM(3, return_sequences=True)(inputs)
    heads = [Dense(4, activation=name, name=name)(sequence) for name in ("softmax", "sigmoid")]
    return dataclasses.replace(model_case(Model(inputs, heads), 2, 4), loss="categorical_crossentropy")


def no_change():
    """A case of a Reshape that changes nothing, under a mask."""
    below = [Masking(0.0), Reshape((4, 2)), LSTM(3, return_sequences=True)]
    case = model_case(Sequential(below, (4, 2)), 2, 4)
    return dataclasses.replace(case, optimizer=None, training=())


def large_batch():
    """A case whose biases get gradients of thousands of terms."""
    case = model_case(Sequential([LSTM(3, return_sequences=True), Dense(2)], (None, 2)), 2000, 2)
    return dataclasses.replace(case, optimizer=None, training=())


def trained(*layers, optimizer):
    """A case of an optimizer, with layers below a Dense."""
    case = model_case(Sequential([*layers, Dense(2)], (4, 2)), 2, 4)
    return dataclasses.replace(case, optimizer=optimizer, example=False)


def cut_sequences():
    """A case of fewer sequences than timesteps, which a TimeDistributed passes to an LSTM."""
    below = [LSTM(3, return_sequences=True), TimeDistributed(Dense(2)), LSTM(3)]
    return model_case(Sequential(below, (None, 2)), 2, 4)


def states_lost(patch):
    patch.setattr(ReferenceProgram, "step", lambda self, kind, batch, states: true_step(self, kind, batch, {}))

    def zeroed(answer):
        return dataclasses.replace(
            answer, states={n: State(*(0 * array for array in state)) for n, state in answer.states.items()}
        )

    return lambda result: dataclasses.replace(result, answers=tuple(map(zeroed, result.answers)))


def decay_skipped(patch):
    def update(self, gradients):
        true_update(self, {name: array for name, array in gradients.items() if np.asarray(array).any()})

    patch.setattr(ReferenceProgram, "_update", update)


# By row: a case that shows it, the engine, and the dtype.
SHOWN = {
    "stateful_state_is_lost": (stateful(), "keras-jax", "float64"),
    "mask_dropped_with_initial_state": ("model-encoder_decoder-mask-right", "keras-torch", "float64"),
    "leading_mask_initial_state": (stateful(Masking(-1.0)), "keras-jax", "float64"),
    "unroll_ignores_zero_output_for_mask": (
        "sweep-bidirectional-concat-layers-2-mask-right-unroll-return_sequences",
        "keras-jax",
        "float64",
    ),
    "unroll_backwards_mask": (
        "sweep-bidirectional-concat-layers-2-mask-right-unroll-return_sequences",
        "keras-tensorflow",
        "float64",
    ),
    "bias_gradient_bfloat16": (large_batch(), "keras-tensorflow", "mixed_bfloat16"),
    "embedding_repeated_tokens": ("model-embedding-mask-full_row", "keras-tensorflow", "float64"),
    "categorical_crossentropy_logits": (uneven_labels(), "keras-tensorflow", "float64"),
    "weight_decay_out_of_the_loss": (unused_half(), "keras-torch", "float64"),
    "mask_behind_no_change": (no_change(), "keras-jax", "float64"),
    "time_distributed_variable_length": (cut_sequences(), "keras-tensorflow", "float64"),
    "average_pooling_same": ("layer-time_distributed", "keras-torch", "float64"),
    "adam_float64": (trained(LSTM(3), optimizer=Adam(0.01)), "keras-tensorflow", "float64"),
    "sgd_float64": (trained(LSTM(3), optimizer=SGD(0.1, momentum=0.9)), "keras-tensorflow", "float64"),
    "regularizer_factor_float64": (
        trained(LSTM(3, kernel_regularizer=L1L2(0.1, 0.2)), optimizer=SGD(0.1)),
        "keras-tensorflow",
        "float64",
    ),
    "rescaling_float64": (
        trained(Rescaling([0.1, 0.2], 0.3), LSTM(3), optimizer=SGD(0.1)),
        "keras-tensorflow",
        "float64",
    ),
    "gelu_leaky_relu_float64": (
        trained(LSTM(3, "gelu", "leaky_relu"), optimizer=SGD(0.1)),
        "keras-tensorflow",
        "float64",
    ),
    "hard_sigmoid_softplus_float64": (
        trained(LSTM(3, "softplus", "hard_sigmoid"), Dense(3, "softplus"), optimizer=SGD(0.1)),
        "keras-torch",
        "float64",
    ),
    "relu_layers_float64": (trained(LSTM(3), LeakyReLU(0.3), optimizer=SGD(0.1)), "keras-tensorflow", "float64"),
}
PATCHES = {STATES_ARE_LOST: states_lost, DECAY_IS_SKIPPED: decay_skipped}


@pytest.fixture(autouse=True)
def versions_of_the_ledger(monkeypatch):
    """The versions in which the rows were seen, whatever is installed here."""
    monkeypatch.setattr(matching, "versions", lambda: {"keras": ledger()[0].last})


def gates_exchanged(patch):
    def forward(layer, x, mask, weights, *rest):
        weights = {name: np.roll(array, layer.units, axis=-1) for name, array in weights.items()}
        return true_forward(layer, x, mask, weights, *rest)

    patch.setattr(reference_lstm, "forward", forward)


def inputs_clipped(patch):
    def forward(layer, x, *rest):
        return true_forward(layer, np.clip(x, -0.02, 0.02), *rest)

    patch.setattr(reference_lstm, "forward", forward)


def not_finite(patch):
    return lambda result: with_arrays(result, lambda array: np.full_like(array, np.nan))


def in_answers(change):
    """Return a fault in every answer of a result."""
    return lambda patch: lambda result: dataclasses.replace(result, answers=tuple(map(change, result.answers)))


def in_outputs(change):
    return in_answers(lambda answer: dataclasses.replace(answer, outputs=tuple(map(change, answer.outputs))))


def in_arrays(change):
    return lambda patch: lambda result: with_arrays(result, change)


OTHER_FAULTS = {
    "gates": gates_exchanged,
    "clipped": inputs_clipped,
    "NaN": not_finite,
    "infinite": in_arrays(lambda array: np.full_like(array, np.inf)),
    "constant": in_outputs(lambda array: np.full_like(array, array.mean())),
    "rows in another order": in_outputs(lambda array: np.roll(array, 1, axis=0)),
    "no outputs": in_answers(lambda answer: dataclasses.replace(answer, outputs=())),
    "flat outputs": in_outputs(np.ravel),
    "no states": in_answers(lambda answer: dataclasses.replace(answer, states={})),
}
ROUNDING = {
    "float16": in_arrays(lambda array: array.astype(np.float16).astype(array.dtype)),
    "float32": in_arrays(lambda array: array.astype(np.float32).astype(array.dtype)),
}


def compared(row, factor=1.0, other=None):
    """Return the report on an engine with the fault of a row.

    Args:
        row: the id of the row.
        factor: multiplies all numbers of the engine.
        other: another fault of the same engine.
    """
    case, engine, dtype = SHOWN[row]
    case = catalogue()[case] if isinstance(case, str) else case
    prediction = ROWS[row].prediction
    scale = scaled(factor, dtype)

    def fault(patch):
        changes = [plant(patch) for plant in (PATCHES.get(prediction), other, scale) if plant]

        def changed(result):
            for change in filter(None, changes):
                result = change(result)
            return result

        return changed

    faults = () if prediction in PATCHES else (prediction,)
    return compare_cases((case,), Options((engine,), (dtype,), "plain"), pool=FaultyPool(fault, faults))


def test_every_prediction_has_a_case():
    assert SHOWN.keys() == ROWS.keys()


@pytest.mark.parametrize("row", SHOWN)
def test_the_predicted_answer_is_known(row):
    report = compared(row)
    assert not report.failures, str(report)
    known = [cell for cell in report.cells if cell.verdict == "known"]
    assert {label.id for cell in known for label in cell.comparison.known} == {row}


@pytest.mark.parametrize("factor", [0.0, 1.5])
@pytest.mark.parametrize("row", SHOWN)
def test_another_answer_diverges(row, factor):
    """Every quantity that the fault changes, but for states that the fault makes zero."""
    zero = ("hidden", "cell", "trained_hidden", "trained_cell") if row == "stateful_state_is_lost" else ()
    known = {cell.quantity for cell in compared(row).cells if cell.verdict == "known" and cell.kind not in zero}
    assert known
    verdicts = {cell.quantity: cell.verdict for cell in compared(row, factor).cells}
    assert {verdicts[quantity] for quantity in known} == {"diverges"}


@pytest.mark.parametrize("other", OTHER_FAULTS)
@pytest.mark.parametrize("row", SHOWN)
def test_a_second_fault_diverges(row, other):
    report = compared(row, other=OTHER_FAULTS[other])
    assert report.failures
    assert report.exit_code() == 1


@pytest.mark.parametrize("narrow", ROUNDING)
@pytest.mark.parametrize("row", [name for name, (*_, dtype) in SHOWN.items() if dtype == "float64"])
def test_an_engine_that_computes_in_another_dtype_diverges(row, narrow):
    assert compared(row, other=ROUNDING[narrow]).exit_code() == 1


def test_faults_that_act_together_are_known_together():
    """An unrolled LSTM that loses its states and ignores zero_output_for_mask."""
    spec = Sequential(
        [Masking(-1.0), LSTM(3, stateful=True, unroll=True, return_sequences=True, zero_output_for_mask=True)],
        (4, 2),
        batch_size=2,
    )
    pool = FaultyPool(states_lost, ["zero_output_is_ignored"])
    report = compare_cases((model_case(spec, 2, 4),), Options(("keras-jax",), ("float64",), "plain"), pool=pool)
    assert not report.failures, str(report)
    known = {tuple(row.id for row in cell.comparison.known) for cell in report.cells if cell.verdict == "known"}
    assert ("stateful_state_is_lost", "unroll_ignores_zero_output_for_mask") in known


def test_an_engine_without_outputs_diverges_where_nothing_is_predicted(monkeypatch):
    def fails(*_):
        raise WorkerError("the shapes of the fault do not fit", kind="exception")

    def without_outputs(patch):
        return lambda result: dataclasses.replace(
            result, answers=tuple(dataclasses.replace(answer, outputs=()) for answer in result.answers)
        )

    monkeypatch.setattr(judge_part, "predict", fails)
    report = compared("stateful_state_is_lost", other=without_outputs)
    assert {cell.verdict for cell in report.cells if cell.kind == "output"} == {"diverges"}


def trained_nowhere(patch):
    patch.setattr(ReferenceProgram, "_update", lambda self, gradients: None)


def trained_backwards(patch):
    def update(self, gradients):
        true_update(self, {name: -np.asarray(array) for name, array in gradients.items()})

    patch.setattr(ReferenceProgram, "_update", update)


@pytest.mark.parametrize("fault", [trained_nowhere, trained_backwards], ids=["nowhere", "backwards"])
def test_a_bound_does_not_explain_a_training_of_small_steps_that_went_elsewhere(fault):
    """The steps are smaller than the bound of the row schedule_float64, a share of the weights."""
    spec = Sequential([LSTM(3, use_bias=False), Dense(2, use_bias=False)], (4, 2))
    rate = ExponentialDecay(1e-6, 10, 0.9)
    case = dataclasses.replace(model_case(spec, 2, 4), optimizer=SGD(rate), loss="mean_squared_error", example=False)
    report = compare_cases((case,), Options(("keras-tensorflow",), ("float64",), "plain"), pool=FaultyPool(fault))
    assert {cell.verdict for cell in report.cells if cell.kind == "weights"} == {"diverges"}


def test_predictions_are_tried_alone_first():
    assert list(combinations(["a", "b", "c"])) == [
        (),
        ("a",),
        ("b",),
        ("c",),
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
        ("a", "b", "c"),
    ]
    assert list(combinations([])) == [()]
