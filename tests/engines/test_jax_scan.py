"""The engine jax-scan against the reference in float64: forward, masks, states, gradients, and training."""

import jax
import numpy as np
import pytest

from multilstm.engines.executor import Executor
from multilstm.engines.jax_scan import JaxScanEngine
from multilstm.engines.reference.engine import ReferenceEngine, ReferenceProgram
from multilstm.errors import EngineUnavailableError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.scan import model
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
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import SGD, Adam, AdamW, RMSprop
from multilstm.spec.schedules import ExponentialDecay
from multilstm.weights.initializers import discriminating_weights

jax.config.update("jax_enable_x64", True)

TOLERANCE = 1e-12
BATCH, TIMESTEPS, FEATURES = 3, 6, 4
ALL = ("outputs", "sequences", "states", "gradients")
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0]], bool)


def stacked():
    return Sequential(
        [LSTM(5, return_sequences=True), Dropout(0.3), LSTM(4, activation="softsign"), Dense(3, activation="softmax")],
        input_shape=(None, FEATURES),
    )


def masked():
    return Sequential(
        [
            Masking(), LSTM(5, return_sequences=True), LSTM(4, return_sequences=True, zero_output_for_mask=True),
            TimeDistributed(Dense(3)), Activation("softmax"),
        ],
        input_shape=(None, FEATURES),
    )  # fmt: skip


def bidirectional():
    layers = [Masking(), Bidirectional(LSTM(4, return_sequences=True)), Bidirectional(LSTM(3), "mul")]
    return Sequential([*layers, Dense(3, activation="softmax")], input_shape=(None, FEATURES))


def backwards():
    layers = [
        LSTM(4, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid"),
        Bidirectional(LSTM(3, return_sequences=True, activation="selu"), "ave"),
    ]
    return Sequential([*layers, Dense(3, activation="softmax")], input_shape=(None, FEATURES))


def encoder_decoder():
    source, target = Input((None, FEATURES), name="source"), Input((None, FEATURES), name="target")
    _, hidden, cell = LSTM(5, return_state=True, name="encoder")(source)
    decoded = LSTM(5, return_sequences=True, name="decoder")(target, initial_state=[hidden, cell])
    return Model([source, target], Dense(3, activation="softmax")(decoded))


def bidirectional_encoder():
    source, target = Input((None, FEATURES), name="source"), Input((None, FEATURES), name="target")
    _, fh, fc, bh, bc = Bidirectional(LSTM(3, return_state=True), name="encoder")(source)
    both = Bidirectional(LSTM(3, return_sequences=True), None, name="decoder")(target, initial_state=[fh, fc, bh, bc])
    return Model([source, target], Dense(3, activation="softmax")(Concatenate()(both)))


def embedding():
    layers = [Embedding(9, 4, mask_zero=True), LSTM(5), RepeatVector(TIMESTEPS), LSTM(4, return_sequences=True)]
    return Sequential([*layers, Dense(3, activation="softmax")], input_shape=(None,), input_dtype="int32")


def documents():
    word = Input((4,), dtype="int32")
    table = Embedding(9, 4, mask_zero=True)(word)
    both = Concatenate()([LSTM(3)(table), LSTM(2, go_backwards=True)(table)])
    tokens = Input((None, 4), dtype="int32", name="tokens")
    read = TimeDistributed(Model(word, both, name="sentence"))(tokens)
    return Model(tokens, Dense(3, activation="softmax")(LSTM(4)(read)))


def shared_with_two_outputs():
    source, target = Input((None, FEATURES), name="source"), Input((None, FEATURES), name="target")
    lstm, dense = LSTM(5, use_bias=False), Dense(3, activation="softmax")
    return Model([source, target], [dense(lstm(source)), dense(lstm(target))])


def stateful():
    layers = [LSTM(5, stateful=True, return_sequences=True), Bidirectional(LSTM(4, stateful=True))]
    return Sequential([*layers, Dense(3, activation="softmax")], input_shape=(None, FEATURES), batch_size=BATCH)


SPECS = {
    function.__name__: function()
    for function in (
        stacked, masked, bidirectional, backwards, encoder_decoder, bidirectional_encoder, embedding,
        documents, shared_with_two_outputs, stateful,
    )
}  # fmt: skip


def make_batch(spec, rng):
    inputs = {}
    for name, layer in spec.inputs.items():
        if layer.dtype == "int32":
            shape = (BATCH, TIMESTEPS, *layer.shape[1:])
            inputs[name] = rng.integers(1, 9, shape) * (MASK if len(shape) == 2 else rng.random(shape) < 0.6)
        else:
            x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES))
            has_masking = any(isinstance(each, Masking) for each in spec.layers)
            inputs[name] = np.where(MASK[..., None], x, 0.0) if has_masking else x
    shapes = [tuple(TIMESTEPS if size is None else size for size in shape[1:]) for shape in spec.output_shapes]
    return Batch(
        inputs=inputs,
        targets=tuple(rng.dirichlet(np.ones(shape[-1]), (BATCH, *shape[:-1])) for shape in shapes),
        dropout={
            layer.name: rng.integers(0, 2, (BATCH, TIMESTEPS, 5)) / (1 - layer.rate)
            for layer in spec.layers
            if isinstance(layer, Dropout)
        },
    )


