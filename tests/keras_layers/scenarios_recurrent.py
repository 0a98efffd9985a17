"""multilstm.keras_layers.GRU and SimpleRNN in a Keras user's hands."""

import keras
import numpy as np
from harness import compiled, data, error, fill, normal, numpy, scenario
from portable_lstm import BATCH, FEATURES, TIMESTEPS, UNITS

from multilstm.keras_layers import GRU, Bidirectional, Rescaling, SimpleRNN

KINDS = {"gru": lambda **more: GRU(UNITS, **more), "before": lambda **more: GRU(UNITS, reset_after=False, **more),
         "simple": lambda **more: SimpleRNN(UNITS, **more)}  # fmt: skip


def model(make, **more):
    inputs = keras.Input((None, FEATURES), batch_size=BATCH if more.get("stateful") else None)
    return fill(keras.Model(inputs, make(**more)(inputs)))


@scenario()
def recurrent_stateful():
    """A stateful layer over two halves of a sequence, and a stateless one over the whole."""
    found = {}
    x = np.concatenate([data(seed=1)[0], data(seed=2)[0]], 1)
    for name, make in KINDS.items():
        carrying = model(make, stateful=True)
        halves = [carrying.predict(half, verbose=0) for half in np.split(x, 2, 1)]
        found |= {f"{name}_second": halves[1], f"{name}_state": numpy(carrying.layers[-1].states[0])}
        found[f"{name}_whole"] = model(make).predict(x, verbose=0)
        compiled(carrying, keras.optimizers.SGD(0.1))
        before = carrying.get_weights()
        carrying.fit(x, normal(BATCH, UNITS), batch_size=BATCH, epochs=2, verbose=0)
        found[f"{name}_moved"] = [np.abs(a - b).max() for a, b in zip(before, carrying.get_weights(), strict=True)]
        found[f"{name}_variables"] = " ".join(variable.name for variable in carrying.layers[-1].variables)
    return found


@scenario()
def recurrent_initial_state():
    """One tensor, a list of one, and one row for all sequences; with a mask."""
    found = {}
    x, state, mask = normal(BATCH, TIMESTEPS, FEATURES), normal(1, UNITS, seed=1), np.ones((BATCH, TIMESTEPS), bool)
    mask[:, 2:] = False
    for name, make in KINDS.items():
        layer = make()
        layer(x)
        layer.set_weights([normal(*weight.shape, seed=5) for weight in layer.get_weights()])
        rows = np.repeat(state, BATCH, 0)
        found |= {f"{name}_{key}": numpy(layer(x, initial_state=value, mask=mask)) for key, value in
                  (("tensor", rows), ("list", [rows]), ("row", [state]))}  # fmt: skip
        found[f"{name}_cut"] = numpy(layer(x[:, :2], initial_state=rows))
        found[f"{name}_two"] = error(layer, x, initial_state=[rows, rows])
    return found


@scenario()
def recurrent_configuration(folder, *others):
    layers = [GRU(UNITS, implementation=1, use_cudnn=False, reset_after=False, seed=3), SimpleRNN(UNITS, seed=4)]
    configs = [keras.layers.deserialize(keras.layers.serialize(layer)).get_config() for layer in layers]
    keys = ("implementation", "use_cudnn", "reset_after", "seed")
    return {
        **{f"{key}{number}": str(config.get(key)) for number, config in enumerate(configs) for key in keys},
        "gru_units": error(GRU, 0),
        "simple_dropout": error(SimpleRNN, 3, dropout=1.5),
        "gru_flag": error(GRU, 3, reset_after="yes"),
    }


@scenario()
def recurrent_byte_order():
    """Arrays in the byte order of another machine, and native ones: sequences, mask, states and constants."""
    x, mask, state = normal(BATCH, TIMESTEPS, FEATURES), np.ones((BATCH, TIMESTEPS), "int32"), normal(BATCH, UNITS)
    swapped = lambda array: array.astype(array.dtype.newbyteorder())  # noqa: E731
    layers = {name: make() for name, make in KINDS.items()} | {"both": Bidirectional(GRU(UNITS))}
    scale = normal(FEATURES)
    found = {}
    for way, change in (("native", lambda array: array), ("foreign", swapped)):
        for name, layer in layers.items():
            states = [change(state)] * (2 if name == "both" else 1)
            found[f"{name}_{way}"] = numpy(layer(change(x), initial_state=states, mask=change(mask)))
        found[f"rescaling_{way}"] = numpy(Rescaling(change(scale), change(scale))(x))
    return found
