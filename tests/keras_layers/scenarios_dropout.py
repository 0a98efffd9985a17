"""multilstm.keras_layers: layers that drop the same values on every backend."""

import keras
import numpy as np
from harness import BACKEND, data, error, fill, normal, numpy, scenario, weights
from portable_lstm import BATCH, CLASSES, FEATURES, TIMESTEPS, UNITS

from multilstm import keras_layers
from multilstm.keras_layers import GRU, LSTM, Dropout, SimpleRNN, SpatialDropout1D, TimeDistributed
from multilstm.keras_layers.dropout import drawn_mask

ONES = np.ones((BATCH, TIMESTEPS, FEATURES), "float32")
LARGEST = 2**31 - 1


def model(layers=keras_layers):
    """All layers that drop, in a chain."""
    return fill(
        keras.Sequential(
            [
                keras.Input((TIMESTEPS, FEATURES)),
                layers.Dropout(0.2, seed=1, name="dropout"),
                layers.Bidirectional(
                    layers.LSTM(UNITS, dropout=0.3, recurrent_dropout=0.2, seed=5, return_sequences=True), name="both"
                ),
                layers.LSTM(UNITS, dropout=0.5, seed=4, return_sequences=True, name="lstm"),
                layers.SpatialDropout1D(0.3, seed=2, name="spatial"),
                layers.TimeDistributed(layers.Dropout(0.1, seed=3), name="every"),
                layers.GRU(
                    UNITS, dropout=0.2, implementation=1, use_cudnn=False, seed=6, return_sequences=True, name="gru"
                ),
                layers.SimpleRNN(UNITS, recurrent_dropout=0.2, seed=7, name="rnn"),
                keras.layers.Dense(CLASSES, name="dense"),
            ]
        )
    )


def random_state(model):
    return [numpy(variable).astype("int64") for variable in model.non_trainable_variables]


def small(layers=keras_layers):
    """A layer whose state is its own, and one whose state is its cell's."""
    return fill(
        keras.Sequential(
            [
                keras.Input((TIMESTEPS, FEATURES)),
                layers.Dropout(0.2, seed=1),
                layers.LSTM(UNITS, recurrent_dropout=0.5, seed=4),
                keras.layers.Dense(CLASSES),
            ]
        )
    )


def fitted(found, jit_compile, epochs=3):
    found.compile(keras.optimizers.SGD(0.1), "mean_squared_error", jit_compile=jit_compile)
    x, y = data(batches=3)
    history = found.fit(x, y, epochs=epochs, batch_size=BATCH, shuffle=False, verbose=0)
    return found, {"loss": history.history["loss"], **weights(found)}


@scenario()
def masks():
    dropout, noisy = Dropout(0.4, seed=LARGEST), Dropout(0.4, noise_shape=(None, 1, None), seed=3)
    first, second = (numpy(dropout(ONES, training=True)) for _ in range(2))
    return {
        "first": first,
        "second": second,
        "noise_shape": numpy(noisy(ONES, training=True)),
        "spatial": numpy(SpatialDropout1D(0.4, seed=3)(ONES, training=True)),
        "every": numpy(TimeDistributed(Dropout(0.4, seed=3))(ONES, training=True)),
        "inference": numpy(dropout(ONES)),
        "state": numpy(dropout.seed_generator.state),
    }


def compiled(function):
    """Return the function compiled by each compiler of the backend, by the compiler's name."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return {"graph": tf.function(function), "xla": tf.function(function, jit_compile=True)}
    if BACKEND == "jax":
        import jax

        return {"jit": jax.jit(function)}
    return {}


@scenario()
def bits():
    """The kept values of masks of many sizes, eager and compiled, packed to bits."""
    found, state = {}, keras.ops.convert_to_tensor(np.array([LARGEST, LARGEST], "int64"))
    for size in (0, 1, 3, 1000, 2**20):

        def mask(state, size=size):
            return drawn_mask(state, "dropout", 0.5, (1, size), "float32")

        for name, function in {"eager": mask, **compiled(mask)}.items():
            found[f"{name} {size}"] = np.packbits(numpy(function(state)) > 0)
    return found


@scenario("float64")
def dropout_fit():
    return fitted(model(), jit_compile=BACKEND == "jax")[1]


@scenario("float64")
def dropout_fit_xla():
    return fitted(model(), jit_compile=True)[1] if BACKEND == "tensorflow" else {"skipped": 1}


@scenario()
def inference_draws_nothing():
    found = small()
    before = random_state(found)
    found.predict(normal(BATCH, TIMESTEPS, FEATURES), verbose=0)
    return {"before": before, "after": random_state(found)}


@scenario("float64")
def dropout_saved(folder, *_):
    """Two epochs, a file, and one epoch of the model from the file."""
    found, _ = fitted(small(), BACKEND == "jax", epochs=2)
    found.save(folder / "dropout.keras")
    found.save_weights(folder / "dropout.weights.h5")
    resumed = keras.models.load_model(folder / "dropout.keras")
    x, y = data(batches=3)
    resumed.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    plain = small(keras.layers)
    plain.load_weights(folder / "dropout.weights.h5")
    plain.save_weights(folder / "plain.weights.h5")
    other = small()
    other.load_weights(folder / "plain.weights.h5")
    return {
        **weights(resumed),
        **weights(found, "saved"),
        **weights(plain, "plain"),
        "state": random_state(keras.models.load_model(folder / "dropout.keras")),
        "state_of_plain": random_state(other),
    }


@scenario()
def default_seeds():
    keras.utils.set_random_seed(3)
    return {"state": [numpy(layer(0.5).seed_generator.state).astype("int64") for layer in (Dropout, Dropout)]}


@scenario()
def shared_layer():
    """A layer that is called twice in a batch draws twice."""
    dropout = Dropout(0.5, seed=1)
    x = keras.Input((TIMESTEPS, FEATURES))
    both = keras.Model(x, keras.layers.Concatenate()([dropout(x), dropout(keras.layers.ReLU()(x))]))
    return {"both": numpy(both(ONES, training=True))}


@scenario()
def refused_dropout():
    return {
        "rate_of_one": error(Dropout, 1.0),
        "rate_of_spatial": error(SpatialDropout1D, -0.1),
        "seed": error(Dropout, 0.5, seed=2**31),
        "seed_of_lstm": error(LSTM, UNITS, dropout=0.1, seed=-1),
        "seed_of_gru": error(GRU, UNITS, seed=1.5),
        "seed_of_rnn": error(SimpleRNN, UNITS, seed="1"),
    }
