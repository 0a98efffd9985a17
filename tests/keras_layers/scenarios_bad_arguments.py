"""multilstm.keras_layers given arguments that it must refuse: the message of each refusal."""

import inspect

import keras
import numpy as np
from harness import compiled, data, error, normal, scenario, stateful_model
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from portable_lstm import BATCH, FEATURES, TIMESTEPS, UNITS

from multilstm import keras_layers
from multilstm.keras_layers import GRU, LSTM, Bidirectional, SimpleRNN, TimeDistributed

ARGUMENTS = {
    "dropout_above_one": {"dropout": 1.5},
    "dropout_below_zero": {"dropout": -1},
    "dropout_not_a_number": {"dropout": float("nan")},
    "recurrent_dropout": {"recurrent_dropout": 1.5},
    "implementation": {"implementation": 3},
    "stateful": {"stateful": "yes"},
    "return_sequences": {"return_sequences": None},
    "units": {"units": 2.5},
}


@scenario()
def refused_arguments():
    return {name: error(LSTM, **{"units": UNITS, **options}) for name, options in ARGUMENTS.items()}


@scenario()
def accepted_arguments():
    """Accepted arguments: equal values of other types."""
    lstm = LSTM(np.int64(UNITS), dropout=np.float32(0.5), stateful=np.bool_(False), return_sequences=1)
    positional = LSTM(UNITS, "tanh", "sigmoid", True)
    return {"shape": list(lstm(data()[0]).shape), "use_bias": positional.use_bias}


def called(kind, x=None):
    """Return a layer whose weights are those of its first call."""
    layer = kind(UNITS, name="layer")
    layer(data()[0] if x is None else x)
    return layer


@scenario()
def refused_inputs():
    x, state = data()[0], normal(BATCH, UNITS)
    text = np.full((BATCH, TIMESTEPS, FEATURES), "word")
    both = lambda x, states: Bidirectional(LSTM(UNITS))(x, initial_state=states)  # noqa: E731
    given = lambda *states: error(LSTM(UNITS, name="lstm"), x, initial_state=list(states))  # noqa: E731
    return {
        "one_array": error(LSTM(UNITS, name="lstm"), x, initial_state=normal(2, 6, 4)),
        "one_tensor": error(LSTM(UNITS, name="lstm"), x, initial_state=keras.ops.zeros((2, 6, 4))),
        "symbolic_array": error(
            LSTM(UNITS, name="lstm"), keras.Input((TIMESTEPS, FEATURES)), initial_state=keras.Input((6, 4))
        ),
        "units": given(normal(BATCH, UNITS + 1), normal(BATCH, UNITS + 1)),
        "batch": given(state, normal(BATCH + 1, UNITS)),
        "nested_lists": given(state, [[0.0] * UNITS] * (BATCH + 1)),
        "lists": given(state, state.tolist()),
        "integers": given(state, np.full(state.shape, 2**40)),
        "masked_state": given(state, np.ma.array(state, mask=state > 0)),
        "complex_state": given(state + 1j, state),
        "text_state": given(state.astype(str), state),
        "mask_of_lists": error(LSTM(UNITS, name="lstm"), x, mask=np.ones(x.shape[:2], bool).tolist()),
        "masked_mask": error(LSTM(UNITS, name="lstm"), x, mask=np.ma.array(np.ones(x.shape[:2], bool), mask=False)),
        "mask_of_one": error(LSTM(UNITS, name="lstm"), x, mask=True),
        "both_three": error(both, x, [state] * 3),
        "both_units": error(both, x, [state, state, state, normal(BATCH, UNITS + 1)]),
        "text": error(LSTM(UNITS, name="lstm"), text),
        "text_objects": error(LSTM(UNITS, name="lstm"), text.astype(object)),
        "text_list": error(LSTM(UNITS, name="lstm"), text.tolist()),
        "complex": error(LSTM(UNITS, name="lstm"), x + 1j),
        "masked": error(LSTM(UNITS, name="lstm"), np.ma.array(x, mask=x > 0)),
        "int64": error(LSTM(UNITS, name="lstm"), np.full(x.shape, 2**32 + 5)),
        "uint64": error(LSTM(UNITS, name="lstm"), np.full(x.shape, 2**63, "uint64")),
        **{f"features_{kind.__name__}": error(called(kind), x[..., :-1]) for kind in (LSTM, GRU, SimpleRNN)},
        "features_more": error(called(LSTM), np.concatenate([x, x], -1)),
        "features_both": error(called(lambda units, name: Bidirectional(LSTM(units, name=name))), x[..., :-1]),
        "features_inside": error(
            called(lambda units, name: TimeDistributed(LSTM(units)), x[:, None]), x[:, None, :, :-1]
        ),
        "no_timesteps": error(LSTM(UNITS, name="lstm"), x[:, :0]),
        "both_no_timesteps": error(both, x[:, :0], None),
        "symbolic_no_timesteps": error(LSTM(UNITS, name="lstm"), keras.Input((0, FEATURES))),
    }


