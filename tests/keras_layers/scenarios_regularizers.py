"""multilstm.keras_layers' regularizers, and Keras's own constraints, as a Keras user uses them."""

import keras
import numpy as np
from harness import compiled, error, normal, scenario

from multilstm import keras_layers
from multilstm.keras_layers import LSTM, SGD, Bidirectional

FACTORS = {  # none of which float32 holds
    "L1": {"l1": 0.1},
    "L2": {"l2": 0.3},
    "L1L2": {"l1": 0.1, "l2": 0.3},
    "OrthogonalRegularizer": {"factor": 0.7},
    "columns": {"factor": 0.7, "mode": "columns"},
}
BOUNDS = {
    "MaxNorm": {"max_value": 0.7},
    "NonNeg": {},
    "UnitNorm": {"axis": 1},
    "MinMaxNorm": {"min_value": 0.3, "max_value": 0.7, "rate": 0.6},
}


def kernel():
    """Return a kernel of four features and three units, with two weights of zero."""
    values = normal(4, 3, seed=5, scale=0.5)
    values[1, 2] = values[3, 0] = 0.0
    return values


def one_step(**penalties):
    """Return the loss before and the kernel after one step of SGD of rate 1, in fit."""
    dense = keras.layers.Dense(3, use_bias=False, **penalties)
    model = compiled(keras.Sequential([keras.Input((4,)), dense]), SGD(1.0))
    model.set_weights([kernel()])
    x, y = normal(5, 4), normal(5, 3, seed=1)
    found = {"x": x, "y": y, "kernel": kernel(), "evaluate": model.evaluate(x, y, verbose=0)}
    found["test_on_batch"] = model.test_on_batch(x, y)
    found["fit"] = model.fit(x, y, verbose=0).history["loss"][0]
    return {**found, "after": model.get_weights()[0]}


def named(found, name):
    return {f"{name}_{key}": value for key, value in found.items()}


def regularized(source):
    found = {}
    for name, factors in FACTORS.items():
        regularizer = getattr(source, "OrthogonalRegularizer" if name == "columns" else name)
        try:
            found |= named(one_step(kernel_regularizer=regularizer(**factors)), name)
        except Exception as caught:
            found |= {f"{name}_raised": type(caught).__name__}
    return found


@scenario("float64")
def regularizers():
    return regularized(keras_layers)


@scenario("float64")
def plain_regularizers():
    return regularized(keras.regularizers)


@scenario("float64")
def constraints():
    found = {}
    for name, bounds in BOUNDS.items():
        found |= named(one_step(kernel_constraint=getattr(keras.constraints, name)(**bounds)), name)
    return found


@scenario()
def regularizers_come_back():
    """Regularizers stay equal through JSON, and in both directions of a Bidirectional."""
    regularizer = keras_layers.L1(0.1)
    layer = Bidirectional(LSTM(2, kernel_regularizer=regularizer))
    dense = keras.layers.Dense(2, kernel_regularizer=keras_layers.OrthogonalRegularizer(0.7, "columns"))
    model = keras.Sequential([keras.Input((4, 3)), layer, dense])
    again = keras.models.model_from_json(model.to_json())
    inner = [again.layers[0].forward_layer, again.layers[0].backward_layer]
    return {
        "classes": [type(each.kernel_regularizer) is keras_layers.L1 for each in inner],
        "factors": np.array([each.kernel_regularizer.get_config()["l1"] for each in inner], "float64"),
        "orthogonal": str(again.layers[1].kernel_regularizer.get_config()),
        "losses": len(again.losses),
        "bias": error(keras_layers.OrthogonalRegularizer(), np.zeros(3)),
        "negative": error(keras_layers.L1, -0.1),
    }