def make_job(spec, kinds, **arguments):
    rng = np.random.default_rng(1)
    steps = tuple(Step(kind, make_batch(spec, rng), keep=ALL) for kind in kinds)
    return Job(spec, discriminating_weights(spec), steps, **{"dtype": "float64", **arguments})


def arrays_of(result):
    """Return every array of a result, by the name of its quantity."""
    found = {f"weights/{name}": value for name, value in result.weights.items()}
    found |= {f"slots/{name}": value for name, value in result.slots.items()}
    found |= {f"carried/{name}": np.stack(state) for name, state in result.carried.items()}
    for number, answer in enumerate(result.answers):
        parts = {f"outputs/{index}": value for index, value in enumerate(answer.outputs)}
        parts |= {f"sequences/{name}": value for name, value in answer.sequences.items()}
        parts |= {f"states/{name}": np.stack(state) for name, state in answer.states.items()}
        parts |= {f"last_outputs/{name}": value for name, value in answer.last_outputs.items()}
        parts |= {f"gradients/{name}": value for name, value in answer.gradients.items()}
        parts |= {f"input_gradients/{name}": value for name, value in answer.input_gradients.items()}
        parts |= {f"state_gradients/{name}": np.stack(state) for name, state in answer.state_gradients.items()}
        if answer.loss is not None:
            parts["loss"] = np.float64(answer.loss)
        found |= {f"{number}/{name}": value for name, value in parts.items()}
    return found


def assert_agree(job):
    actual, desired = (Executor(engine()).execute(job) for engine in (JaxScanEngine, ReferenceEngine))
    assert actual.parameter_counts == desired.parameter_counts
    assert [answer.accuracy for answer in actual.answers] == [answer.accuracy for answer in desired.answers]
    left, right = arrays_of(actual), arrays_of(desired)
    assert sorted(left) == sorted(right)
    for name, value in right.items():
        assert left[name].shape == value.shape, name
        assert left[name].dtype == value.dtype == np.float64, name
        distance = np.abs(left[name] - value).max() / max(np.abs(value).max(), 1e-300)
        assert distance <= TOLERANCE, (name, distance)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mean_squared_error"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_quantity_equals_reference(spec, loss):
    assert_agree(make_job(spec, ["forward", "evaluate", "gradient"], loss=loss))


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.1), SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.9, nesterov=True), RMSprop(0.01),
        RMSprop(0.01, momentum=0.5, centered=True), Adam(0.01), Adam(0.01, clipnorm=1e-3),
        AdamW(ExponentialDecay(0.01, 2, 0.5), global_clipnorm=1e-3, weight_decay=0.5),
    ],
    ids=["sgd", "sgd_momentum", "sgd_nesterov", "rmsprop", "rmsprop_momentum_centered", "adam", "clipnorm", "adamw"],
)  # fmt: skip
@pytest.mark.parametrize("spec", [SPECS["masked"], SPECS["stateful"]], ids=["masked", "stateful"])
def test_five_updates_equal_reference(spec, optimizer):
    assert_agree(make_job(spec, ["update"] * 5 + ["evaluate"], loss="categorical_crossentropy", optimizer=optimizer))


