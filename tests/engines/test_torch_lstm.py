"""The engine torch-lstm against the reference: two implementations that share no arithmetic, in float64 and float32."""

import dataclasses

import numpy as np
import pytest
import torch

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.torch_lstm import TorchLSTMEngine
from multilstm.engines.torch_lstm_layers.activation import ACTIVATIONS
from multilstm.errors import UnsupportedError
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import (
    LSTM,
    Activation,
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
from multilstm.spec import layers as spec_layers
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import SGD, Adam, AdamW, RMSprop

BATCH, TIMESTEPS, FEATURES, UNITS, CLASSES = 3, 6, 2, 4, 3
KEEP = ("outputs", "sequences", "states", "gradients")
TOLERANCE = {"float64": 1e-14, "float32": 3e-6}


def stack():
    layers = [LSTM(UNITS, return_sequences=True), LSTM(3, use_bias=False), Dense(CLASSES, "softmax")]
    return Sequential(layers, input_shape=(None, FEATURES))


def backwards():
    return Sequential(
        [LSTM(UNITS, return_sequences=True, go_backwards=True), LSTM(3, go_backwards=True)],
        input_shape=(None, FEATURES),
    )


def bidirectional(mode, sequences):
    x = Input((None, FEATURES), name="x")
    tensors = Bidirectional(LSTM(UNITS, return_sequences=sequences, return_state=True), mode)(x)
    return Model(x, tensors)


def encoder_decoder():
    x, y = Input((None, FEATURES), name="x"), Input((None, FEATURES), name="y")
    states = LSTM(UNITS, return_state=True, name="encoder")(x)[1:]
    return Model([x, y], Dense(CLASSES, "softmax")(LSTM(UNITS, return_sequences=True)(y, initial_state=states)))


def shared():
    x = Input((None, FEATURES), name="x")
    lstm, head = LSTM(FEATURES, return_sequences=True), Dense(FEATURES, "gelu")
    return Model(x, head(lstm(head(lstm(x)))))


def tokens():
    layers = [Embedding(9, 4), Bidirectional(LSTM(UNITS)), Dense(CLASSES, "softmax")]
    return Sequential(layers, input_shape=(None,), input_dtype="int32")


def everything():
    x = Input((None, FEATURES), name="x")
    decoded = LSTM(3, return_sequences=True)(RepeatVector(TIMESTEPS)(LSTM(UNITS)(Dropout(0.5, name="dropout")(x))))
    return Model(x, [Activation("sigmoid")(Concatenate()([decoded, x])), TimeDistributed(Dense(CLASSES, "relu"))(x)])


SPECS = {
    "stack": stack(),
    "go_backwards": backwards(),
    **{f"bidirectional_{mode}": bidirectional(mode, True) for mode in ("concat", "sum", "mul", "ave", None)},
    "bidirectional_last": bidirectional("concat", False),
    "encoder_decoder": encoder_decoder(),
    "shared": shared(),
    "tokens": tokens(),
    "everything": everything(),
}


def weights_of(spec, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(scale=0.5, size=s).astype(np.float32) for name, s in spec.weight_shapes.items()}


def batch_of(spec, seed=1, **more):
    rng = np.random.default_rng(seed)
    inputs = {
        name: rng.integers(0, 9, (BATCH, TIMESTEPS))
        if layer.dtype == "int32"
        else rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype(np.float32)
        for name, layer in spec.inputs.items()
    }
    shapes = [(BATCH, *(TIMESTEPS if size is None else size for size in shape[1:])) for shape in spec.output_shapes]
    targets = tuple(rng.uniform(0.1, 1, shape).astype(np.float32) for shape in shapes)
    factor = rng.choice([0.0, 2.0], (BATCH, TIMESTEPS, FEATURES))
    return Batch(
        inputs,
        targets,
        dropout={"dropout": factor} if any(layer.name == "dropout" for layer in spec.layers) else {},
        **more,
    )


def both(spec, *steps, dtype="float64", weights=None, **more):
    weights = weights_of(spec) if weights is None else weights
    job = Job(spec, weights, steps, dtype=dtype, loss=more.pop("loss", "mean_squared_error"), **more)
    return Executor(TorchLSTMEngine()).execute(job), Executor(ReferenceEngine()).execute(job)


def assert_close(actual, desired, tolerance, name=""):
    assert np.shape(actual) == np.shape(desired), name
    limit = tolerance * max(1.0, np.abs(desired).max(initial=0))
    assert np.abs(np.subtract(actual, desired)).max(initial=0) <= limit, name


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", SPECS)
def test_forward_is_the_reference(name, dtype):
    spec = SPECS[name]
    actual, desired = (
        result.answers[0] for result in both(spec, Step("forward", batch_of(spec), keep=KEEP), dtype=dtype)
    )
    for number, (output, value) in enumerate(zip(actual.outputs, desired.outputs, strict=True)):
        assert output.dtype == dtype
        assert_close(output, value, TOLERANCE[dtype], number)
    assert list(actual.sequences) == list(desired.sequences)
    assert set(actual.states) == set(desired.states) == set(spec.lstms)
    for lstm, sequence in actual.sequences.items():
        assert_close(sequence, desired.sequences[lstm], TOLERANCE[dtype], lstm)
    assert list(actual.last_outputs) == list(desired.last_outputs)
    assert {*actual.last_outputs, *actual.sequences} == {lstm for lstm in spec.lstms if "/" not in lstm}
    for lstm, output in actual.last_outputs.items():
        assert_close(output, desired.last_outputs[lstm], TOLERANCE[dtype], lstm)
    for lstm, state in actual.states.items():
        assert_close(state.hidden, desired.states[lstm].hidden, TOLERANCE[dtype], lstm)
        assert_close(state.cell, desired.states[lstm].cell, TOLERANCE[dtype], lstm)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", SPECS)
def test_gradients_are_the_reference(name, dtype):
    spec = SPECS[name]
    actual, desired = (
        result.answers[0] for result in both(spec, Step("gradient", batch_of(spec), keep=KEEP), dtype=dtype)
    )
    assert actual.loss == pytest.approx(desired.loss, rel=TOLERANCE[dtype])
    assert list(actual.gradients) == list(spec.weight_shapes)
    for weight, gradient in actual.gradients.items():
        assert_close(gradient, desired.gradients[weight], 3 * TOLERANCE[dtype], weight)
    assert list(actual.input_gradients) == [name for name, layer in spec.inputs.items() if layer.dtype != "int32"]
    for name, gradient in actual.input_gradients.items():
        assert_close(gradient, desired.input_gradients[name], 3 * TOLERANCE[dtype], name)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("stack", ["lstm", "lstm_1"]),
        ("bidirectional_concat", ["bidirectional/forward", "bidirectional/backward"]),
        ("encoder_decoder", ["encoder"]),
        ("shared", ["lstm"]),
    ],
)
def test_gradients_of_given_states_are_the_reference(name, names):
    spec = SPECS[name]
    rng = np.random.default_rng(4)
    states = {lstm: State(*rng.normal(size=(2, BATCH, spec.lstms[lstm].units))) for lstm in names}
    step = Step("gradient", batch_of(spec, states=states), keep=KEEP)
    actual, desired = (result.answers[0].state_gradients for result in both(spec, step))
    assert list(actual) == list(desired) == names
    for lstm, state in desired.items():
        for field in State._fields:
            assert getattr(state, field).any()
            assert_close(getattr(actual[lstm], field), getattr(state, field), 3e-14, f"{lstm}/{field}")


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1, 0.9), RMSprop(0.01), Adam(0.01, clipnorm=0.01), AdamW(0.01)], ids=lambda o: type(o).__name__
)
def test_training_is_the_reference(optimizer):
    spec = SPECS["stack"]
    batch = batch_of(spec)
    actual, desired = both(spec, *[Step("update", batch)] * 5, loss="categorical_crossentropy", optimizer=optimizer)
    assert [one.loss for one in actual.answers] == pytest.approx([one.loss for one in desired.answers], rel=1e-12)
    assert list(actual.weights) == list(desired.weights)
    assert set(actual.slots) == set(desired.slots)
    for name, weight in actual.weights.items():
        assert_close(weight, desired.weights[name], 1e-12, name)
    for name, slot in actual.slots.items():
        assert_close(slot, desired.slots[name], 1e-12, name)


