"""Arguments of wrong types: every function of multilstm.scan refuses them by name, in one line."""

import functools
import string

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hostile_values import assert_short_line, outcome
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from multilstm.errors import InputError, MultilstmError
from multilstm.scan import (
    BucketedModel,
    Dropout,
    LSTMParams,
    State,
    bidirectional,
    draw_dropout,
    init,
    lstm,
    model,
    stack,
)
from multilstm.spec import LSTM, Dense, Embedding, Sequential
from multilstm.spec.optimizers import Adam
from multilstm.weights.initializers import initial_weights

BATCH, TIMESTEPS, FEATURES, UNITS = 2, 4, 3, 5
X = np.ones((BATCH, TIMESTEPS, FEATURES), np.float32)
PARAMS, SECOND, ABOVE_PAIR = init(FEATURES, UNITS), init(UNITS, UNITS), init(2 * UNITS, UNITS)
STATE = State(np.zeros((BATCH, UNITS), np.float32), np.zeros((BATCH, UNITS), np.float32))
SPEC = Sequential(
    [LSTM(UNITS, name="a", return_sequences=True, dropout=0.5), Dense(2, name="d")], input_shape=(None, FEATURES)
)
WEIGHTS = initial_weights(SPEC, seed=0)
ADAM = Adam()
TARGET = np.ones((BATCH, TIMESTEPS, 2), np.float32)
SLOTS = {f"{name}/{slot}": np.zeros(WEIGHTS[name].shape, np.float32) for name in WEIGHTS for slot in ADAM.slots}
TRAINING = {
    "weights": WEIGHTS, "slots": SLOTS, "coefficients": ADAM.coefficients(0), "inputs": {"input_layer": X},
    "targets": [TARGET], "optimizer": ADAM, "loss": "mean_squared_error",
}  # fmt: skip


def masked(array):
    return np.ma.masked_array(array, np.zeros(array.shape, bool))


BAD = {
    "text": "x",
    "bytes": b"x",
    "dict": {"a": 1},
    "set": {1},
    "object": object(),
    "type": int,
    "function": len,
    "ragged": [[1.0, 2.0], [3.0]],
    "ragged_3": [[[1.0] * 3] * 4, [[1.0] * 3] * 2],
    "masked": masked(X),
    "masked_mask": masked(np.ones((BATCH, TIMESTEPS), bool)),
    "list_of_masked": [masked(X[0]), masked(X[1])],
    "objects": np.full(X.shape, None),
    "texts": np.full(X.shape, "a"),
    "complex": X.astype(complex),
    "dates": np.zeros(X.shape, "M8[s]"),
    "80_bits": X.astype("g"),
    "key": jax.random.key(0),
    "nan": float("nan"),
    "fraction": 1.5,
    "negative": -1,
    "huge": 10**400,
}


def changed(function, arguments, name):
    return lambda value: function(**{**arguments, name: value})


def calls():
    """Yield a name and a function of one value for every argument."""
    for function, arguments, names in (
        (
            lstm,
            {"params": PARAMS, "x": X},
            "params x state mask go_backwards activation recurrent_activation zero_output_for_mask custom_gradient "
            "lengths dropout dtype unroll checkpoint mesh",
        ),
        (
            bidirectional,
            {"forward_params": PARAMS, "backward_params": PARAMS, "x": X},
            "forward_params backward_params x forward_state backward_state mask merge_mode forward_dropout "
            "backward_dropout activation unroll go_backwards unknown",
        ),
        (
            stack,
            {"layers": [PARAMS, SECOND], "x": X},
            "layers x states mask merge_mode dropout wavefront activation dtype lengths go_backwards unknown",
        ),
        (
            functools.partial(stack, wavefront=True),
            {"layers": [PARAMS, SECOND], "x": X},
            "x states mask activation recurrent_activation zero_output_for_mask dtype",
        ),
        (init, {"features": FEATURES, "units": UNITS}, "features units seed use_bias unit_forget_bias dtype"),
        (
            draw_dropout,
            {"seed": 0, "step": 0, "params": PARAMS, "batch": BATCH, "dropout": 0.5},
            "seed step params batch dropout recurrent_dropout implementation go_backwards",
        ),
        (model, {"spec": SPEC}, "spec custom_gradient mesh dtype loss_scale"),
        (BucketedModel, {}, "model"),
    ):
        title = getattr(function, "__name__", "wavefront")
        yield from ((f"{title}-{name}", changed(function, arguments, name)) for name in names.split())
    for field in LSTMParams._fields:
        yield f"lstm-params.{field}", lambda value, field=field: lstm(PARAMS._replace(**{field: value}), X)
    for field in State._fields:
        yield f"lstm-state.{field}", lambda value, field=field: lstm(PARAMS, X, STATE._replace(**{field: value}))
    for field in Dropout._fields:
        yield f"lstm-dropout.{field}", lambda value, field=field: lstm(PARAMS, X, dropout=Dropout(**{field: value}))
    yield "stack-layers[1]", lambda value: stack([PARAMS, value], X)
    yield "stack-layers[0][1]", lambda value: stack([(PARAMS, value), ABOVE_PAIR], X)
    yield "stack-states[0]", lambda value: stack([(PARAMS, PARAMS), ABOVE_PAIR], X, [value, None])
    yield "stack-dropout[0]", lambda value: stack([(PARAMS, PARAMS), ABOVE_PAIR], X, dropout=[value, None])
    for kind, functions in (("model", model(SPEC)), ("bucketed", BucketedModel(model(SPEC)))):
        train = functions.train_step
        for name in (*TRAINING, "masks", "states", "dropout", "timesteps"):
            yield f"{kind}-{name}", changed(train, TRAINING, name)
        for name in ("weights", "slots", "coefficients", "inputs"):
            key = next(iter(TRAINING[name]))
            yield f"{kind}-{name}.x", lambda v, n=name, k=key, f=train: f(**{**TRAINING, n: {**TRAINING[n], k: v}})
        yield f"{kind}-targets[0]", lambda value, f=train: f(**{**TRAINING, "targets": [value]})
        for name, key in (("masks", "input_layer"), ("states", "a"), ("dropout", "a/inputs")):
            yield f"{kind}-{name}.x", lambda v, n=name, k=key, f=train: f(**TRAINING, **{n: {k: v}})
        yield f"{kind}-states.hidden", lambda v, f=train: f(**TRAINING, states={"a": STATE._replace(hidden=v)})


