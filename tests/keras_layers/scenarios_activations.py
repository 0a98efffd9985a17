"""multilstm.keras_layers.activations, on their own and in an LSTM that is saved and loaded."""

import keras
import numpy as np
from harness import compiled, fill, normal, numpy, scenario, weights

from multilstm.keras_layers import LSTM, activations

NAMES = ("gelu", "leaky_relu", "selu", "hard_sigmoid", "softplus")
NEW = ("hard_sigmoid_keras2",)  # which Keras 3 has under no name


def values():
    """Return numbers from -30 to 30, including the kinks at -3, -2.5, 0, 2.5 and 3."""
    return np.linspace(-30.0, 30.0, 241)


def slopes(function, x):
    """Return the derivative at every x, from one step of gradient descent on the sum."""
    layer = keras.layers.Dense(x.size, function, use_bias=False)
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.set_weights([x[None]])
    compiled(model, keras.optimizers.SGD(1.0), lambda _, outputs: keras.ops.sum(outputs))
    model.train_on_batch(np.ones((1, 1)), np.ones((1, x.size)))
    return x - layer.get_weights()[0][0]


@scenario("float64")
def portable_activations():
    x = values()
    found = {"x": x, "sequences": normal(2, 4, 3)}
    for name in (*NAMES, *NEW):
        found[name] = numpy(getattr(activations, name)(keras.ops.convert_to_tensor(x)))
        found[f"{name}_slopes"] = slopes(getattr(activations, name), x)
    for name in NAMES:
        found[f"{name}_plain"] = numpy(getattr(keras.activations, name)(keras.ops.convert_to_tensor(x)))
        found[f"{name}_plain_slopes"] = slopes(getattr(keras.activations, name), x)
    lstm = LSTM(4, activations.gelu, activations.hard_sigmoid, name="lstm")
    model = fill(keras.Sequential([keras.Input((4, 3)), lstm]))
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    return found | weights(model) | {"y": numpy(model(found["sequences"])), "again": numpy(again(found["sequences"]))}