@scenario()
def smaller_last_batch():
    """Three sequences in batches of two, through a layer whose input leaves the batch size open in the graph."""
    x, y = data(2)
    lstm = LSTM(UNITS, stateful=True, name="lstm")
    lstm(x[:BATCH])
    model = compiled(stateful_model(), "sgd")
    return {
        "call": error(lstm, x[: BATCH - 1]),
        "fit": error(model.fit, x[:3], y[:3], batch_size=BATCH, verbose=0),
        "predict": error(stateful_model().predict, x[:3], batch_size=BATCH, verbose=0),
    }


# --- every argument of every class, given values of wrong types ---

NEEDED = {
    **{name: {"units": 3} for name in ("GRU", "LSTM", "SimpleRNN", "Dense")},
    "Bidirectional": {"layer": lambda: keras.layers.LSTM(2, name="inner")},
    "TimeDistributed": {"layer": lambda: keras.layers.Dense(2, name="inner")},
    "ConvLSTM2D": {"filters": 3, "kernel_size": 2},
    "Dot": {"axes": -1},
    "Rescaling": {"scale": 0.5},
    "Reshape": {"target_shape": (2, 2)},
    "Permute": {"dims": (2, 1)},
}
WRONG = (
    *("x", b"x", {"a": 1}, {1}, int, len, [[1.0, 2.0], [3.0]], [], (), None, float("nan"), float("inf"), -1, 0, 1.5),
    *(True, 10**400, 1j, np.ones((2, 3)), np.full(2, None), np.float32(0.5), np.int64(2), object()),
)
SUPER = (keras.layers, keras.losses, keras.optimizers, keras.regularizers)
OF_KERAS_2 = {"MeanOverAllTimesteps", "RMSpropKeras2"}  # which Keras 3 lacks
OURS = ("implementation", "use_cudnn", "seed")  # of the configuration, which Keras's own lacks


def classes():
    """Yield every class, with Keras's class of that name."""
    for name in keras_layers.__all__:
        ours = getattr(keras_layers, name)
        if inspect.isclass(ours) and name not in OF_KERAS_2:
            yield ours, next(getattr(module, name) for module in SUPER if hasattr(module, name))


def arguments(keras_class):
    """Return the names of the arguments of a class of Keras and of its bases."""
    names = {}
    for base in keras_class.__mro__[:-1]:
        if base is keras.layers.Layer:
            break
        parameters = inspect.signature(base.__init__).parameters.values() if "__init__" in vars(base) else ()
        names |= dict.fromkeys(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self")
    return list(names)


PLACES = [(ours, plain, name) for ours, plain in classes() for name in arguments(plain)]


def made(kind, name, value):
    """Return the configuration of an object, None if it has none, and the exception that its constructor raised."""
    needed = {key: made() if callable(made) else made for key, made in NEEDED.get(kind.__name__, {}).items()}
    try:
        instance = kind(**{**needed, name: value})
    except Exception as caught:
        return None, caught
    try:
        config = instance.get_config()
    except Exception:  # Keras's own, of a value that it accepts and cannot write
        return None, None
    return {key: in_text(value) for key, value in config.items() if key not in ("name", *OURS)}, None


def in_text(value):
    """Return a value of a configuration as text; Keras rounds the factors of regularizers to float32."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class Sweep:
    """Compares our classes with Keras's, given one value for one argument."""

    def __init__(self):
        self.differences, self.refused_by_us, self.accepted = [], 0, 0

    def __call__(self, place, value):
        ours, plain, name = place
        (config, raised), (desired, raised_by_keras) = made(ours, name, value), made(plain, name, value)
        message = str(raised)
        if raised is None and raised_by_keras is None:
            self.accepted += 1
            same = config == desired or name in ("layer", "backward_layer")  # whose configurations name our classes
        elif isinstance(raised, ValueError) and message.startswith(f"{ours.__name__}: "):
            self.refused_by_us += 1
            same = len(message) < 400 and "\n" not in message and "given" in message
        else:
            same = type(raised) is type(raised_by_keras)
        if not same:
            self.differences.append(
                f"{ours.__name__} {name} {type(value).__name__}: {message[:200]}, {desired}, {config}"
            )


@scenario()
def wrong_types():
    numbers = st.integers() | st.floats() | st.booleans() | st.complex_numbers()
    leaves = st.none() | numbers | st.text(max_size=3) | st.binary(max_size=2)
    values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=4)
    sweep = Sweep()

    @seed(0)
    @settings(max_examples=200, deadline=None, database=None)
    @given(st.sampled_from(PLACES), st.sampled_from(WRONG) | values)
    def draw(place, value):
        sweep(place, value)

    draw()
    return vars(sweep)
