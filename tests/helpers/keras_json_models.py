"""Keras 3's JSON of one LSTM, as dicts that a test changes."""

import json

from multilstm.spec import LSTM, Input, Model, Sequential, to_json

EXPECTED = Sequential([Input((None, 3), name="x"), LSTM(2, name="a")], name="model")


def simple(**lstm):
    """Return the JSON of one LSTM of 2 units on 3 features, as a dict to be changed."""
    data = json.loads(to_json(EXPECTED))
    data["config"]["layers"][1]["config"] = {"name": "a", "units": 2, **lstm}
    return data


def functional():
    """Return the JSON of `y = a(x)`, as a dict to be changed."""
    x = Input((None, 3), name="x")
    return json.loads(to_json(Model(x, LSTM(2, name="a")(x), name="model")))