CALLS = dict(calls())
MAY = {  # values that some arguments may have
    "checkpoint": {"huge"},
    "loss_scale": {"fraction"},
    "coefficients.x": {"nan", "fraction", "negative"},
    "key": {"key"},
}


@pytest.mark.parametrize("place", CALLS)
def test_a_value_of_a_wrong_type_is_refused_in_one_line(place):
    allowed = MAY.get(place.partition("-")[2], set())
    for label, value in BAD.items():
        if label in allowed:
            continue
        with pytest.raises(MultilstmError) as raised:
            CALLS[place](value)
        assert_short_line(str(raised.value))


ARRAYS = ["lstm-x", "lstm-mask", "lstm-params.kernel", "lstm-state.hidden", "lstm-dropout.inputs", "stack-x"]
ARRAYS += [
    "wavefront-x",
    "bidirectional-x",
    "model-inputs.x",
    "bucketed-inputs.x",
    "bucketed-masks.x",
    "bucketed-targets[0]",
]
OPTIONAL = ["lstm-mask", "lstm-dropout.inputs"]  # None means that there is none


@pytest.mark.parametrize("place", ARRAYS)
@pytest.mark.parametrize("label", ["masked", "list_of_masked"])
def test_a_masked_array_is_refused_by_its_kind(place, label):
    with pytest.raises(InputError, match="given a NumPy masked array, whose mask would be lost"):
        CALLS[place](BAD[label])


lists = st.recursive(st.floats(width=32) | st.text(max_size=1) | st.none(), lambda inner: st.lists(inner), max_leaves=8)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ARRAYS), lists)
def test_any_nested_list_of_a_wrong_shape_is_refused_in_one_line(place, value):
    assume(value is not None or place not in OPTIONAL)
    _, message = outcome(CALLS[place], value)
    assert message is not None
    assert_short_line(message)


shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["weights.x", "inputs.x", "targets[0]", "slots.x", "states.hidden"]), shapes)
def test_any_other_shape_is_refused_and_never_broadcast(place, shape):
    good = {
        "weights.x": WEIGHTS["a/kernel"].shape,
        "inputs.x": X.shape,
        "targets[0]": TARGET.shape,
        "slots.x": next(iter(SLOTS.values())).shape,
        "states.hidden": (BATCH, UNITS),
    }[place]
    if shape == good:
        return
    for kind in ("model", "bucketed"):
        with pytest.raises(InputError, match=r"shape|dtype|sequences|timesteps"):
            CALLS[f"{kind}-{place}"](np.zeros(shape, np.float32))


names = st.text(string.ascii_letters + "/_\x1b[]\n", min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["weights", "slots", "coefficients", "inputs", "masks", "states", "dropout"]), names)
def test_any_unknown_name_is_refused_in_one_line(group, name):
    entries = {**TRAINING.get(group, {}), name: X}
    for kind in ("model", "bucketed"):
        _, message = outcome(CALLS[f"{kind}-{group}"], entries)
        assert f"unknown {name!r}" in message
        assert_short_line(message)