@pytest.mark.parametrize("activation", spec_layers.ACTIVATIONS)
def test_dense_activation_is_the_reference(activation):
    spec = Sequential([Dense(CLASSES, activation), Activation(activation)], input_shape=(None, FEATURES))
    step = Step("gradient", batch_of(spec), keep=KEEP)
    actual, desired = (result.answers[0] for result in both(spec, step))
    assert_close(actual.outputs[0], desired.outputs[0], 1e-14)
    assert_close(actual.gradients["dense/kernel"], desired.gradients["dense/kernel"], 1e-14)


def test_every_activation_of_the_spec_is_there():
    assert set(ACTIVATIONS) == set(spec_layers.ACTIVATIONS)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mean_squared_error"])
def test_masked_loss_is_the_reference(loss):
    spec = Sequential([Masking(0.5), TimeDistributed(Dense(CLASSES, "softmax"))], input_shape=(None, FEATURES))
    batch = batch_of(spec)
    batch.inputs["input_layer"][:2, 3:] = 0.5
    actual, desired = (result.answers[0] for result in both(spec, Step("gradient", batch, keep=KEEP), loss=loss))
    assert actual.loss == pytest.approx(desired.loss, rel=1e-14)
    assert_close(actual.gradients["time_distributed/kernel"], desired.gradients["time_distributed/kernel"], 1e-14)


