"""The gradients of the reference against finite differences."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from small_models import (
    BATCH,
    CLASSES,
    DROPOUTS,
    FEATURES,
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
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import (
    L1L2,
    LSTM,
    Activation,
    ActivityRegularization,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    Model,
    RepeatVector,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.arrays import State
from multilstm.spec.layers import ACTIVATIONS


def assert_gradients(spec, batch, loss="mean_squared_error", h=1e-4, scale=0.4):
    """Compare with fourth-order central differences of the training loss, along a random direction in each weight."""
    weights = weights_of(spec, scale=scale)
    engine = Executor(ReferenceEngine())
    rng = np.random.default_rng(11)
    kind = "gradient" if batch.dropout else "evaluate"  # the same loss, faster

    def value(name, weight):
        job = Job(spec, {**weights, name: weight}, (Step(kind, batch),), dtype="float64", loss=loss)
        return engine.execute(job).answers[0].loss

    actual = answer(spec, "gradient", batch, loss=loss, weights=weights)
    assert list(actual.gradients) == list(spec.weight_shapes)
    for name, weight in weights.items():
        assert_gradient(name, weight, actual.gradients[name], actual.loss, partial(value, name), rng, h)
    assert set(actual.input_gradients) == {name for name, layer in spec.inputs.items() if layer.dtype != "int32"}
    for name, gradient in actual.input_gradients.items():

        def value_at(array, name=name):
            changed = dataclasses.replace(batch, inputs={**batch.inputs, name: array})
            return run(spec, Step(kind, changed), loss=loss, weights=weights).answers[0].loss

        assert_gradient(name, batch.inputs[name], gradient, actual.loss, value_at, rng, h)
    assert set(actual.state_gradients) == {name for name in batch.states if not spec.lstms[name].stateful}
    for name, gradients in actual.state_gradients.items():
        for field, gradient in gradients._asdict().items():

            def value_at(array, name=name, field=field):
                changed = {**batch.states, name: batch.states[name]._replace(**{field: array})}
                changed = dataclasses.replace(batch, states=changed)
                return run(spec, Step(kind, changed), loss=loss, weights=weights).answers[0].loss

            start = getattr(batch.states[name], field)
            assert_gradient(f"{name}/{field}", start, gradient, actual.loss, value_at, rng, h)
    return actual.gradients


def assert_gradient(name, array, gradient, loss, value, rng, h):
    assert gradient.shape == array.shape, name
    assert np.abs(gradient).max() > 1e-6, name
    direction = rng.normal(size=array.shape)
    low, lower, higher, high = (value(array + n * h * direction) for n in (-2, -1, 1, 2))
    desired = (8 * (higher - lower) - (high - low)) / (12 * h)
    along = (gradient * direction).sum()
    assert along == pytest.approx(desired, rel=1e-8, abs=1e-9 * max(1, loss)), name


# --- gradients against finite differences ---


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_lstm_activation(activation):
    spec = stack(LSTM(UNITS, activation=activation, return_sequences=True))
    scale = 0.1 if activation == "exponential" else 0.4  # else exp(exp(...)) overflows
    assert_gradients(spec, batch_of(spec, mask_kind="holes"), scale=scale)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_lstm_recurrent_activation(activation):
    spec = stack(LSTM(UNITS, recurrent_activation=activation))
    assert_gradients(spec, batch_of(spec))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_dense_and_activation_layer(activation):
    spec = stack(LSTM(UNITS), Dense(CLASSES, activation), Activation(activation))
    assert_gradients(spec, batch_of(spec))


@pytest.mark.parametrize("zero_output", [False, True], ids=["repeat", "zero_output_for_mask"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "go_backwards"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("mask_kind", MASKS)
def test_gradient_of_masked_lstm(mask_kind, sequences, backwards, zero_output):
    # The head is not masked, so that outputs at masked timesteps have gradients too.
    x = Input((TIMESTEPS, FEATURES), name="x")
    lstm = LSTM(
        UNITS, return_sequences=sequences, return_state=True, go_backwards=backwards, zero_output_for_mask=zero_output
    )
    output, hidden, cell = lstm(Dense(FEATURES, "tanh")(x))
    unmasked = Input((TIMESTEPS, 1) if sequences else (1,), name="unmasked")
    head = Dense(CLASSES)(Concatenate()([output, unmasked]))
    spec = Model([x, unmasked], [head, Dense(CLASSES)(hidden), Dense(CLASSES)(cell)])
    more = np.random.default_rng(5).normal(size=(BATCH, TIMESTEPS, 1) if sequences else (BATCH, 1))
    masks = {} if mask(mask_kind) is None else {"x": mask(mask_kind)}
    assert_gradients(spec, Batch({"x": inputs_of(), "unmasked": more}, targets_of(spec), masks))


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("mask_kind", ["none", "holes"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None], ids=str)
def test_gradient_of_bidirectional(merge_mode, sequences, mask_kind, use_bias):
    x = Input((None, FEATURES), name="x")
    lstm = LSTM(UNITS, return_sequences=sequences, return_state=True, use_bias=use_bias)
    tensors = Bidirectional(lstm, merge_mode)(Dense(FEATURES, "tanh")(x))
    spec = Model(x, [Dense(CLASSES)(tensor) for tensor in tensors])
    assert_gradients(spec, batch_of(spec, mask_kind=mask_kind))


def test_gradient_of_bidirectional_with_one_unused_output():
    x = Input((None, FEATURES), name="x")
    forward, _ = Bidirectional(LSTM(UNITS), None)(x)
    spec = Model(x, Dense(CLASSES)(forward))
    gradients = answer(spec, "gradient", batch_of(spec)).gradients
    assert np.abs(gradients["bidirectional/forward/kernel"]).max() > 0
    assert not gradients["bidirectional/backward/kernel"].any()


def encoder_decoder():
    x, y = Input((None, FEATURES), name="x"), Input((None, FEATURES), name="y")
    _, hidden, cell = LSTM(UNITS, return_state=True, name="encoder")(x)
    sequence = LSTM(UNITS, return_sequences=True, name="decoder")(y, initial_state=[hidden, cell])
    return Model([x, y], Dense(CLASSES, "softmax")(sequence))


def encoder_decoder_batch(spec, **more):
    masks = {"x": mask("right"), "y": mask("left")}
    return Batch({"x": inputs_of(6), "y": inputs_of(7)}, targets_of(spec), masks, **more)


def test_gradient_of_encoder_decoder_through_the_states():
    spec = encoder_decoder()
    assert_gradients(spec, encoder_decoder_batch(spec), "categorical_crossentropy")


def test_gradient_of_bidirectional_with_states_from_the_graph():
    x = Input((None, FEATURES), name="x")
    states = Bidirectional(LSTM(UNITS, return_state=True), name="below")(x)[1:]
    top = Bidirectional(LSTM(UNITS), name="above")(x, initial_state=states)
    spec = Model(x, Dense(CLASSES)(top))
    assert_gradients(spec, batch_of(spec, mask_kind="holes"))


def test_given_states_win_over_the_graph_and_stop_its_gradient():
    spec = encoder_decoder()
    start = State(*np.random.default_rng(8).normal(size=(2, BATCH, UNITS)))
    gradients = answer(spec, "gradient", encoder_decoder_batch(spec, states={"decoder": start})).gradients
    assert not gradients["encoder/kernel"].any()
    assert gradients["decoder/kernel"].any()


def starts(*names, seed=8):
    rng = np.random.default_rng(seed)
    return {name: State(*rng.normal(size=(2, BATCH, UNITS))) for name in names}


@pytest.mark.parametrize("mask_kind", ["none", "left", "holes"])
def test_gradient_of_given_states(mask_kind):
    spec = stack(LSTM(UNITS, return_sequences=True), LSTM(UNITS, go_backwards=True))
    assert_gradients(spec, batch_of(spec, mask_kind=mask_kind, states=starts("lstm", "lstm_1")))


def test_gradient_of_given_states_of_a_masked_sequence_is_that_of_its_last_state():
    x = Input((TIMESTEPS, FEATURES), name="x")
    _, hidden, cell = LSTM(UNITS, return_state=True)(x)
    spec = Model(x, [hidden, cell])
    batch = batch_of(spec, mask_kind="full_row", states=starts("lstm"))
    found = answer(spec, "gradient", batch)
    for gradient, start, target in zip(found.state_gradients["lstm"], batch.states["lstm"], batch.targets, strict=True):
        np.testing.assert_allclose(gradient[1], 2 * (start[1] - target[1]) / (UNITS * BATCH), rtol=1e-14)
    assert not found.input_gradients["x"][1].any()


def test_gradient_of_given_states_of_a_bidirectional():
    spec = stack(Bidirectional(LSTM(UNITS)))
    assert_gradients(spec, batch_of(spec, states=starts("bidirectional/forward", "bidirectional/backward")))


def test_gradient_of_given_states_of_a_layer_called_twice():
    x = Input((None, FEATURES), name="x")
    shared = LSTM(UNITS, name="shared")
    spec = Model(x, Dense(CLASSES)(Concatenate()([shared(x), shared(Dense(FEATURES)(x))])))
    assert_gradients(spec, batch_of(spec, states=starts("shared")))


def test_gradient_of_given_states_that_win_over_the_graph():
    spec = encoder_decoder()
    batch = encoder_decoder_batch(spec, states=starts("decoder"))
    found = answer(spec, "gradient", batch)
    assert set(found.state_gradients) == {"decoder"}
    assert all(array.any() for array in found.state_gradients["decoder"])
    assert not found.input_gradients["x"].any()


def test_the_gradient_is_zero_where_the_loss_does_not_depend_on_a_value():
    x, unused = Input((None, FEATURES), name="x"), Input((None, FEATURES), name="unused")
    lost = LSTM(UNITS, return_sequences=True, name="lost")(unused)
    spec = Model([x, unused], [Dense(CLASSES)(LSTM(UNITS, name="lstm")(x)), lost])
    batch = Batch({"x": inputs_of(), "unused": inputs_of(9)}, (), states=starts("lost"))
    desired = answer(spec, "forward", batch).outputs[1]
    found = answer(spec, "gradient", dataclasses.replace(batch, targets=(targets_of(spec)[0], desired)))
    np.testing.assert_array_equal(found.input_gradients["unused"], np.zeros((BATCH, TIMESTEPS, FEATURES)))
    np.testing.assert_array_equal(found.state_gradients["lost"], np.zeros((2, BATCH, UNITS)))
    assert found.input_gradients["x"].any()


def test_carried_states_have_no_gradient():
    layers = [LSTM(UNITS, return_sequences=True, stateful=True), LSTM(UNITS)]
    spec = Sequential(layers, input_shape=(None, FEATURES), batch_size=BATCH)
    found = answer(spec, "gradient", batch_of(spec, states=starts("lstm", "lstm_1")))
    assert set(found.state_gradients) == {"lstm_1"}


def test_gradient_of_shared_layers():
    x = Input((None, FEATURES), name="x")
    shared = LSTM(FEATURES, return_sequences=True, name="shared")
    head = Dense(FEATURES, "tanh", name="head")
    spec = Model(x, head(shared(head(shared(x)))))
    assert_gradients(spec, batch_of(spec, mask_kind="right"))


def test_gradient_of_a_layer_called_twice_on_the_same_tensor():
    x = Input((None, FEATURES), name="x")
    shared = LSTM(UNITS, name="shared")
    spec = Model(x, Dense(CLASSES)(Concatenate()([shared(x), shared(x)])))
    assert_gradients(spec, batch_of(spec))


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mean_squared_error"])
def test_gradient_of_embedding_with_repeated_and_masked_tokens(loss):
    spec = Sequential(
        [Embedding(4, FEATURES, mask_zero=True), LSTM(UNITS, return_sequences=True), Dense(CLASSES, "softmax")],
        input_shape=(None,),
        input_dtype="int32",
    )
    tokens = np.array([[1, 3, 1, 0, 0], [2, 1, 1, 1, 3], [0, 2, 0, 3, 0]])
    gradients = assert_gradients(spec, batch_of(spec, tokens), loss)["embedding/embeddings"]
    assert not gradients[0].any()  # token 0 is masked
    assert gradients[1:].all()


@pytest.mark.parametrize("mask_kind", MASKS)
@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mean_squared_error"])
def test_gradient_of_masked_loss_through_every_layer(loss, mask_kind):
    x = Input((TIMESTEPS, FEATURES), name="x")
    below = Dropout(0.4, name="dropout")(Masking(0.0)(TimeDistributed(Dense(FEATURES, "silu"))(x)))
    last = LSTM(UNITS)(below)
    decoded = LSTM(UNITS, return_sequences=True)(RepeatVector(TIMESTEPS)(last))
    sequence = LSTM(UNITS, return_sequences=True)(x)
    joined = Concatenate()([sequence, LSTM(2, return_sequences=True)(x), x])
    spec = Model(x, [TimeDistributed(Dense(CLASSES, "softmax"))(joined), Dense(2, "sigmoid")(decoded)])
    factor = np.random.default_rng(9).choice([0.0, 1 / 0.6], (BATCH, TIMESTEPS, FEATURES))
    assert_gradients(spec, batch_of(spec, mask_kind=mask_kind, dropout={"dropout": factor}), loss)


@pytest.mark.parametrize("mask_kind", ["none", "holes"])
@pytest.mark.parametrize("form", ["forwards", "go_backwards", "last", "bidirectional"])
@pytest.mark.parametrize("rates", DROPOUTS.values(), ids=DROPOUTS)
def test_gradient_of_lstm_with_dropout(rates, form, mask_kind):
    lstm = LSTM(UNITS, return_sequences=form != "last", go_backwards=form == "go_backwards", **rates)
    spec = stack(Bidirectional(lstm) if form == "bidirectional" else lstm)
    dropout = draw_dropout(np.random.default_rng(9), spec, BATCH, TIMESTEPS)
    assert_gradients(spec, batch_of(spec, mask_kind=mask_kind, dropout=dropout))


def test_gradient_of_the_penalties_of_activities():
    penalised = [Dense(3, activity_regularizer=L1L2(0.1, 0.2)), ActivityRegularization(0.05, 0.3), Dense(CLASSES)]
    spec = stack(LSTM(UNITS, return_sequences=True), *penalised)
    batch = batch_of(spec)
    assert_gradients(spec, batch)
    plain = stack(LSTM(UNITS, return_sequences=True), Dense(3, name="inner"))
    weights = weights_of(spec)
    inner = answer(
        plain, "forward", batch_of(plain), weights=dict(zip(plain.weight_shapes, weights.values(), strict=False))
    )
    (x,) = inner.outputs
    penalty = (0.15 * np.abs(x).sum() + 0.5 * (x**2).sum()) / len(x)
    output = answer(spec, "evaluate", batch, weights=weights)
    mean_squared = np.mean((output.outputs[0] - batch.targets[0]) ** 2)
    assert output.loss == pytest.approx(mean_squared + penalty, 1e-13)
