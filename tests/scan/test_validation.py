"""Arrays that do not fit a model's spec are refused by each kind of model; none is broadcast or ignored."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.errors import InputError, SpecError
from multilstm.scan import BucketedModel, State, init, loss_value, lstm, model
from multilstm.scan.parallel import ParallelModel, data_parallel_mesh, replicate, shard_batch
from multilstm.spec import (
    GRU,
    LSTM,
    Add,
    Average,
    BatchNormalization,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Input,
    MaxPooling1D,
    Model,
    Multiply,
    Sequential,
    SimpleRNN,
)
from multilstm.spec.optimizers import SGD
from multilstm.weights.initializers import initial_weights

BATCH, TIMESTEPS, FEATURES, UNITS = 2, 5, 3, 4
LOSS, OPTIMIZER = "mean_squared_error", SGD(0.1, momentum=0.9)
SPEC = Sequential(
    [LSTM(UNITS, dropout=0.5, return_sequences=True), Dropout(0.5, name="drop"), Dense(2)], (None, FEATURES)
)
WEIGHTS = {name: np.float64(array) for name, array in initial_weights(SPEC, seed=0).items()}
SLOTS = {f"{name}/momentum": np.zeros_like(array) for name, array in WEIGHTS.items()}
ZEROS = np.zeros((BATCH, UNITS))
ARRAYS = {
    "weights": WEIGHTS,
    "inputs": {"input_layer": np.ones((BATCH, TIMESTEPS, FEATURES))},
    "targets": [np.ones((BATCH, TIMESTEPS, 2))],
    "masks": {"input_layer": np.ones((BATCH, TIMESTEPS), bool)},
    "states": {"lstm": State(ZEROS, ZEROS)},
    "dropout": {"lstm/dropout": np.ones((BATCH, FEATURES)), "drop": np.ones((BATCH, TIMESTEPS, UNITS))},
}
KINDS = ("plain", "jitted", "bucketed", "parallel")


def placed(kind, arrays):
    """Return the arrays as the kind of model takes them, where they are arrays at all."""
    if kind != "parallel":
        return arrays
    mesh = data_parallel_mesh(jax.devices()[:1])
    weights = replicate(mesh, arrays["weights"]) if all(map(np.ndim, arrays["weights"].values())) else {}
    batch = {name: array for name, array in arrays.items() if name != "weights"}
    try:
        return {**arrays, "weights": weights or arrays["weights"], **shard_batch(mesh, batch)}
    except InputError:
        return arrays


def functions(kind, spec=SPEC):
    if kind == "bucketed":
        return BucketedModel(model(spec))
    if kind == "parallel":
        return ParallelModel(model(spec), data_parallel_mesh(jax.devices()[:1]))
    return model(spec)


def gradient(kind, **changes):
    arrays = placed(kind, {**ARRAYS, **changes})
    method = functions(kind).gradient
    if kind == "jitted":
        return jax.jit(lambda arrays: method(**arrays, loss=LOSS))(arrays)
    return method(**arrays, loss=LOSS)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_that_fit_are_accepted(kind):
    assert np.isfinite(gradient(kind)[0])


def without(arrays, name):
    return {key: array for key, array in arrays.items() if key != name}


ONES = np.ones((BATCH, TIMESTEPS, FEATURES))
REFUSED = {
    "weight_unknown": ({"weights": {**WEIGHTS, "lstm/extra": ZEROS}}, "weight: unknown 'lstm/extra'; expected 'lstm/"),
    "weight_missing": ({"weights": without(WEIGHTS, "dense/bias")}, "weight: 'dense/bias' is missing; expected 'lstm/"),
    "weight_integers": (
        {"weights": {**WEIGHTS, "dense/bias": np.zeros(2, int)}},
        "weight 'dense/bias' of Dense 'dense': dtype is int64, expected a floating dtype",
    ),
    "weight_of_another_dtype": (
        {"weights": {**WEIGHTS, "dense/bias": np.zeros(2, "float32")}},
        "weights have different dtypes, expected one: lstm/kernel float64",
    ),
    "bias_of_one": (
        {"weights": {**WEIGHTS, "dense/bias": np.zeros(1)}},
        "weight 'dense/bias' of Dense 'dense': shape is (1,), expected (2,)",
    ),
    "bias_scalar": (
        {"weights": {**WEIGHTS, "dense/bias": np.float64(0)}},
        "weight 'dense/bias' of Dense 'dense': shape is (), expected (2,)",
    ),
    "kernel_of_other_units": (
        {"weights": {**WEIGHTS, "dense/kernel": np.zeros((4, 7))}},
        "weight 'dense/kernel' of Dense 'dense': shape is (4, 7), expected (4, 2)",
    ),
    "lstm_of_other_units": (
        {"weights": {**WEIGHTS, "lstm/kernel": np.zeros((3, 24)), "lstm/recurrent_kernel": np.zeros((6, 24))}},
        "weight 'lstm/kernel' of LSTM 'lstm': shape is (3, 24), expected (3, 16)",
    ),
    "input_unknown": (
        {"inputs": {**ARRAYS["inputs"], "other": ONES}},
        "input: unknown 'other'; expected 'input_layer'",
    ),
    "input_missing": ({"inputs": {}, "masks": {}}, "input: 'input_layer' is missing; expected 'input_layer'"),
    "input_without_dict": (
        {"inputs": ONES},
        "input: expected a dict of arrays by name ('input_layer'), given ",
    ),
    "input_of_other_features": (
        {"inputs": {"input_layer": ONES[..., :2]}},
        "input 'input_layer': shape is (2, 5, 2), expected (any, any, 3)",
    ),
    "mask_unknown": ({"masks": {"inputs": np.ones((BATCH, TIMESTEPS), bool)}}, "mask: unknown 'inputs'; expected 'inp"),
    "mask_without_dict": ({"masks": np.ones((BATCH, TIMESTEPS), bool)}, "mask: expected a dict of arrays by name"),
    "mask_of_numbers": (
        {"masks": {"input_layer": np.ones((BATCH, TIMESTEPS))}},
        "mask of input 'input_layer': dtype is float64, expected bool",
    ),
    "mask_of_one_row": (
        {"masks": {"input_layer": np.ones((1, TIMESTEPS), bool)}},
        "mask of input 'input_layer': shape is (1, 5), expected (2, 5)",
    ),
    "mask_of_one_timestep": (
        {"masks": {"input_layer": np.ones((BATCH, 1), bool)}},
        "mask of input 'input_layer': shape is (2, 1), expected (2, 5)",
    ),
    "state_unknown": ({"states": {"lstm_1": State(ZEROS, ZEROS)}}, "state: unknown 'lstm_1'; expected 'lstm'"),
    "state_as_an_array": ({"states": {"lstm": ZEROS}}, "state of LSTM 'lstm': expected State(hidden, cell), given "),
    "state_of_one_row": (
        {"states": {"lstm": State(ZEROS, ZEROS[:1])}},
        "cell state of LSTM 'lstm': shape is (1, 4), expected (2, 4)",
    ),
    "dropout_unknown": (
        {"dropout": {"lstm/recurrent_dropout": ZEROS}},
        "dropout mask: unknown 'lstm/recurrent_dropout'; expected 'lstm/dropout', 'drop'",
    ),
    "dropout_of_other_rows": (
        {"dropout": {"lstm/dropout": np.ones((5, 3))}},
        "dropout mask 'lstm/dropout': shape is (5, 3), expected (2, 3)",
    ),
    "dropout_scalar": (
        {"dropout": {"drop": np.float64(1)}},
        "dropout mask 'drop': shape is (), expected (2, any, 4)",
    ),
    "targets_without_list": ({"targets": ARRAYS["targets"][0]}, "targets: expected a list with an array for"),
    "targets_too_many": (
        {"targets": 2 * ARRAYS["targets"]},
        "targets: given 2, expected one for each of the 1 outputs",
    ),
    "target_of_one_row": (
        {"targets": [ARRAYS["targets"][0][:1]]},
        "target 0: shape is (1, 5, 2), expected (2, any, 2)",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
def test_arrays_that_do_not_fit_are_refused(kind, name):
    changes, message = REFUSED[name]
    with pytest.raises(InputError, match=re.escape(message)):
        gradient(kind, **changes)


def test_a_mask_needs_timesteps():
    spec = Sequential([Dense(2)], (FEATURES,))
    weights, x = initial_weights(spec, seed=0), np.ones((BATCH, FEATURES), "float32")
    with pytest.raises(InputError, match=r"mask of input 'input_layer': the input is \[batch, features\]"):
        model(spec).apply(weights, {"input_layer": x}, masks={"input_layer": np.ones((BATCH, FEATURES), bool)})


@pytest.mark.parametrize("kind", ["plain", "jitted"])
def test_a_dropout_mask_of_other_timesteps_is_refused(kind):
    dropout = {"drop": np.ones((BATCH, 1, UNITS))}
    message = "dropout mask 'drop': shape is (2, 1, 4), expected (2, 5, 4): the shape of its input"
    with pytest.raises(InputError, match=re.escape(message)):
        gradient(kind, dropout=dropout)


@pytest.mark.parametrize("kind", ["plain", "bucketed", "parallel"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slots": without(SLOTS, "lstm/bias/momentum")}, "slot: 'lstm/bias/momentum' is missing"),
        (
            {"slots": {**SLOTS, "dense/bias/momentum": np.zeros(1)}},
            "slot 'dense/bias/momentum': shape is (1,), expected",
        ),
        ({"coefficients": {}}, "coefficient: 'rate' is missing"),
        ({"masks": {"lstm": np.ones((BATCH, TIMESTEPS), bool)}}, "mask: unknown 'lstm'; expected 'input_layer'"),
    ],
    ids=["slot_missing", "slot_of_one", "coefficient_missing", "mask_unknown"],
)
def test_train_step_refuses_arguments_that_do_not_fit(kind, changes, message):
    arrays = {**placed(kind, ARRAYS), "slots": SLOTS, "coefficients": OPTIMIZER.coefficients(0), **changes}
    if kind == "parallel":
        arrays["slots"] = replicate(data_parallel_mesh(jax.devices()[:1]), arrays["slots"])
    with pytest.raises(InputError, match=re.escape(message)):
        functions(kind).train_step(**arrays, optimizer=OPTIMIZER, loss=LOSS)


@pytest.mark.parametrize("kind", ["bucketed", "parallel"])
def test_the_number_of_real_timesteps_is_for_plain_models(kind):
    arrays = placed(kind, ARRAYS)
    with pytest.raises(InputError, match="timesteps is given, expected None"):
        functions(kind).apply(arrays["weights"], arrays["inputs"], timesteps=3)


@pytest.mark.parametrize("shape", [(1, 5), (2, 1), (5,), ()], ids=str)
def test_a_mask_of_a_loss_is_not_broadcast(shape):
    output = jnp.ones((BATCH, TIMESTEPS, 2))
    message = f"a mask has dtype bool and shape {shape}, expected bool and (2, 5)"
    with pytest.raises(InputError, match=re.escape(message)):
        loss_value(LOSS, [output], [output], [np.ones(shape, bool)])


LARGE = [
    ("int64", 2**32 + 1, 7),
    ("int64", -(2**32) + 3, 0),
    ("uint64", 2**63, 7),
    ("uint32", 2**31 + 1, 7),
    ("int32", 9, 7),
    ("int8", -3, 0),
]
LARGE_IDS = [f"{dtype}-{number}" for dtype, number, _ in LARGE]


@pytest.mark.parametrize("shape", [(), (4,)], ids=["one", "each"])
@pytest.mark.parametrize(("dtype", "number", "desired"), LARGE, ids=LARGE_IDS)
def test_a_traced_length_is_clipped_and_never_wraps(dtype, number, desired, shape):
    params, x = init(3, 6, dtype="float64"), np.ones((4, 7, 3))
    lengths = np.full(shape, number, dtype)
    actual = jax.jit(lambda lengths: lstm(params, x, lengths=lengths)[0])(lengths)
    np.testing.assert_array_equal(actual, lstm(params, x, lengths=np.full(shape, desired))[0])


@pytest.mark.parametrize(("dtype", "number", "desired"), LARGE, ids=LARGE_IDS)
def test_a_concrete_length_out_of_range_is_refused(dtype, number, desired):
    params, x = init(3, 6), np.ones((4, 7, 3), "float32")
    for array in (np.full(4, number, dtype), jnp.full(4, number, dtype)):
        with pytest.raises(InputError, match=f"lengths go from {number} to {number}, expected 0 to 7"):
            lstm(params, x, lengths=array)


@pytest.mark.parametrize(("dtype", "number"), [row[:2] for row in LARGE], ids=LARGE_IDS)
def test_a_concrete_number_of_timesteps_out_of_range_is_refused(dtype, number):
    with pytest.raises(InputError, match=f"timesteps: given {number}, expected 0 to 5"):
        model(SPEC).apply(WEIGHTS, ARRAYS["inputs"], timesteps=np.asarray(number, dtype))


def test_a_traced_number_of_timesteps_never_wraps():
    apply = jax.jit(model(SPEC).apply)
    actual = apply(WEIGHTS, ARRAYS["inputs"], timesteps=np.int64(2**32 + 1))
    np.testing.assert_array_equal(actual.outputs[0], apply(WEIGHTS, ARRAYS["inputs"]).outputs[0])


TOKENS = Sequential([Embedding(9, 4), LSTM(UNITS)], input_shape=(None,))
TOKEN_WEIGHTS = {name: np.float64(array) for name, array in initial_weights(TOKENS, seed=0).items()}


@pytest.mark.parametrize("kind", ["plain", "bucketed"])
@pytest.mark.parametrize(
    "token",
    [np.int32(9), np.int32(-1), np.int64(2**32 + 1), np.uint64(2**63), np.uint32(2**32 - 1), np.float64(10)],
    ids=str,
)
def test_a_concrete_token_outside_of_the_table_is_refused(kind, token):
    tokens = np.full((1, 3), token)
    with pytest.raises(InputError, match=f"token {re.escape(str(token))} in input 'input_layer', expected 0 to 8"):
        functions(kind, TOKENS).apply(TOKEN_WEIGHTS, {"input_layer": tokens})


@pytest.mark.parametrize("kind", ["plain", "bucketed"])
def test_a_fraction_is_no_token(kind):
    with pytest.raises(InputError, match=r"value 1.5 at \(0, 0\) is no integer of Embedding 'embedding'"):
        functions(kind, TOKENS).apply(TOKEN_WEIGHTS, {"input_layer": np.full((1, 3), 1.5)})


@pytest.mark.parametrize(
    "token", [np.int32(9), np.int64(2**32 + 1), np.int64(-(2**32) + 1), np.uint64(2**63), np.float64(2.0**32)], ids=str
)
def test_a_traced_token_outside_of_the_table_gives_nan(token):
    apply = jax.jit(model(TOKENS).apply)
    assert np.isnan(apply(TOKEN_WEIGHTS, {"input_layer": np.full((1, 3), token)}).outputs[0]).all()


def test_integers_that_would_wrap_are_not_sharded():
    mesh = data_parallel_mesh(jax.devices()[:1])
    jax.config.update("jax_enable_x64", False)
    try:
        assert shard_batch(mesh, np.array([5])).dtype == "int32"
        with pytest.raises(InputError, match="the array has integers beyond int32, which would wrap around"):
            shard_batch(mesh, np.array([2**32 + 1]))
    finally:
        jax.config.update("jax_enable_x64", True)


def test_tokens_in_floats_are_not_rounded_to_half_precision():
    spec = Sequential([Embedding(400, 4), LSTM(UNITS)], input_shape=(None,))
    weights = {name: np.float32(array) for name, array in initial_weights(spec, seed=0).items()}
    outputs = [
        model(spec, dtype="bfloat16").apply(weights, {"input_layer": np.full((1, 3), 257, dtype)}).outputs[0]
        for dtype in ("int32", "float32")
    ]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("value", [2**32 + 5, -(2**31) - 1, 2**63 + 1, 1.5], ids=str)
def test_an_integer_input_that_int32_does_not_hold_is_refused(value):
    spec = Sequential([Dense(1, use_bias=False)], (3,), input_dtype="int32")
    inputs = {"input_layer": np.full((1, 3), value)}
    with pytest.raises(
        InputError, match=r"input 'input_layer': value .* does not fit into int32|value 1.5 .* is no integer"
    ):
        model(spec).apply({"dense/kernel": np.ones((3, 1), np.float32)}, inputs)


@pytest.mark.parametrize(
    ("layer", "desired"), [(Add(), 2.0**32 - 2), (Multiply(), (2.0**31 - 1) ** 2), (Average(), 2.0**31 - 1)], ids=str
)
def test_sums_and_products_of_integer_inputs_do_not_wrap(layer, desired):
    inputs = [Input((1,), dtype="int32", name=name) for name in ("one", "other")]
    arrays = {name: np.full((1, 1), 2**31 - 1) for name in ("one", "other")}
    assert float(model(Model(inputs, layer(inputs))).apply({}, arrays).outputs[0][0, 0]) == desired


def test_a_convolution_takes_integers():
    spec = Sequential([Conv1D(1, 2, use_bias=False)], (3, 1), input_dtype="int32")
    outputs = model(spec).apply({"conv1d/kernel": np.ones((2, 1, 1))}, {"input_layer": np.array([[[1], [-2], [3]]])})
    np.testing.assert_array_equal(outputs.outputs[0][0, :, 0], [-1.0, 1.0])


@pytest.mark.parametrize("layer", [Conv1D(2, 3), MaxPooling1D(3)], ids=["Conv1D", "MaxPooling1D"])
def test_a_window_longer_than_the_timesteps_is_refused(layer):
    spec = Sequential([layer], (None, 2))
    weights = initial_weights(spec, seed=0)
    with pytest.raises(SpecError, match="is shorter than a window of 3"):
        jax.jit(model(spec).apply)(weights, {"input_layer": np.ones((1, 2, 2))})


def test_an_empty_batch_changes_nothing_but_decays_statistics():
    spec = Sequential([BatchNormalization(momentum=0.5)], (None, 2))
    weights = {name: np.ones(shape) for name, shape in spec.weight_shapes.items()}
    empty, sgd = np.ones((0, 3, 2)), SGD(0.1)
    new, _, loss, _ = model(spec).train_step(
        weights, {}, sgd.coefficients(0), {"input_layer": empty}, [empty], optimizer=sgd, loss=LOSS
    )
    assert loss == 0
    assert {name: array.tolist() for name, array in new.items() if name.endswith(("mean", "variance"))} == {
        "batch_normalization/moving_mean": [0.5, 0.5],
        "batch_normalization/moving_variance": [0.5, 0.5],
    }
    assert all((np.asarray(new[f"batch_normalization/{name}"]) == 1).all() for name in ("gamma", "beta"))


@pytest.mark.parametrize("layer", [LSTM(2), GRU(2), SimpleRNN(2)], ids=lambda layer: layer.class_name)
def test_inputs_and_states_of_other_dtypes_than_the_weights_are_promoted(layer):
    spec = Sequential([layer], (3, 2))
    weights = {name: np.float32(array) for name, array in initial_weights(spec, seed=0).items()}
    inputs, ones = {"input_layer": np.ones((1, 3, 2))}, np.ones((1, 2), "int32")
    state = layer.state_type._make(ones for _ in layer.state_names)
    outputs = model(spec).apply(weights, inputs, states={str(spec.layers[1].name): state}).outputs[0]
    alike = model(spec).apply(
        {name: np.float64(array) for name, array in weights.items()},
        inputs,
        states={str(spec.layers[1].name): layer.state_type._make(np.float64(part) for part in state)},
    )
    assert outputs.dtype == "float64"
    np.testing.assert_allclose(outputs, alike.outputs[0], atol=1e-15)
