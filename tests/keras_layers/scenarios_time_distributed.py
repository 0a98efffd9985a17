"""multilstm.keras_layers.TimeDistributed as a Keras user uses it."""

import keras
import numpy as np
from harness import compiled, error, fill, normal, numpy, scenario, uniform, weights

from multilstm.keras_layers import LSTM, TimeDistributed

FEATURES, CLASSES = 3, 2


def dense_model(wrapper=TimeDistributed, timesteps=None):
    dense = keras.layers.Dense(CLASSES, name="inner")
    return fill(keras.Sequential([keras.Input((timesteps, FEATURES)), wrapper(dense, name="each")]))


@scenario()
def time_distributed_variable_length():
    """Several lengths, batches of one, more timesteps than sequences, through predict and fit."""
    model = compiled(dense_model(), keras.optimizers.SGD(0.1))
    found = weights(model)
    for batch, timesteps in ((2, 5), (1, 4), (3, 2), (2, 7)):
        x = normal(batch, timesteps, FEATURES)
        found |= {f"x_{batch}_{timesteps}": x, f"y_{batch}_{timesteps}": model.predict(x, verbose=0)}
    for number, (batch, timesteps) in enumerate(((2, 5), (1, 4), (3, 2), (2, 7))):
        x, y = normal(batch, timesteps, FEATURES), uniform(batch, timesteps, CLASSES)
        found |= {f"fit{number}_x": x, f"fit{number}_y": y}
        found[f"fit{number}"] = model.fit(x, y, verbose=0).history["loss"]
    return found | weights(model, "after")


@scenario("float64")
def time_distributed_masked():
    """A mask passes through, to the next LSTM and to the loss."""
    layers = [
        keras.layers.Masking(name="masking"),
        LSTM(4, return_sequences=True, name="first"),
        TimeDistributed(keras.layers.Dense(3, name="inner"), name="each"),
        LSTM(CLASSES, return_sequences=True, name="second"),
        TimeDistributed(keras.layers.Dense(CLASSES, name="last"), name="head"),
    ]
    model = compiled(fill(keras.Sequential([keras.Input((None, FEATURES)), *layers])), keras.optimizers.SGD(0.1))
    x, y = normal(2, 5, FEATURES), uniform(2, 5, CLASSES)
    x[0, 3:] = 0.0
    found = {"x": x, "y": y, **weights(model), "predict": model.predict(x, verbose=0)}
    found["fit"] = model.fit(x, y, verbose=0).history["loss"]
    return found | weights(model, "after")


@keras.saving.register_keras_serializable(package="test")
class MaskedSum(keras.layers.Layer):
    """`[batch, items, features]` with a mask `[batch, items]` to `[batch, features]`."""

    def call(self, inputs, mask=None):
        return keras.ops.sum(inputs * keras.ops.cast(mask, inputs.dtype)[..., None], axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@scenario()
def time_distributed_inner_mask():
    """The inner layer is given its part of the mask; a mask of another shape is refused."""
    x, mask = normal(2, 5, 4, FEATURES), np.random.default_rng(0).random((2, 5, 4)) > 0.5
    layer = TimeDistributed(MaskedSum())
    return {
        "x": x,
        "mask": mask,
        "y": numpy(layer(x, mask=keras.ops.convert_to_tensor(mask))),
        "short": error(layer, x, mask=keras.ops.convert_to_tensor(mask[:, :3])),
        "flat": error(layer, x, mask=keras.ops.convert_to_tensor(mask[:, 0, 0])),
    }


@scenario()
def time_distributed_dropout():
    model = keras.Sequential(
        [keras.Input((None, 50)), TimeDistributed(keras.layers.Dropout(0.25)), keras.layers.Dense(1, use_bias=False)]
    )
    compiled(model, keras.optimizers.SGD(0.0))
    ones = np.ones((3, 40, 50), "float32")
    model.fit(ones, np.ones((3, 40, 1)), verbose=0)
    model.fit(ones[:1, :7], np.ones((1, 7, 1)), verbose=0)
    return {"training": numpy(model.layers[0](ones, training=True)), "inference": numpy(model.layers[0](ones))}


@scenario()
def time_distributed_shapes():
    """Symbolic shapes are Keras's own, known timesteps stay known, and several sizes may be unknown."""
    conv = keras.layers.Conv1D(2, 2, name="inner")
    several = fill(keras.Sequential([keras.Input((None, None, FEATURES)), TimeDistributed(conv, name="each")]))
    x = normal(2, 5, 4, FEATURES)
    flat = keras.Sequential(
        [keras.Input((5, FEATURES)), TimeDistributed(keras.layers.Dense(CLASSES)), keras.layers.Flatten()]
    )
    flat.add(keras.layers.Dense(1))
    compiled(flat, "sgd").fit(normal(3, 5, FEATURES), normal(3, 1), verbose=0)
    shapes = {
        f"{name}_{timesteps}": str(dense_model(wrapper, timesteps).output_shape)
        for name, wrapper in (("ours", TimeDistributed), ("plain", keras.layers.TimeDistributed))
        for timesteps in (None, 5)
    }
    return {"x": x, "y": several.predict(x, verbose=0), **weights(several), "flat": flat.output_shape[-1], **shapes}


@scenario()
def time_distributed_save_and_load(folder, *others):
    x = normal(2, 5, FEATURES)
    model = dense_model()
    model.save(folder / "distributed.keras")
    found = {"x": x, **weights(model)}
    for place in (folder, *others):
        loaded = keras.models.load_model(place / "distributed.keras")
        assert type(loaded.get_layer("each")) is TimeDistributed
        found[f"{place.name}_y"] = loaded.predict(x, verbose=0)
    plain = dense_model(keras.layers.TimeDistributed)
    fill(plain, seed=50).save_weights(folder / "distributed.weights.h5")
    model.load_weights(folder / "distributed.weights.h5")
    return found | weights(plain, "plain") | weights(model, "loaded")


@scenario()
def plain_time_distributed():
    model = dense_model(keras.layers.TimeDistributed)
    model.predict(normal(2, 3, FEATURES), verbose=0)  # the first length is compiled for itself, the second for all
    x = normal(2, 5, FEATURES)
    return {"x": x, "y": model.predict(x, verbose=0), **weights(model)}
