"""A user's model is compared on inputs that exercise it: engines with one fault each must be caught."""

import dataclasses

import numpy as np
import pytest
from faulty_pool import FaultyPool, lstms_masked_by_zeros

from multilstm.cases.model_case import model_case
from multilstm.engines.reference import engine as reference_engine
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.engine import ReferenceProgram
from multilstm.engines.reference.row_gradient import RowGradient
from multilstm.execution.options import Options
from multilstm.ledger import matching
from multilstm.ledger.rows import ledger
from multilstm.spec import LSTM, Bidirectional, Concatenate, Dense, Embedding, Input, Masking, Model, Sequential
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import SGD
from multilstm.suite.compare_cases import compare_cases

true_forward = reference_lstm.forward
true_update = ReferenceProgram._update
true_loss = reference_engine.loss_and_gradient
ENGINE = "jax-scan"  # its process is never started: the pool below executes every job


def two_masked_inputs():
    first, second = Input((None, 3), name="first"), Input((None, 3), name="second")
    both = (LSTM(3)(Masking()(tensor)) for tensor in (first, second))
    return Model([first, second], Dense(2)(Concatenate()(list(both))))


MODELS = {
    "plain": Sequential([LSTM(4, return_sequences=True), LSTM(3), Dense(2)], (None, 3)),
    "masking": Sequential([Masking(-1.0), LSTM(4, return_sequences=True), LSTM(3), Dense(2)], (None, 3)),
    "zero_output": Sequential(
        [Masking(), LSTM(4, return_sequences=True, zero_output_for_mask=True), Dense(2)], (None, 3)
    ),
    "tokens": Sequential(
        [Embedding(9, 3, mask_zero=True), Bidirectional(LSTM(4)), Dense(2)], (None,), input_dtype="int32"
    ),
    "stateful": Sequential([LSTM(4, stateful=True), Dense(2)], (None, 3), batch_size=2),
    "stateful_masking": Sequential([Masking(), LSTM(4, stateful=True), Dense(2)], (None, 3), batch_size=3),
    "vocabulary": Sequential([Embedding(5000, 3), LSTM(4), Dense(2)], (None,), input_dtype="int32"),
    "two_inputs": two_masked_inputs(),
    "options": Sequential(
        [LSTM(4, go_backwards=True, activation="relu", recurrent_activation="hard_sigmoid"), Dense(2)], (None, 3)
    ),
}


def compared(model, fault, engine=ENGINE, layers="portable"):
    """Return the report on one model in float64, executed with a fault."""
    options = Options((engine,), ("float64",), layers)
    return compare_cases((model_case(MODELS[model]),), options, pool=FaultyPool(fault))


# Faults ----------------------------------------------------------------------------------------------------------


def in_forward(change):
    """Return a fault in the forward pass of every LSTM: `change` maps its arguments."""

    def fault(patch):
        patch.setattr(reference_lstm, "forward", lambda *args: true_forward(*change(*args)))

    return fault


def in_layer(**options):
    return in_forward(lambda layer, *rest: (dataclasses.replace(layer, **options), *rest))


def in_weights(change):
    def changed(layer, x, mask, weights, start, dropout):
        return layer, x, mask, change(weights, layer.units), start, dropout

    return in_forward(changed)


def gates_exchanged(first, second):
    def exchanged(weights, units):
        order = [0, 1, 2, 3]
        order[first], order[second] = order[second], order[first]
        columns = np.concatenate([np.arange(k * units, (k + 1) * units) for k in order])
        return {name: array[..., columns] for name, array in weights.items()}

    return in_weights(exchanged)


def in_answers(change):
    """Return a fault in the answers: `change` maps the number of a step and its answer."""

    def fault(patch):
        return lambda result: dataclasses.replace(
            result, answers=tuple(change(number, answer) for number, answer in enumerate(result.answers))
        )

    return fault


def of_outputs(change):
    return in_answers(
        lambda number, answer: dataclasses.replace(answer, outputs=tuple(change(array) for array in answer.outputs))
    )


def first_answer_repeated(patch):
    def change(result):
        outputs = result.answers[0].outputs
        return dataclasses.replace(
            result,
            answers=tuple(dataclasses.replace(a, outputs=outputs if a.outputs else ()) for a in result.answers),
        )

    return change


def states_forgotten(patch):
    true_step = ReferenceProgram.step
    patch.setattr(ReferenceProgram, "step", lambda self, kind, batch, states: true_step(self, kind, batch, {}))


def states_exchanged(patch):
    def change(result):
        answers = [
            dataclasses.replace(a, states={name: State(s.cell, s.hidden) for name, s in a.states.items()})
            for a in result.answers
        ]
        return dataclasses.replace(result, answers=tuple(answers))

    return change


def last_step_updates(scale):
    """Return a fault that scales the update, as a wrong learning rate does; 0 trains nothing."""

    def fault(patch):
        patch.setattr(
            ReferenceProgram,
            "_update",
            lambda self, gradients: true_update(self, {name: scale * array for name, array in gradients.items()}),
        )

    return fault


