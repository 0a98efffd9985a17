"""Models that a caller has in hand: those of Keras are read without an import of Keras."""

import json
import sys
import types
import warnings

import pytest

from multilstm import LSTM, Dense, Sequential, parity, run
from multilstm.errors import InputError, SpecError, UsageError
from multilstm.files import LoadedModel, load_model, resolved
from multilstm.spec import to_json

SPEC = Sequential([LSTM(3), Dense(2)], input_shape=(None, 2), name="mine")
SCRIPT = """
import json, sys
import keras, numpy as np
from multilstm import parity, run

inputs = keras.Input((None, 3))
hidden = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(inputs)
model = keras.Model(inputs, keras.layers.Dense(2)(hidden), name="mine")
x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
desired = np.asarray(keras.ops.convert_to_numpy(model(x)))
report = parity(model, x, engines=["reference"], dtypes=["float32"], against=desired)
answer = {"distance": float(np.abs(run(model, "reference", x).output - desired).max()),
          "agrees": report.agrees, "engines": report.engines, "origin": report.origin}
json.dump(answer, open(sys.argv[2], "w"))
"""


def keras_model(save, **attributes):
    """Return an object of a class that looks like Keras's."""
    kind = type("Model", (), {"save": save, "built": True, "name": "mine", "__module__": "keras.src.models.model"})
    model = type("Functional", (kind,), {})()
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def write(text):
    def save(self, path):
        warnings.warn("old", DeprecationWarning, stacklevel=2)  # as Keras's JAX backend does
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    return save


def raise_error(self, path):
    raise NotImplementedError("Object Own\nhas no get_config")


def test_a_model_of_keras_is_compared_with_its_own_weights(ask_keras):
    answer = ask_keras(SCRIPT, {})
    assert answer["distance"] < 1e-6
    assert (answer["agrees"], answer["engines"]) == (True, ["reference", "recorded"])
    assert answer["origin"][0].startswith("The model is from Keras 3")
    assert answer["origin"][0].endswith(": a model in memory.")


def test_a_model_of_keras_is_read_without_keras(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras", raising=False)  # another test may have imported it
    loaded = resolved(keras_model(write(json.dumps(to_json(SPEC)))))
    assert isinstance(loaded, LoadedModel)
    assert loaded.spec.weight_shapes == SPEC.weight_shapes
    assert "keras" not in sys.modules


def test_a_function_may_return_a_model_of_keras(monkeypatch):
    functions = types.SimpleNamespace(net=lambda: keras_model(write(json.dumps(to_json(SPEC)))))
    monkeypatch.setitem(sys.modules, "functions_of_keras", functions)
    loaded = load_model("functions_of_keras:net")
    assert loaded.spec.weight_shapes == SPEC.weight_shapes
    assert loaded.provenance.format == "a model in memory"


def test_a_function_may_return_a_model_of_keras_that_cannot_be_saved(monkeypatch):
    functions = types.SimpleNamespace(net=lambda: keras_model(raise_error))
    monkeypatch.setitem(sys.modules, "functions_of_keras", functions)
    with pytest.raises(InputError, match="the Keras model 'mine' cannot be saved: NotImplementedError"):
        load_model("functions_of_keras:net")


def test_a_spec_and_a_loaded_model_stay_as_they_are():
    loaded = resolved(keras_model(write(json.dumps(to_json(SPEC)))))
    assert resolved(SPEC) is SPEC
    assert resolved(loaded) is loaded
    assert repr(loaded) == (
        "<LoadedModel without weights, from a model in memory: Sequential 'mine': LSTM(3) -> Dense(2); "
        "(any, any, 2) -> (any, 2)>"
    )


@pytest.mark.parametrize("call", [lambda model: run(model, "reference", None), parity], ids=["run", "parity"])
@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (keras_model(raise_error, built=False), InputError, "'mine' is not built and has no weights"),
        (keras_model(raise_error), InputError, "cannot be saved: NotImplementedError: 'Object Own"),
        (keras_model(write('{"class_name": "Own", "config": {}}')), SpecError, "the Keras model 'mine': .*'Own'"),
        ("none.keras", InputError, "cannot read 'none.keras': No such file"),
        (type("Model", (), {})(), UsageError, "the model is Model, expected the result of multilstm.Model"),
        (None, UsageError, "the model is NoneType"),
    ],
    ids=["not_built", "not_saved", "of_another_class", "no_file", "another_model", "none"],
)
def test_a_model_that_cannot_be_read_is_refused(call, model, error, message):
    with pytest.raises(error, match=message) as caught:
        call(model)
    assert str(caught.value).isprintable()


def relu(x):
    return 3 * x


INSIDE = {
    "layer": types.SimpleNamespace(name="mine", activation=relu),
    "cell": types.SimpleNamespace(name="rnn", cell=types.SimpleNamespace(name="mine", recurrent_activation=relu)),
    "direction": types.SimpleNamespace(name="both", backward_layer=types.SimpleNamespace(name="mine", activation=relu)),
    "model": types.SimpleNamespace(name="inner", layers=[types.SimpleNamespace(name="mine", activation=relu)]),
}


@pytest.mark.parametrize("place", INSIDE)
def test_an_activation_of_the_users_own_is_refused_though_its_name_is_one_of_keras(place):
    """Keras would write its name alone."""
    model = keras_model(write(json.dumps(to_json(SPEC))), layers=[INSIDE[place]])
    with pytest.raises(
        InputError, match=r"activation of the layer 'mine' is the function 'relu' of '.*test_in_memory'"
    ):
        resolved(model)


def test_activations_of_frameworks_are_those_of_their_names():
    function = types.FunctionType(relu.__code__, {"__name__": "keras.src.activations.activations"}, "relu")
    model = keras_model(write(json.dumps(to_json(SPEC))), layers=[types.SimpleNamespace(name="a", activation=function)])
    assert resolved(model).spec.weight_shapes == SPEC.weight_shapes