def outside(least, most):
    """Draw integers of 64 bits that are outside of a range, many of which wrap into it."""
    wrapping = st.integers(least, most).flatmap(lambda n: st.sampled_from([n + 2**32, n - 2**32, n + 2**33, n - 2**40]))
    return (wrapping | st.integers(most + 1, 2**63 - 1) | st.integers(-(2**63), least - 1)).map(np.int64)


@settings(max_examples=60, deadline=None)
@given(outside(0, TIMESTEPS), st.booleans())
def test_any_length_out_of_range_is_refused_or_clipped(length, each):
    lengths = np.full(BATCH, length) if each else length
    with pytest.raises(InputError, match="lengths go from"):
        lstm(PARAMS, X, lengths=lengths)


@functools.cache
def traced(each):
    return jax.jit(lambda lengths: lstm(PARAMS, X, lengths=lengths)[0])


@settings(max_examples=40, deadline=None)
@given(outside(0, TIMESTEPS), st.booleans())
def test_any_traced_length_out_of_range_is_clipped(length, each):
    lengths = np.full(BATCH, length) if each else length
    desired = lstm(PARAMS, X, lengths=TIMESTEPS if length > 0 else 0)[0]
    np.testing.assert_array_equal(traced(each)(jnp.asarray(lengths)), desired)


TOKENS = Sequential([Embedding(9, 3), LSTM(UNITS)], input_shape=(None,), input_dtype="int32")
TOKEN_WEIGHTS = initial_weights(TOKENS, seed=0)
INTEGERS = Sequential([Dense(1, use_bias=False)], (3,), input_dtype="int32")


@settings(max_examples=40, deadline=None)
@given(outside(0, 8), st.integers(0, 2))
def test_any_token_outside_of_the_table_is_refused(token, place):
    tokens = np.zeros((1, 3), np.int64)
    tokens[0, place] = token
    for functions in (model(TOKENS), BucketedModel(model(TOKENS))):
        with pytest.raises(InputError, match=r"token .* expected 0 to 8|does not fit into int32"):
            functions.apply(TOKEN_WEIGHTS, {"input_layer": tokens})


@settings(max_examples=40, deadline=None)
@given(outside(-(2**31), 2**31 - 1))
def test_any_integer_that_would_wrap_is_refused(value):
    with pytest.raises(InputError, match="does not fit into int32"):
        model(INTEGERS).apply({"dense/kernel": np.ones((3, 1), np.float32)}, {"input_layer": np.full((1, 3), value)})
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(InputError, match="beyond int32, which would wrap around"):
            lstm(PARAMS, np.full(X.shape, value))
    finally:
        jax.config.update("jax_enable_x64", True)


def test_lists_of_traced_arrays_are_arrays():
    desired = lstm(PARAMS, X)[0]
    actual = jax.jit(lambda first, second: lstm(PARAMS, [first, second])[0])(X[0], X[1])
    np.testing.assert_allclose(actual, desired, rtol=1e-6)
    with pytest.raises(InputError, match="lstm: x: given list, expected an array"):
        jax.jit(lambda first, second: lstm(PARAMS, [first, second[:2]])[0])(X[0], X[1])


def listed(value):
    """Return nested lists in place of arrays."""
    if isinstance(value, dict):
        return {name: listed(array) for name, array in value.items()}
    return State(*map(listed, value)) if isinstance(value, State) else np.asarray(value).tolist()


MASKS = {"input_layer": np.ones((BATCH, TIMESTEPS), bool)}
WHOLE = {**TRAINING, "masks": MASKS, "states": {"a": STATE}, "dropout": {"a/dropout": np.ones((BATCH, FEATURES), "f4")}}
NAMES = ("weights", "slots", "coefficients", "inputs", "targets", "masks", "states", "dropout")


def results(functions, arguments):
    """Return the results of `apply`, `gradient` and `train_step`."""
    training = {"slots", "coefficients", "optimizer"}
    return [
        getattr(functions, name)(**{key: value for key, value in arguments.items() if key not in without})
        for name, without in (
            ("apply", training | {"targets", "loss"}),
            ("gradient", training),
            ("train_step", set()),
        )
    ]


@pytest.mark.parametrize("kind", ["model", "bucketed"])
def test_nested_lists_are_arrays_everywhere(kind):
    functions = model(SPEC) if kind == "model" else BucketedModel(model(SPEC))
    arrays = {name: [TARGET] if name == "targets" else WHOLE[name] for name in NAMES}
    lists = {name: list(map(listed, value)) if name == "targets" else listed(value) for name, value in arrays.items()}
    jax.config.update("jax_enable_x64", False)  # lists hold float64, which is float32 here
    try:
        desired = results(functions, WHOLE)
        for names in (*((name,) for name in NAMES), NAMES):
            actual = results(functions, {**WHOLE, **{name: lists[name] for name in names}})
            jax.tree.map(np.testing.assert_array_equal, actual, desired)
    finally:
        jax.config.update("jax_enable_x64", True)
