"""multilstm.keras_layers.Dense as a Keras user uses it, and the bias of an LSTM, in bfloat16."""

import keras
import numpy as np
from harness import compiled, fill, normal, numpy, scenario, weights

from multilstm.keras_layers import LSTM, Dense, TimeDistributed

FEATURES, UNITS, CLASSES, ROWS = 3, 4, 2, 2000


def step(policy, lstm, dense, distributed):
    """Return the change of the weights of an LSTM and a Dense in one step of plain SGD on 2 * ROWS rows."""
    inputs = keras.Input((2, FEATURES))
    head = dense(CLASSES, dtype=policy)
    head = TimeDistributed(head, dtype=policy) if distributed else head
    model = fill(keras.Model(inputs, head(lstm(UNITS, return_sequences=True, dtype=policy)(inputs))))
    compiled(model, keras.optimizers.SGD(1.0))
    before = model.get_weights()
    model.train_on_batch(normal(ROWS, 2, FEATURES), np.full((ROWS, 2, CLASSES), 3, "float32"))
    return [after - start for after, start in zip(model.get_weights(), before, strict=True)]


def steps(lstm, dense):
    found = {}
    for where, distributed in (("alone", False), ("distributed", True)):
        for policy in ("mixed_bfloat16", "float32"):
            moved = step(policy, lstm, dense, distributed)
            found |= {f"{where}_{policy}{index}": array for index, array in enumerate(moved)}
    return found


@scenario()
def dense_bias_gradient():
    return steps(LSTM, Dense)


@scenario()
def plain_bias_gradient():
    return steps(keras.layers.LSTM, keras.layers.Dense)


@scenario()
def dense_is_keras_own():
    """The same weights in our Dense and in Keras's Dense, in every policy."""
    x = normal(5, 2, FEATURES)
    found = {}
    for policy in ("float32", "float64", "mixed_float16", "mixed_bfloat16"):
        for case, options in {"tanh": {"activation": "tanh"}, "linear": {}, "no_bias": {"use_bias": False}}.items():
            for whose, layer in (("ours", Dense), ("plain", keras.layers.Dense)):
                made = layer(CLASSES, dtype=policy, **options)
                made.build(x.shape)
                made.set_weights([normal(*w.shape, seed=7) for w in made.get_weights()])
                found[f"{policy}_{case}_{whose}"] = numpy(keras.ops.cast(made(x), "float64"))
    return found


@scenario()
def lstm_cell_is_keras_own():
    """One timestep of training with a given dropout mask, by our layer and by Keras's cell with the same weights."""
    found = {}
    for policy in ("float32", "mixed_bfloat16"):
        for case, options in {"bias": {}, "no_bias": {"use_bias": False}, "gates": {"implementation": 1}}.items():
            lstm = LSTM(UNITS, dropout=0.5, dtype=policy, activation="softsign", **options)
            cell = lstm.cell
            cell.build((None, FEATURES))
            cell.set_weights([normal(*w.shape, seed=7) for w in cell.get_weights()])
            x, hidden, carry = (
                keras.ops.cast(normal(5, size, seed=9), cell.compute_dtype) for size in (FEATURES, UNITS, UNITS)
            )
            mask = keras.ops.cast(np.arange(5 * FEATURES).reshape(5, FEATURES) % 2 * 2, cell.compute_dtype)
            cell._dropout_mask = [mask] * 4 if cell.implementation == 1 else mask
            for whose, step in (("ours", lstm.step), ("plain", cell.call)):
                with keras.src.backend.AutocastScope(cell.compute_dtype):
                    output, states = step(x, [hidden, carry], training=True)
                for index, array in enumerate((output, *states)):
                    found[f"{policy}_{case}_{whose}{index}"] = numpy(keras.ops.cast(array, "float64"))
    return found


@scenario()
def dense_save_and_load(folder, *others):
    x = normal(5, FEATURES)
    model = fill(keras.Sequential([keras.Input((FEATURES,)), Dense(CLASSES, name="head")]))
    model.save(folder / "dense.keras")
    found = {"x": x, **weights(model)}
    for place in (folder, *others):
        loaded = keras.models.load_model(place / "dense.keras")
        assert type(loaded.get_layer("head")) is Dense
        found[f"{place.name}_y"] = loaded.predict(x, verbose=0)
    return found