def test_states_are_carried_given_and_reset():
    spec = Sequential([LSTM(UNITS, stateful=True, return_sequences=True), LSTM(3)], (None, FEATURES), BATCH)
    start = State(*np.random.default_rng(8).normal(size=(2, BATCH, 3)))
    steps = [
        Step("forward", batch_of(spec, 1), keep=KEEP),
        Step("forward", batch_of(spec, 2, states={"lstm_1": start}), keep=KEEP),
        Step("forward", batch_of(spec, 2), keep=KEEP),
        Step("forward", batch_of(spec, 1), reset=True, keep=KEEP),
    ]
    actual, desired = both(spec, *steps)
    outputs = [(one.outputs[0], two.outputs[0]) for one, two in zip(actual.answers, desired.answers, strict=True)]
    assert_close(*np.stack(outputs, axis=1), 1e-14)
    np.testing.assert_array_equal(outputs[0][0], outputs[3][0])
    assert np.abs(outputs[1][0] - outputs[2][0]).max() > 1e-3
    assert_close(actual.carried["lstm"], desired.carried["lstm"], 1e-14)


def test_the_second_bias_is_not_counted():
    actual, desired = both(SPECS["tokens"], Step("forward", batch_of(SPECS["tokens"])))
    assert actual.parameter_counts == desired.parameter_counts == SPECS["tokens"].parameter_counts


@pytest.mark.parametrize(
    ("lstm", "words"),
    [
        (LSTM(UNITS, activation="relu"), "activation='relu'"),
        (LSTM(UNITS, recurrent_activation="hard_sigmoid"), "recurrent_activation='hard_sigmoid'"),
        (Bidirectional(LSTM(UNITS, activation="softsign")), "bidirectional/forward' has activation='softsign'"),
    ],
    ids=["activation", "recurrent_activation", "bidirectional"],
)
def test_other_activations_are_refused_by_name(lstm, words):
    spec = Sequential([lstm], input_shape=(None, FEATURES))
    with pytest.raises(UnsupportedError, match=words):
        TorchLSTMEngine().prepare(Job(spec, weights_of(spec), ()))


@pytest.mark.parametrize("layer", [LSTM(UNITS), Bidirectional(LSTM(UNITS))], ids=["lstm", "bidirectional"])
@pytest.mark.parametrize("source", ["input", "masking"])
def test_a_mask_on_an_lstm_is_refused(layer, source):
    layers = [Masking(), layer] if source == "masking" else [layer]
    spec = Sequential(layers, input_shape=(None, FEATURES))
    masks = {"input_layer": np.ones((BATCH, TIMESTEPS), bool)} if source == "input" else {}
    job = Job(spec, weights_of(spec), (Step("forward", batch_of(spec, masks=masks)),))
    with pytest.raises(UnsupportedError, match="is given a mask"):
        Executor(TorchLSTMEngine()).execute(job)


@pytest.mark.parametrize("argument", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["lstm", "bidirectional"])
def test_training_with_dropout_inside_an_lstm_is_refused(bidirectional, argument):
    lstm = LSTM(UNITS, name="lstm", **{argument: 0.5})
    spec = Sequential([Bidirectional(lstm) if bidirectional else lstm], input_shape=(None, FEATURES))
    masks = draw_dropout(np.random.default_rng(0), spec, BATCH, TIMESTEPS)
    batch = dataclasses.replace(batch_of(spec), dropout=masks)
    with pytest.raises(UnsupportedError, match=f"trains with {argument}; torch.nn.LSTM knows no dropout inside"):
        both(spec, Step("gradient", batch))
    actual, desired = both(spec, Step("forward", batch, keep=KEEP))
    assert_close(actual.answers[0].outputs[0], desired.answers[0].outputs[0], 1e-14)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_implementation_is_the_kernel_that_torch_records(dtype):
    spec = SPECS["stack"]
    program = TorchLSTMEngine().prepare(Job(spec, weights_of(spec), (), dtype=dtype))
    program.load(weights_of(spec), {}, 0)
    with torch.autograd.profiler.profile() as profile:
        program.step("forward", batch_of(spec), {})
    fused = any(event.name == "aten::mkldnn_rnn_layer" for event in profile.function_events)
    assert any(event.name == "aten::lstm" for event in profile.function_events)
    assert str(program.implementation) == f"torch.nn.LSTM ({'mkldnn' if fused else 'ATen'})"