def wrong_loss(change):
    def fault(patch):
        patch.setattr(reference_engine, "loss_and_gradient", lambda *args, **rest: change(*true_loss(*args, **rest)))

    return fault


def masked_loss_over_all(patch):
    patch.setattr(
        reference_engine,
        "loss_and_gradient",
        lambda loss, output, target, mask, **rest: true_loss(loss, output, target, None, **rest),
    )


def token_clipped(patch):
    true_walk = reference_engine.walk
    patch.setattr(
        reference_engine,
        "walk",
        lambda spec, inputs, masks, apply: true_walk(
            spec, {name: np.minimum(array, 7) for name, array in inputs.items()}, masks, apply
        ),
    )


def ignoring_mask(which):
    """Return a fault in masks: `which` maps the mask `[batch, timesteps]`, or None for no mask."""
    return in_forward(lambda layer, x, mask, *rest: (layer, x, None if mask is None else which(mask), *rest))


def right_padded(mask):
    """Return the mask of an engine that takes only the number of unmasked timesteps of every row."""
    return np.arange(mask.shape[1]) < mask.sum(axis=1, keepdims=True)


def in_masked_inputs(masked):
    """Return a fault in Masking: `masked` maps the inputs and the mask_value to the masked timesteps."""

    def fault(patch):
        true_walk = reference_engine.walk

        def walk(spec, inputs, masks, apply):
            changed = dict(inputs)
            for name, layers in spec.readers(Masking).items():
                value = layers[-1].mask_value
                changed[name] = np.where(masked(inputs[name], value)[..., None], value, inputs[name])
            return true_walk(spec, changed, masks, apply)

        patch.setattr(reference_engine, "walk", walk)

    return fault


def state_of_masked_rows_reset(layer, x, mask, weights, start, dropout):
    if mask is not None and start is not None:
        start = State(*(np.where(mask.any(axis=1)[:, None], array, 0.0) for array in start))
    return layer, x, mask, weights, start, dropout


def repeated_tokens_assigned(patch):
    def array(self, dtype=None, copy=None):
        table = np.zeros((self.count, self.values.shape[1]))
        table[self.rows] = self.values
        return table

    patch.setattr(RowGradient, "__array__", array)


def interrupted_twice_computed(mask):
    """Return the mask of an engine with one interruption a row."""
    ends = (np.diff(mask.astype(int), axis=1) == -1).sum(axis=1, keepdims=True)
    return np.where((ends > 1) & mask[:, :1], True, mask)


def first_token_is_padding(patch):
    true_walk = reference_engine.walk
    patch.setattr(
        reference_engine,
        "walk",
        lambda spec, inputs, masks, apply: true_walk(
            spec, {name: np.maximum(array, 1) for name, array in inputs.items()}, masks, apply
        ),
    )


