"""The reference against plain Python arithmetic, and against the rules of masks, dropout, losses and states."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from small_models import (
    BATCH,
    CLASSES,
    DROPOUTS,
    FEATURES,
    KEEP,
    MASKS,
    TIMESTEPS,
    UNITS,
    answer,
    batch_of,
    inputs_of,
    mask,
    run,
    stack,
    targets_of,
    weights_of,
)

from multilstm.engines.executor import Executor
from multilstm.engines.reference.activations import FUNCTIONS, sigmoid
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.reference.losses import loss_and_gradient
from multilstm.errors import InputError
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import (
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    Model,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.arrays import State
from multilstm.spec.layers import ACTIVATIONS
from multilstm.spec.optimizers import SGD, Adam, RMSprop

# --- the equations, by hand ---


def test_one_unit_two_timesteps_by_plain_arithmetic():
    spec = Sequential([LSTM(1, return_sequences=True, return_state=True)], input_shape=(None, 1))
    kernel, recurrent, bias = [0.5, -0.3, 0.8, 0.2], [0.1, 0.4, -0.6, 0.7], [0.05, 1.0, -0.2, 0.3]
    h, c, desired = 0.25, -0.5, []
    for x in (0.7, -1.1):
        z = [x * k + h * r + b for k, r, b in zip(kernel, recurrent, bias, strict=True)]
        i, f, o = (1 / (1 + math.exp(-z[n])) for n in (0, 1, 3))
        c = f * c + i * math.tanh(z[2])
        h = o * math.tanh(c)
        desired.append(h)
    weights = {
        "lstm/kernel": np.array([kernel]),
        "lstm/recurrent_kernel": np.array([recurrent]),
        "lstm/bias": np.array(bias),
    }
    start = State(np.array([[0.25]]), np.array([[-0.5]]))
    batch = Batch({"input_layer": np.array([[[0.7], [-1.1]]])}, states={"lstm": start})
    result = answer(spec, "forward", batch, weights=weights)
    np.testing.assert_allclose(result.outputs[0][0, :, 0], desired, rtol=1e-15)
    np.testing.assert_allclose(result.sequences["lstm"][0, :, 0], desired, rtol=1e-15)
    np.testing.assert_allclose(
        [result.states["lstm"].hidden[0, 0], result.states["lstm"].cell[0, 0]], [h, c], rtol=1e-15
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_derivative_is_the_finite_difference(name):
    function = FUNCTIONS[name]
    z = np.random.default_rng(3).normal(scale=3.0, size=(7, 4))
    direction = np.random.default_rng(4).normal(size=z.shape)
    h = 1e-4
    values = [function.forward(z + shift * h * direction) for shift in (-2, -1, 1, 2)]
    desired = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)
    # The pullback of the k-th unit vector is the k-th row of the Jacobian.
    rows = [function.pullback(z, function.forward(z), np.eye(4)[k] * np.ones_like(z)) for k in range(4)]
    actual = np.stack([(row * direction).sum(-1) for row in rows], axis=-1)
    np.testing.assert_allclose(actual, desired, rtol=1e-9, atol=1e-10)


def test_every_activation_of_the_spec_is_there():
    assert set(FUNCTIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize(("z", "value"), [(-800.0, 0.0), (-40.0, math.exp(-40) / (1 + math.exp(-40))), (800.0, 1.0)])
def test_sigmoid_far_out(z, value):
    with np.errstate(over="raise"):
        assert sigmoid(np.array(z)) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "z", "value"),
    [
        ("gelu", 1.0, 0.8413447460685429),
        ("gelu", -6.0, -6 * 9.865876450376981e-10),
        ("hard_sigmoid", 1.2, 0.7),
        ("hard_sigmoid_keras2", 1.2, 0.74),
        ("hard_sigmoid_keras2", -2.6, 0.0),
        ("hard_sigmoid_keras2", 2.6, 1.0),
        ("leaky_relu", -1.5, -0.3),
        ("elu", -1.0, math.expm1(-1)),
        ("selu", -1.0, 1.0507009873554805 * 1.6732632423543772 * math.expm1(-1)),
        ("softplus", 40.0, 40.0 + math.log1p(math.exp(-40))),
        ("softsign", -3.0, -0.75),
        ("silu", 2.0, 2 / (1 + math.exp(-2))),
        ("relu6", 7.0, 6.0),
        ("exponential", 1.5, math.exp(1.5)),
    ],
)
def test_activation_value(name, z, value):
    assert FUNCTIONS[name].forward(np.array([z]))[0] == pytest.approx(value, rel=4e-16)


# --- dropout ---


@pytest.mark.parametrize("rates", DROPOUTS.values(), ids=DROPOUTS)
def test_lstm_with_dropout_is_the_lstm_of_scaled_weights(rates):
    """For one sequence, a mask on inputs and hidden states equals a mask on the rows of the kernels."""
    dropping, plain = (
        Sequential([LSTM(UNITS, return_sequences=True, **given)], input_shape=(None, FEATURES)) for given in (rates, {})
    )
    rng = np.random.default_rng(9)
    start = State(*rng.normal(size=(2, 1, UNITS)))
    batch = Batch({"input_layer": inputs_of(batch=1)}, targets_of(plain, batch=1), states={"lstm": start})
    masks = {name: rng.uniform(0.5, 2, mask.shape) for name, mask in draw_dropout(rng, dropping, 1, 1).items()}
    weights = weights_of(plain)
    scaled = dict(weights)
    for name, kernel in (("dropout", "lstm/kernel"), ("recurrent_dropout", "lstm/recurrent_kernel")):
        if f"lstm/{name}" in masks:
            mask = masks[f"lstm/{name}"].reshape(-1, weights[kernel].shape[0])
            columns = [mask[gate % len(mask)] for gate in range(4) for _ in range(UNITS)]
            scaled[kernel] = weights[kernel] * np.stack(columns, axis=1)
    actual = answer(dropping, "gradient", dataclasses.replace(batch, dropout=masks), weights=weights)
    desired = answer(plain, "gradient", batch, weights=scaled)
    np.testing.assert_allclose(actual.outputs[0], desired.outputs[0], rtol=1e-13)
    assert np.abs(actual.outputs[0] - answer(plain, "gradient", batch, weights=weights).outputs[0]).max() > 1e-2


@pytest.mark.parametrize("kind", ["forward", "evaluate"])
def test_dropout_of_an_lstm_acts_in_training_only(kind):
    spec, plain = (Sequential([LSTM(UNITS, **given)], input_shape=(None, FEATURES)) for given in (DROPOUTS["both"], {}))
    dropout = draw_dropout(np.random.default_rng(9), spec, BATCH, TIMESTEPS)
    actual = answer(spec, kind, batch_of(spec, dropout=dropout))
    desired = answer(plain, kind, batch_of(plain))
    np.testing.assert_array_equal(actual.outputs[0], desired.outputs[0])
    assert (
        np.abs(answer(spec, "gradient", batch_of(spec, dropout=dropout)).outputs[0] - desired.outputs[0]).max() > 0.01
    )


# --- masks ---


@pytest.mark.parametrize("zero_output", [False, True], ids=["repeat", "zero_output_for_mask"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "go_backwards"])
@pytest.mark.parametrize("mask_kind", ["right", "left", "holes", "full_row"])
def test_masked_lstm_is_the_lstm_of_the_shorter_sequences(mask_kind, backwards, zero_output):
    arguments = {"go_backwards": backwards, "return_sequences": True}
    masked = Sequential([LSTM(UNITS, zero_output_for_mask=zero_output, **arguments)], input_shape=(None, FEATURES))
    plain = Sequential([LSTM(UNITS, **arguments)], input_shape=(None, FEATURES))
    start = State(*np.random.default_rng(8).normal(size=(2, BATCH, UNITS)))
    result = answer(masked, "forward", batch_of(masked, mask_kind=mask_kind, states={"lstm": start}))
    step = -1 if backwards else 1
    for row, kept in enumerate(mask(mask_kind)):
        own = State(start.hidden[row : row + 1], start.cell[row : row + 1])
        short = inputs_of()[row : row + 1, kept]
        desired = answer(plain, "forward", Batch({"input_layer": short}, states={"lstm": own}))
        outputs, last = iter(desired.outputs[0][0]), np.zeros(UNITS)
        for t, keep in enumerate(kept[::step]):
            value = next(outputs) if keep else np.zeros(UNITS) if zero_output else last
            np.testing.assert_allclose(result.outputs[0][row, t], value, rtol=1e-13, atol=1e-15)
            last = value
        np.testing.assert_allclose(result.states["lstm"].hidden[row], desired.states["lstm"].hidden[0], rtol=1e-13)
        np.testing.assert_allclose(result.states["lstm"].cell[row], desired.states["lstm"].cell[0], rtol=1e-13)


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e300], ids=str)
@pytest.mark.parametrize("mask_kind", ["right", "left", "holes", "full_row"])
def test_masked_values_reach_nothing(mask_kind, garbage, sequences):
    x = Input((TIMESTEPS, FEATURES), name="x")
    below = TimeDistributed(Dense(FEATURES, "gelu"))(x)
    merged, *states = Bidirectional(LSTM(UNITS, return_sequences=True, return_state=True))(below)
    top = LSTM(UNITS, activation="relu", return_sequences=sequences)(merged)
    spec = Model(x, [Dense(CLASSES, "softmax")(top), Dense(CLASSES)(below), *states])
    inputs = inputs_of()
    clean = batch_of(spec, inputs, mask_kind)
    dirty = batch_of(spec, np.where(mask(mask_kind)[..., None], inputs, garbage), mask_kind)
    actual, desired = answer(spec, "gradient", dirty), answer(spec, "gradient", clean)
    assert actual.loss == desired.loss
    for number in (0, 2, 3, 4, 5):  # output 1 is a Dense layer on the input: garbage stays in its timestep
        np.testing.assert_array_equal(actual.outputs[number], desired.outputs[number])
    np.testing.assert_array_equal(actual.states["lstm"], desired.states["lstm"])
    for name in spec.weight_shapes:
        np.testing.assert_array_equal(actual.gradients[name], desired.gradients[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masking_compares_in_the_dtype_of_the_job(dtype):
    spec = Sequential([Masking(0.1), LSTM(UNITS)], input_shape=(None, FEATURES))
    inputs = inputs_of(batch=1).astype(dtype)
    inputs[:, 3:] = np.dtype(dtype).type(0.1)
    job = Job(spec, weights_of(spec), (Step("forward", Batch({"input_layer": inputs}), keep=KEEP),), dtype=dtype)
    job_short = dataclasses.replace(job, steps=(Step("forward", Batch({"input_layer": inputs[:, :3]}), keep=KEEP),))
    execute = Executor(ReferenceEngine()).execute
    np.testing.assert_array_equal(execute(job).answers[0].outputs[0], execute(job_short).answers[0].outputs[0])


# --- losses ---


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mean_squared_error"])
@pytest.mark.parametrize("mask_kind", MASKS)
def test_loss_is_the_mean_over_the_values_that_the_mask_keeps(loss, mask_kind):
    rng = np.random.default_rng(10)
    output, target = rng.uniform(0.1, 1, (2, BATCH, TIMESTEPS, CLASSES))
    kept = np.ones((BATCH, TIMESTEPS), bool) if mask(mask_kind) is None else mask(mask_kind)
    values = []
    for o, t in zip(output[kept], target[kept], strict=True):
        if loss == "mean_squared_error":
            values.append(math.fsum((a - b) ** 2 for a, b in zip(o, t, strict=True)) / CLASSES)
        else:
            values.append(-math.fsum(b * math.log(a / math.fsum(o)) for a, b in zip(o, t, strict=True)))
    actual, _ = loss_and_gradient(loss, output, target, mask(mask_kind))
    assert actual == pytest.approx(math.fsum(values) / len(values), rel=1e-14)


def test_cross_entropy_clips_and_then_has_no_gradient():
    output, target = np.array([[1.0, 1e-9, 1e-3]]), np.array([[0.0, 1.0, 0.0]])
    loss, gradient = loss_and_gradient("categorical_crossentropy", output, target, None)
    assert loss == pytest.approx(-math.log(1e-7), rel=1e-15)
    assert not gradient.any()


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mean_squared_error"])
def test_loss_of_nothing_is_zero(loss):
    output = np.ones((BATCH, TIMESTEPS, CLASSES))
    value, gradient = loss_and_gradient(loss, output, 2 * output, np.zeros((BATCH, TIMESTEPS), bool))
    assert value == 0
    assert not gradient.any()


# --- jobs ---


def stateful_spec():
    return Sequential(
        [LSTM(UNITS, stateful=True, return_sequences=True), LSTM(2, stateful=True)], (None, FEATURES), BATCH
    )


def test_stateful_carries_over_a_sequence_cut_in_two_and_a_reset_forgets():
    spec, inputs = stateful_spec(), inputs_of()
    whole = Step("forward", batch_of(spec, inputs), keep=KEEP)
    first = Step("forward", batch_of(spec, inputs[:, :2]), keep=KEEP)
    second = Step("forward", batch_of(spec, inputs[:, 2:]), keep=KEEP)
    again = dataclasses.replace(whole, reset=True)
    desired = run(spec, whole).answers[0]
    result = run(spec, first, second, again, whole)
    np.testing.assert_allclose(result.answers[1].outputs[0], desired.outputs[0], rtol=1e-14)
    np.testing.assert_array_equal(result.answers[2].outputs[0], desired.outputs[0])
    assert np.abs(result.answers[3].outputs[0] - desired.outputs[0]).max() > 1e-3
    assert set(result.carried) == {"lstm", "lstm_1"}
    np.testing.assert_array_equal(result.carried["lstm"], result.answers[3].states["lstm"])


def test_carried_states_continue_in_another_job():
    spec, inputs = stateful_spec(), inputs_of()
    first, second = (Step("forward", batch_of(spec, part), keep=KEEP) for part in (inputs[:, :2], inputs[:, 2:]))
    desired = run(spec, first, second).answers[1]
    actual = run(spec, second, carried=run(spec, first).carried).answers[0]
    np.testing.assert_array_equal(actual.outputs[0], desired.outputs[0])


def test_shared_stateful_lstm_goes_on_where_its_first_call_stopped():
    x = Input((None, FEATURES), batch_size=BATCH, name="x")
    shared = LSTM(UNITS, stateful=True, return_sequences=True)
    twice = Model(x, [shared(x), shared(x)])
    once = Sequential([LSTM(UNITS, return_sequences=True)], input_shape=(None, FEATURES))
    desired = answer(once, "forward", batch_of(once, np.concatenate([inputs_of(), inputs_of()], axis=1))).outputs[0]
    actual = answer(twice, "forward", batch_of(twice)).outputs
    np.testing.assert_allclose(np.concatenate(actual, axis=1), desired, rtol=1e-13)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1, 0.9, True), RMSprop(0.01, momentum=0.5, centered=True), Adam(0.01)],
    ids=lambda o: type(o).__name__,
)
def test_update_is_the_optimizer_applied_to_the_gradient(optimizer):
    spec = stack(LSTM(UNITS))
    batch, weights = batch_of(spec), weights_of(spec)
    slots = {f"{name}/{slot}": np.zeros_like(weight) for name, weight in weights.items() for slot in optimizer.slots}
    for iteration in range(3):
        gradients = answer(spec, "gradient", batch, weights=weights).gradients
        for name, gradient in gradients.items():
            own = {slot: slots[f"{name}/{slot}"] for slot in optimizer.slots}
            weights[name], own = optimizer.step(weights[name], gradient, own, optimizer.coefficients(iteration))
            slots.update({f"{name}/{slot}": array for slot, array in own.items()})
    result = run(spec, *[Step("update", batch)] * 3, optimizer=optimizer)
    assert list(result.weights) == list(weights)
    assert set(result.slots) == set(slots)
    for name, weight in weights.items():
        np.testing.assert_array_equal(result.weights[name], weight)
    for name, slot in slots.items():
        np.testing.assert_array_equal(result.slots[name], slot)


def test_float32_jobs_are_computed_and_answered_in_float64():
    spec = stack(LSTM(UNITS))
    rounded = {name: weight.astype(np.float32) for name, weight in weights_of(spec).items()}
    batch = batch_of(spec, inputs_of().astype(np.float32))
    steps = (Step("gradient", batch, keep=KEEP), Step("update", batch))
    execute = Executor(ReferenceEngine()).execute
    single = execute(Job(spec, rounded, steps, dtype="float32", loss="mean_squared_error", optimizer=Adam()))
    one = single.answers[0]
    arrays = [
        *one.outputs,
        *one.states["lstm"],
        *one.gradients.values(),
        *single.weights.values(),
        *single.slots.values(),
    ]
    assert {array.dtype for array in arrays} == {np.dtype(np.float64)}
    double = execute(Job(spec, rounded, steps[:1], dtype="float64", loss="mean_squared_error"))
    np.testing.assert_array_equal(single.answers[0].outputs[0], double.answers[0].outputs[0])


def test_dropout_acts_in_training_only():
    spec = Sequential([Dropout(0.5, name="dropout"), LSTM(UNITS)], input_shape=(None, FEATURES))
    factor = np.random.default_rng(9).choice([0.0, 2.0], (BATCH, TIMESTEPS, FEATURES))
    batch = batch_of(spec, dropout={"dropout": factor})
    plain = batch_of(spec, inputs_of() * factor)
    trained = answer(spec, "gradient", batch).outputs[0]
    np.testing.assert_array_equal(trained, answer(spec, "forward", plain).outputs[0])
    evaluated = answer(spec, "evaluate", batch).outputs[0]
    np.testing.assert_array_equal(evaluated, answer(spec, "forward", batch_of(spec)).outputs[0])


def test_parameter_counts_are_those_of_the_spec():
    x = Input((None,), dtype="int32")
    y = Bidirectional(LSTM(5, return_sequences=True))(Embedding(7, 4)(x))
    spec = Model(x, TimeDistributed(Dense(2))(Dropout(0.0)(LSTM(3, use_bias=False, return_sequences=True)(y))))
    result = run(spec, Step("forward", Batch({next(iter(spec.inputs)): np.ones((1, 2), int)})))
    assert result.parameter_counts == spec.parameter_counts
    assert str(result.implementation) == "numpy float64"


def test_an_empty_batch_gives_empty_outputs_and_no_gradient():
    spec = stack(LSTM(UNITS, return_sequences=True))
    empty = Batch({"input_layer": inputs_of(batch=0)}, targets_of(spec, batch=0))
    result = answer(spec, "gradient", empty)
    assert result.outputs[0].shape == (0, TIMESTEPS, CLASSES)
    assert result.states["lstm"].cell.shape == (0, UNITS)
    assert result.loss == 0
    assert not any(gradient.any() for gradient in result.gradients.values())


@pytest.mark.parametrize("token", [-1, 4])
def test_tokens_outside_of_the_vocabulary_are_refused(token):
    spec = Sequential([Embedding(4, FEATURES), LSTM(UNITS)], input_shape=(None,), input_dtype="int32")
    with pytest.raises(InputError, match=f"Embedding 'embedding': token {token} .*expected 0 to 3"):
        answer(spec, "forward", Batch({"input_layer": np.array([[1, token]])}))


@pytest.mark.parametrize(
    ("also", "found"), [("", "[]"), ("sys.modules['torch'] = sys", "['torch']")], ids=["alone", "can_fail"]
)
def test_the_reference_imports_no_framework(also, found):
    code = (
        f"import sys; import multilstm.engines.reference.engine; {also}\n"
        "print(sorted({'jax', 'keras', 'tensorflow', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
