"""multilstm.keras_layers.activations, on their own and in an LSTM that is saved and loaded."""

import keras
import numpy as np
from harness import fill, normal, numpy, scenario, weights

from multilstm.keras_layers import LSTM, activations

NAMES = ("gelu", "leaky_relu", "hard_sigmoid", "softplus")


def values():
    """From -30 to 30, the kinks at -3, 0 and 3 among them."""
    return np.linspace(-30.0, 30.0, 241)


@scenario("float64")
def portable_activations():
    x = values()
    found = {"x": x, "sequences": normal(2, 4, 3)}
    for name in NAMES:
        found[name] = numpy(getattr(activations, name)(keras.ops.convert_to_tensor(x)))
        found[f"{name}_plain"] = numpy(getattr(keras.activations, name)(keras.ops.convert_to_tensor(x)))
    lstm = LSTM(4, activations.gelu, activations.hard_sigmoid, name="lstm")
    model = fill(keras.Sequential([keras.Input((4, 3)), lstm]))
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    return found | weights(model) | {"y": numpy(model(found["sequences"])), "again": numpy(again(found["sequences"]))}
