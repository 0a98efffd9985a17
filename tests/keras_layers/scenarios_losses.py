"""multilstm.keras_layers.CategoricalCrossentropy as a Keras user uses it."""

import keras
import numpy as np
from harness import compiled, error, fill, normal, numpy, scenario, uniform, weights

from multilstm.keras_layers import CategoricalCrossentropy, MeanOverAllTimesteps

FEATURES, CLASSES = 3, 4


def one_step(activation, loss, timesteps=(), mask=None, sample_weight=None):
    """Loss and gradient of one linear layer, by one step of SGD of rate 1, in fit."""
    layers = [keras.Input((*timesteps, FEATURES)), *([keras.layers.Masking()] if mask is not None else [])]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES, activation=activation)])
    compiled(fill(model), keras.optimizers.SGD(1.0), loss)
    x, y = normal(3, *timesteps, FEATURES), uniform(3, *timesteps, CLASSES)
    if mask is not None:
        x[~mask] = 0.0
    found = {"x": x, "y": y, **weights(model)}
    more = {} if sample_weight is None else {"sample_weight": sample_weight}
    found["evaluate"] = model.evaluate(x, y, verbose=0, **more)
    found["fit"] = model.fit(x, y, verbose=0, **more).history["loss"]
    return found | weights(model, "after")


@scenario("float64")
def loss_softmax():
    return one_step("softmax", CategoricalCrossentropy())


@scenario("float64")
def loss_sigmoid():
    return one_step("sigmoid", CategoricalCrossentropy())


@scenario("float64")
def loss_logits():
    return one_step(None, CategoricalCrossentropy(from_logits=True))


@scenario("float64")
def loss_smoothed():
    return one_step("softmax", CategoricalCrossentropy(label_smoothing=0.3))


@scenario("float64")
def loss_weighted():
    weight = np.array([0.5, 2.0, 0.0])
    return {"weight": weight, **one_step("softmax", CategoricalCrossentropy(), sample_weight=weight)}


@scenario("float64")
def loss_masked():
    mask = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
    return {"mask": mask, **one_step("softmax", CategoricalCrossentropy(), (5,), mask)}


@scenario("float64")
def loss_over_all_timesteps():
    """Masked timesteps count as zeros; the loss is that of a saved and loaded configuration."""
    mask = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
    saved = keras.saving.serialize_keras_object(MeanOverAllTimesteps(CategoricalCrossentropy()))
    loss = keras.saving.deserialize_keras_object(saved)
    refused = error(MeanOverAllTimesteps, keras.losses.MeanSquaredError(reduction="sum"))
    return {"mask": mask, "refused": refused, **one_step("softmax", loss, (5,), mask)}


@scenario()
def loss_masked_weighted():
    mask = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
    weight = uniform(3, 5)
    found = one_step("sigmoid", CategoricalCrossentropy(), (5,), mask, weight)
    return {"mask": mask, "weight": weight, **found}


@scenario("float64")
def loss_values():
    """By hand: reductions, clipping, another axis; arguments come back; shapes that differ are refused."""
    y_true, y_pred = uniform(3, CLASSES, seed=1), uniform(3, CLASSES, seed=2)
    loss = CategoricalCrossentropy(label_smoothing=0.1, axis=1, reduction="sum", name="mine", dtype="float64")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    config = loss.get_config()
    return {
        "y_true": y_true,
        "y_pred": y_pred,
        "none": numpy(CategoricalCrossentropy(reduction=None)(y_true, y_pred)),
        "sum": numpy(CategoricalCrossentropy(reduction="sum")(y_true, y_pred)),
        "mean": numpy(CategoricalCrossentropy()(y_true, y_pred)),
        "clipped": numpy(CategoricalCrossentropy()(np.array([[1.0, 0.5]]), np.array([[0.0, 1.0]]))),
        "axis": numpy(CategoricalCrossentropy(axis=0, reduction=None)(y_true, y_pred)),
        "again": type(again) is CategoricalCrossentropy and again.get_config() == config,
        "arguments": sorted(set(keras.losses.CategoricalCrossentropy().get_config()) ^ set(config)),
        "shapes": error(CategoricalCrossentropy(), y_true[:, :1], y_pred),
        "ranks": error(CategoricalCrossentropy(), y_true[0], y_pred),
    }


@scenario("float64")
def plain_loss_softmax():
    return one_step("softmax", keras.losses.CategoricalCrossentropy())


@scenario("float64")
def plain_loss_sigmoid():
    return one_step("sigmoid", keras.losses.CategoricalCrossentropy())