FAULTS = {
    "a timestep masked by any feature": ("masking", in_masked_inputs(lambda x, value: (x == value).any(axis=-1))),
    "a timestep masked by its first feature": ("masking", in_masked_inputs(lambda x, value: x[..., 0] == value)),
    "a timestep masked by its last feature": ("masking", in_masked_inputs(lambda x, value: x[..., -1] == value)),
    "a timestep near the mask_value masked": (
        "masking",
        in_masked_inputs(lambda x, value: (abs(x - value) < 0.01).all(axis=-1)),
    ),
    "rows of one timestep masked": (
        "masking",
        ignoring_mask(lambda mask: mask & (mask.sum(axis=1, keepdims=True) > 1)),
    ),
    "rows of one masked timestep computed": (
        "masking",
        ignoring_mask(lambda mask: np.where((~mask).sum(axis=1, keepdims=True) == 1, True, mask)),
    ),
    "the second interruption ignored": ("masking", ignoring_mask(interrupted_twice_computed)),
    "the state of a fully masked row reset": ("stateful_masking", in_forward(state_of_masked_rows_reset)),
    "the mask of the first input for all": ("two_inputs", lstms_masked_by_zeros),
    "gradients of a repeated token assigned": ("vocabulary", repeated_tokens_assigned),
    "token 0 read as token 1": ("vocabulary", first_token_is_padding),
    "gates i and f exchanged": ("plain", gates_exchanged(0, 1)),
    "gates f and c exchanged": ("plain", gates_exchanged(1, 2)),
    "gates c and o exchanged": ("tokens", gates_exchanged(2, 3)),
    "bias dropped": ("plain", in_weights(lambda weights, _: {**weights, "bias": 0 * weights["bias"]})),
    "recurrent kernel transposed": (
        "plain",
        in_weights(lambda w, units: {**w, "recurrent_kernel": np.roll(w["recurrent_kernel"], 1, axis=0)}),
    ),
    "hidden and cell exchanged": ("plain", states_exchanged),
    "states of the batch reversed": (
        "plain",
        in_answers(
            lambda _, a: dataclasses.replace(
                a, states={name: State(*(array[::-1] for array in s)) for name, s in a.states.items()}
            )
        ),
    ),
    "go_backwards ignored": ("options", in_layer(go_backwards=False)),
    "activation replaced by tanh": ("options", in_layer(activation="tanh")),
    "hard_sigmoid replaced by sigmoid": ("options", in_layer(recurrent_activation="sigmoid")),
    "inputs clipped to 1": ("plain", in_forward(lambda layer, x, *rest: (layer, np.clip(x, -1, 1), *rest))),
    "inputs rounded to float32": (
        "plain",
        in_forward(lambda layer, x, *rest: (layer, x.astype(np.float32).astype(np.float64) * (1 + 1e-7), *rest)),
    ),
    "mask ignored": ("masking", ignoring_mask(lambda mask: None)),
    "mask of tokens ignored": ("tokens", ignoring_mask(lambda mask: None)),
    "only lengths of masks known": ("masking", ignoring_mask(right_padded)),
    "fully masked rows computed": (
        "masking",
        ignoring_mask(lambda mask: np.where(mask.any(axis=1, keepdims=True), mask, True)),
    ),
    "mask reversed": ("masking", ignoring_mask(lambda mask: mask[:, ::-1])),
    "zero_output_for_mask ignored": ("zero_output", in_layer(zero_output_for_mask=False)),
    "carried state forgotten": ("stateful", states_forgotten),
    "state not reset": (
        "stateful",
        in_answers(
            lambda number, a: dataclasses.replace(
                a, states={n: State(*(2 * array for array in s)) if number == 2 else s for n, s in a.states.items()}
            )
        ),
    ),
    "last token of the table clipped": ("tokens", token_clipped),
    "answer of the first batch repeated": ("plain", first_answer_repeated),
    "outputs are zeros": ("plain", of_outputs(np.zeros_like)),
    "outputs are NaN": ("plain", of_outputs(lambda array: np.full_like(array, np.nan))),
    "outputs in float32": ("plain", of_outputs(lambda array: array.astype(np.float32))),
    "outputs without a batch axis": ("plain", of_outputs(lambda array: array.reshape(-1))),
    "loss doubled": ("plain", wrong_loss(lambda value, gradient: (2 * value, gradient))),
    "gradient doubled": ("plain", wrong_loss(lambda value, gradient: (value, 2 * gradient))),
    "loss over masked timesteps": ("zero_output", masked_loss_over_all),
    "nothing trained": ("plain", last_step_updates(0.0)),
    "learning rate doubled": ("plain", last_step_updates(2.0)),
}


@pytest.fixture
def versions_of_the_ledger(monkeypatch):
    """The versions in which the rows were seen, whatever is installed here."""
    monkeypatch.setattr(matching, "versions", lambda: {"keras": ledger()[0].last})


@pytest.mark.parametrize(
    ("engine", "layers"), [(ENGINE, "portable"), ("keras-jax", "plain"), ("keras-tensorflow", "plain")]
)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_engine_is_caught(versions_of_the_ledger, fault, engine, layers):
    """With plain layers too, whose other faults are rows of the ledger."""
    model, plant = FAULTS[fault]
    report = compared(model, plant, engine, layers)
    assert report.failures, report.sentence
    assert report.exit_code() == 1


@pytest.mark.parametrize("model", MODELS)
def test_an_engine_without_a_fault_agrees(model):
    report = compared(model, lambda patch: None)
    assert report.agrees, str(report)
    assert {str(cell.quantity) for cell in report.cells} >= {"output", "loss:program"}


@pytest.mark.parametrize("model", MODELS)
def test_the_report_names_the_exercised_inputs(model):
    assert "batches of" in str(compared(model, lambda patch: None))


def test_training_uses_plain_sgd():
    assert isinstance(model_case(MODELS["plain"]).optimizer, SGD)


# A row of the ledger explains its own divergence and no other ----------------------------------------------------


def states_lost_and_zero(patch):
    states_forgotten(patch)
    return in_answers(
        lambda _, answer: dataclasses.replace(
            answer, states={n: State(*(0 * array for array in s)) for n, s in answer.states.items()}
        )
    )(patch)


def test_a_lost_state_of_plain_keras_on_jax_is_known(versions_of_the_ledger):
    report = compared("stateful", states_lost_and_zero, "keras-jax", "plain")
    assert not report.failures, str(report)
    assert {row.id for cell in report.cells for row in cell.comparison.known} == {"stateful_state_is_lost"}


@pytest.mark.parametrize("fault", ["outputs are zeros", "outputs are NaN", "outputs in float32"])
def test_another_fault_is_not_known_by_that_row(versions_of_the_ledger, fault):
    _, plant = FAULTS[fault]
    report = compared("stateful", plant, "keras-jax", "plain")
    assert {str(cell.quantity) for cell in report.failures} >= {"output"}
    assert report.exit_code() == 1