@pytest.mark.parametrize("poison", [0.5, np.nan, np.inf], ids=["finite", "nan", "inf"])
@pytest.mark.parametrize("spec", [SPECS["stacked"], SPECS["encoder_decoder"]], ids=["stacked", "encoder_decoder"])
def test_given_masks_and_states_equal_reference(spec, poison):
    rng = np.random.default_rng(2)
    batch = make_batch(spec, rng)
    states = {
        name: State(*rng.normal(size=(2, BATCH, lstm.units))) for name, lstm in spec.lstms.items() if name != "decoder"
    }
    first = next(iter(batch.inputs))
    inputs = {**batch.inputs, first: np.where(MASK[..., None], batch.inputs[first], poison)}
    batch = Batch(inputs, batch.targets, {first: MASK}, states, batch.dropout)
    steps = tuple(Step(kind, batch, keep=ALL) for kind in ("forward", "gradient"))
    assert_agree(Job(spec, discriminating_weights(spec), steps, dtype="float64", loss="categorical_crossentropy"))


def test_a_long_training_may_be_cut_in_two():
    spec, arguments = SPECS["stateful"], {"loss": "categorical_crossentropy", "optimizer": Adam(0.01)}
    job = make_job(spec, ["update"] * 4, **arguments)
    executor = Executor(JaxScanEngine())
    whole = executor.execute(job)
    first = executor.execute(Job(spec, job.weights, job.steps[:2], dtype="float64", **arguments))
    second = executor.execute(
        Job(
            spec, first.weights, job.steps[2:], dtype="float64", slots=first.slots, iteration=2, carried=first.carried,
            **arguments,
        )
    )  # fmt: skip
    left, right = arrays_of(second), arrays_of(whole)
    for name in [*(f"weights/{name}" for name in whole.weights), *(f"slots/{name}" for name in whole.slots)]:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_answers_have_the_dtype_of_the_job_and_own_their_memory(dtype):
    job = make_job(
        SPECS["stateful"], ["forward", "gradient", "update"], dtype=dtype, loss="mean_squared_error", optimizer=Adam()
    )
    result = Executor(JaxScanEngine()).execute(job)
    for name, array in arrays_of(result).items():
        assert name.endswith("loss") or array.dtype == dtype, name
    assert all(array.flags.writeable for array in result.weights.values())


def test_float32_is_near_the_reference():
    job = make_job(SPECS["bidirectional"], ["forward"], dtype="float32")
    actual, desired = (Executor(engine()).execute(job) for engine in (JaxScanEngine, ReferenceEngine))
    assert np.abs(actual.answers[0].outputs[0] - desired.answers[0].outputs[0]).max() < 1e-6


def test_versions_and_implementation():
    engine = JaxScanEngine()
    assert set(engine.versions()) == {"jax", "jaxlib"}
    assert str(engine.prepare(make_job(SPECS["stacked"], [])).implementation) == "lax.scan, custom gradient"
    job = make_job(SPECS["stacked"], ["forward"])
    plans = "; ".join(f"{name}: {plan}" for name, plan in model(job.spec).plans(BATCH, TIMESTEPS, 8).items())
    assert "lstm: forward in chunks of" in plans
    assert str(Executor(engine).execute(job).implementation) == f"lax.scan, custom gradient; {plans}"


def test_float64_without_x64_is_refused():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(EngineUnavailableError, match="JAX_ENABLE_X64=1"):
            JaxScanEngine().prepare(make_job(SPECS["stacked"], []))
    finally:
        jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_states_and_targets_of_integers_become_floats_before_an_engine_sees_them(monkeypatch, dtype):
    """JAX without x64 mode would wrap them, and PyTorch refuses them."""
    spec, ones, seen, step = Sequential([LSTM(2)], (None, 2)), np.ones((1, 2), dtype), [], ReferenceProgram.step

    def watched(program, kind, batch, states):
        seen.extend(array.dtype for array in (*batch.targets, *states["lstm"]))
        return step(program, kind, batch, states)

    monkeypatch.setattr(ReferenceProgram, "step", watched)
    batch = Batch({"input_layer": np.ones((1, 3, 2))}, (ones,), states={"lstm": State(ones, ones)})
    weights = discriminating_weights(spec, 0)
    job = Job(spec, weights, (Step("evaluate", batch),), "float32", loss="mean_squared_error")
    Executor(ReferenceEngine()).execute(job)
    assert seen == ["float32"] * 3
