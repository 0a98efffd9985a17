"""Whole models as pure functions: losses, dropout, NaN under a mask, states, and training steps that compile once."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.errors import InputError, UnsupportedError
from multilstm.scan import State, loss_value, model
from multilstm.scan.batch import Batch
from multilstm.spec import (
    L1,
    L2,
    LSTM,
    Bidirectional,
    ConvLSTM2D,
    Dense,
    Dropout,
    Input,
    Masking,
    MaxNorm,
    Model,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.optimizers import SGD, Adam
from multilstm.weights.initializers import discriminating_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 3))
MASK = np.arange(6) < np.array([[6], [3], [1], [5]])


def weights_of(spec):
    return {name: jnp.asarray(value, "float64") for name, value in discriminating_weights(spec).items()}


def targets(*shape):
    return RNG.dirichlet(np.ones(shape[-1]), shape[:-1])


def test_model_is_hashable_and_its_functions_are_pure():
    spec = Sequential([LSTM(4), Dense(2)], input_shape=(None, 3))
    assert hash(model(spec)) == hash(model(spec))
    weights = weights_of(spec)
    first = jax.jit(model(spec).apply)(weights, {"input_layer": X})
    second = model(spec).apply(weights, {"input_layer": X})
    np.testing.assert_allclose(first.outputs[0], second.outputs[0], rtol=1e-13)
    assert set(first.states) == {"lstm"}
    assert first.sequences == {}


def test_last_output_is_the_last_of_the_sequence():
    for options in ({}, {"go_backwards": True}, {"zero_output_for_mask": True}):
        last = Sequential([LSTM(4, **options)], input_shape=(None, 3))
        whole = Sequential([LSTM(4, return_sequences=True, **options)], input_shape=(None, 3))
        weights = weights_of(last)
        mask = {"input_layer": MASK & (np.arange(4) != 2)[:, None]}
        actual = model(last).apply(weights, {"input_layer": X}, mask).outputs[0]
        desired = model(whole).apply(weights, {"input_layer": X}, mask).outputs[0][:, -1]
        np.testing.assert_array_equal(actual, desired)


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None], ids=str)
def test_bidirectional_states_are_named_by_direction(merge_mode):
    source = Input((None, 3))
    layer = Bidirectional(LSTM(4, return_sequences=True, return_state=True), merge_mode, name="both")
    spec = Model(source, layer(source))
    result = model(spec).apply(weights_of(spec), {"input_layer": X})
    *outputs, fh, fc, bh, bc = result.outputs
    assert len(outputs) == (2 if merge_mode is None else 1)
    for name, pair in {"both/forward": (fh, fc), "both/backward": (bh, bc)}.items():
        np.testing.assert_array_equal(result.states[name], pair)
    np.testing.assert_array_equal(result.sequences["both/backward"][:, -1], bh)


def test_a_stateful_lstm_that_is_called_twice_goes_on_where_it_was():
    source, shared = Input((6, 3), batch_size=4), LSTM(4, return_sequences=True, stateful=True, name="lstm")
    twice = model(Model(source, [shared(source), shared(source)]))
    once = Sequential([LSTM(4, return_sequences=True, stateful=True, name="lstm")], input_shape=(6, 3), batch_size=4)
    weights, inputs = weights_of(once), {next(iter(once.inputs)): X}
    first = model(once).apply(weights, inputs)
    second = model(once).apply(weights, inputs, states=first.states)
    actual = twice.apply(weights, {next(iter(twice.spec.inputs)): X})
    np.testing.assert_array_equal(actual.outputs[0], first.outputs[0])
    np.testing.assert_array_equal(actual.outputs[1], second.outputs[0])


def test_a_given_state_wins_over_the_graphs():
    source, hidden, cell = Input((6, 3)), Input((4,)), Input((4,))
    passed = model(Model([source, hidden, cell], LSTM(4, name="lstm")(source, initial_state=[hidden, cell])))
    alone = Sequential([LSTM(4, name="lstm")], input_shape=(6, 3))
    weights, given = weights_of(alone), State(RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4)))
    inputs = dict(zip(passed.spec.inputs, (X, np.ones((4, 4)), np.ones((4, 4))), strict=True))
    actual = passed.apply(weights, inputs, states={"lstm": given})
    desired = model(alone).apply(weights, {next(iter(alone.inputs)): X}, states={"lstm": given})
    np.testing.assert_array_equal(actual.outputs[0], desired.outputs[0])


def test_masking_leaves_a_timestep_that_holds_its_value_in_some_features_alone():
    x = np.concatenate([np.zeros((4, 6, 1)), X[..., 1:]], -1)
    masked = Sequential([Masking(0.0), LSTM(4)], input_shape=(6, 3))
    plain = Sequential([LSTM(4)], input_shape=(6, 3))
    actual, desired = (model(each).apply(weights_of(plain), {"input_layer": x}).outputs[0] for each in (masked, plain))
    np.testing.assert_allclose(actual, desired, rtol=1e-13)


def test_crossentropy_of_labels_that_do_not_sum_to_one():
    output, target = jnp.asarray([[0.2, 0.6], [0.5, 0.5]]), jnp.asarray([[1.0, 1.0], [0.0, 0.5]])
    desired = -(np.log(0.25) + np.log(0.75) + 0.5 * np.log(0.5)) / 2
    np.testing.assert_allclose(loss_value("categorical_crossentropy", [output], [target], [None]), desired, rtol=1e-14)


def test_crossentropy_clips_probabilities():
    output, target = jnp.asarray([[0.0, 1.0]]), jnp.asarray([[1.0, 0.0]])
    actual = loss_value("categorical_crossentropy", [output], [target], [None])
    np.testing.assert_allclose(actual, -np.log(1e-7), rtol=1e-14)


def test_losses_of_several_outputs_add_up():
    a, b = jnp.asarray([[1.0, 2.0]]), jnp.asarray([[3.0]])
    actual = loss_value("mean_squared_error", [a, b], [jnp.zeros_like(a), jnp.zeros_like(b)], [None, None])
    np.testing.assert_allclose(actual, 2.5 + 9.0)


@pytest.mark.parametrize(
    ("name", "masks", "desired"),
    [
        ("values", [[True, False], [True, True]], (1 + 9 + 16) / 3),
        ("nothing_counts", [[False, False], [False, False]], 0.0),
    ],
    ids=["some", "none"],
)
def test_masked_loss_is_the_mean_over_unmasked_values(name, masks, desired):
    output = jnp.asarray([[[1.0], [np.nan]], [[3.0], [4.0]]])
    actual, gradient = jax.value_and_grad(
        lambda output: loss_value("mean_squared_error", [output], [jnp.zeros((2, 2, 1))], [jnp.asarray(masks)])
    )(output)
    np.testing.assert_allclose(actual, desired, rtol=1e-14)
    np.testing.assert_array_equal(np.asarray(gradient)[~np.asarray(masks)], 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "hinge"}, "unknown loss 'hinge': expected one of categorical_crossentropy, mean_squared_error"),
        ({"targets": []}, "given 0 targets, expected one for each of the 1 outputs"),
        ({"targets": [np.ones((1, 2))]}, "a target has shape (1, 2), expected the shape of its output, (4, 2)"),
    ],
    ids=["name", "count", "would_broadcast"],
)
def test_loss_refuses(change, message):
    arguments = {
        "name": "mean_squared_error", "outputs": [jnp.ones((4, 2))], "targets": [np.ones((4, 2))], "masks": [None],
        **change,
    }  # fmt: skip
    with pytest.raises(InputError, match=re.escape(message)):
        loss_value(**arguments)


def test_masked_nan_below_a_dense_layer_reaches_no_gradient():
    layers = [
        TimeDistributed(Dense(5, activation="softmax")), LSTM(4, return_sequences=True), Dense(2, activation="softmax"),
    ]  # fmt: skip
    spec = Sequential(layers, input_shape=(None, 3))
    functions, weights, target = model(spec), weights_of(spec), targets(4, 6, 2)
    gradient = jax.jit(lambda x, t: functions.gradient(
        weights, {"input_layer": x}, [t], {"input_layer": MASK}, loss="categorical_crossentropy"
    ))  # fmt: skip
    clean = gradient(X, target)
    poisoned = gradient(np.where(MASK[..., None], X, np.nan), np.where(MASK[..., None], target, np.inf))
    np.testing.assert_allclose(poisoned[0], clean[0], rtol=1e-14)
    for name, desired in clean[2].items():
        np.testing.assert_allclose(poisoned[2][name], desired, rtol=1e-12, atol=1e-16, err_msg=name)


def test_custom_gradient_of_a_model_equals_plain():
    layers = [
        Masking(), Bidirectional(LSTM(4, return_sequences=True)), LSTM(4, return_sequences=True, go_backwards=True),
        Dense(2, activation="softmax"),
    ]  # fmt: skip
    spec = Sequential(layers, input_shape=(None, 3))
    x, weights, target = np.where(MASK[..., None], X, 0.0), weights_of(spec), targets(4, 6, 2)
    values = [
        jax.jit(lambda w, each=each: model(spec, each).gradient(
            w, {"input_layer": x}, [target], loss="categorical_crossentropy"
        ))(weights)[2]
        for each in (True, False)
    ]  # fmt: skip
    for name, desired in values[1].items():
        assert np.abs(values[0][name] - desired).max() <= 1e-12 * np.abs(desired).max(), name


def test_dropout_multiplies_by_the_given_masks():
    spec = Sequential([LSTM(4), Dropout(0.5), Dense(2)], input_shape=(None, 3))
    weights, factor = weights_of(spec), RNG.integers(0, 2, (4, 4)) * 2.0
    actual = model(spec).apply(weights, {"input_layer": X}, dropout={"dropout": factor})
    desired = (actual.states["lstm"].hidden * factor) @ weights["dense/kernel"] + weights["dense/bias"]
    np.testing.assert_allclose(actual.outputs[0], desired, rtol=1e-13)


def test_given_state_is_the_start():
    spec = Sequential([LSTM(4)], input_shape=(None, 3))
    functions, weights = model(spec), weights_of(spec)
    first = functions.apply(weights, {"input_layer": X[:, :2]})
    second = functions.apply(weights, {"input_layer": X[:, 2:]}, states=first.states)
    whole = functions.apply(weights, {"input_layer": X})
    assert isinstance(second.states["lstm"], State)
    np.testing.assert_allclose(second.outputs[0], whole.outputs[0], rtol=1e-13)


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), Adam(0.01)], ids=["sgd", "adam"])
def test_train_step_compiles_once_and_lowers_the_loss(optimizer):
    spec = Sequential([LSTM(4), Dense(2, activation="softmax")], input_shape=(None, 3))
    functions, weights, target = model(spec), weights_of(spec), targets(4, 2)
    slots = {f"{name}/{slot}": jnp.zeros_like(w) for name, w in weights.items() for slot in optimizer.slots}
    traces = []

    @jax.jit
    def step(weights, slots, coefficients):
        traces.append(1)
        return functions.train_step(
            weights, slots, coefficients, {"input_layer": X}, [target], optimizer=optimizer,
            loss="categorical_crossentropy",
        )  # fmt: skip

    losses = []
    for iteration in range(20):
        weights, slots, loss, _ = step(weights, slots, optimizer.coefficients(iteration))
        losses.append(float(loss))
    assert len(traces) == 1
    assert losses[-1] < losses[0]
    assert set(slots) == {f"{name}/{slot}" for name in weights for slot in optimizer.slots}


def penalised():
    """Return a frozen Dense, whose penalty and constraint do not act, below an LSTM with both."""
    frozen = Dense(3, kernel_regularizer=L2(0.5), kernel_constraint=MaxNorm(0.1), trainable=False, name="frozen")
    lstm = LSTM(4, kernel_regularizer=L1(0.3), recurrent_regularizer=L2(0.2), recurrent_constraint=MaxNorm(0.5))
    return Sequential([frozen, lstm], input_shape=(None, 3))


def test_penalties_are_added_to_the_loss():
    spec, free = penalised(), Sequential([Dense(3, name="frozen"), LSTM(4)], input_shape=(None, 3))
    weights, given = weights_of(spec), ({"input_layer": X}, [targets(4, 4)])
    desired = model(free).loss(weights, Batch.of(*given), loss="mean_squared_error")[0]
    desired += 0.3 * np.abs(weights["lstm/kernel"]).sum() + 0.2 * (weights["lstm/recurrent_kernel"] ** 2).sum()
    np.testing.assert_allclose(
        model(spec).loss(weights, Batch.of(*given), loss="mean_squared_error")[0], desired, rtol=1e-14
    )
    np.testing.assert_allclose(model(spec).gradient(weights, *given, loss="mean_squared_error")[0], desired, rtol=1e-14)


def test_gradients_of_penalties_and_none_of_frozen_weights():
    spec, free = penalised(), Sequential([Dense(3, name="frozen"), LSTM(4)], input_shape=(None, 3))
    weights, given = weights_of(spec), ({"input_layer": X}, [targets(4, 4)])
    actual = model(spec).gradient(weights, *given, loss="mean_squared_error")[2]
    desired = model(free).gradient(weights, *given, loss="mean_squared_error")[2]
    desired["lstm/kernel"] += 0.3 * np.sign(weights["lstm/kernel"])
    desired["lstm/recurrent_kernel"] += 0.4 * weights["lstm/recurrent_kernel"]
    assert set(actual) == {"lstm/kernel", "lstm/recurrent_kernel", "lstm/bias"}
    for name, gradient in actual.items():
        np.testing.assert_allclose(gradient, desired[name], rtol=1e-13, atol=1e-16, err_msg=name)


def test_a_constraint_acts_after_the_step_and_frozen_weights_stay():
    spec, optimizer = penalised(), SGD(0.1, momentum=0.5)
    weights, rng = weights_of(spec), np.random.default_rng(1)
    gradients = {name: jnp.asarray(rng.normal(size=weights[name].shape)) for name in spec.trainable_weights}
    slots = {f"{name}/momentum": jnp.zeros_like(weights[name]) for name in spec.trainable_weights}
    after, kept = model(spec).update(weights, slots, optimizer.coefficients(0), gradients, optimizer=optimizer)
    assert set(after) == set(weights)
    assert set(kept) == set(slots)
    for name in ("frozen/kernel", "frozen/bias"):
        np.testing.assert_array_equal(after[name], weights[name])
    np.testing.assert_allclose(after["lstm/kernel"], weights["lstm/kernel"] - 0.1 * gradients["lstm/kernel"])
    stepped = weights["lstm/recurrent_kernel"] - 0.1 * gradients["lstm/recurrent_kernel"]
    assert np.linalg.norm(stepped, axis=0).max() > 0.5
    np.testing.assert_allclose(after["lstm/recurrent_kernel"], MaxNorm(0.5)(stepped), rtol=1e-14)
    assert np.linalg.norm(after["lstm/recurrent_kernel"], axis=0).max() < 0.5


@pytest.mark.parametrize("inside", [False, True], ids=["layer", "model inside"])
def test_refuses_a_recurrent_layer_that_it_does_not_compute(inside):
    spec = Sequential([ConvLSTM2D(2, 2, name="images")], input_shape=(None, 4, 4, 1))
    spec = Sequential([TimeDistributed(spec)], (3, None, 4, 4, 1)) if inside else spec
    with pytest.raises(
        UnsupportedError, match="it does not compute ConvLSTM2D 'images'; leave the engine jax-scan out"
    ):
        model(spec)
