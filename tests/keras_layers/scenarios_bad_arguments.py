"""multilstm.keras_layers given arguments that it must refuse: the message of each refusal."""

import keras
import numpy as np
from harness import compiled, data, error, normal, scenario, stateful_model
from portable_lstm import BATCH, FEATURES, TIMESTEPS, UNITS

from multilstm.keras_layers import LSTM, Bidirectional

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
        "both_three": error(both, x, [state] * 3),
        "both_units": error(both, x, [state, state, state, normal(BATCH, UNITS + 1)]),
        "text": error(LSTM(UNITS, name="lstm"), text),
        "text_objects": error(LSTM(UNITS, name="lstm"), text.astype(object)),
        "text_list": error(LSTM(UNITS, name="lstm"), text.tolist()),
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
