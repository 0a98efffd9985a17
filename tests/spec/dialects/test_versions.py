"""The version of a file: as stated, or inferred from its form."""

import pytest

from multilstm.errors import SpecError
from multilstm.spec import LSTM, Dense, Input, Sequential, from_json, to_json
from multilstm.spec.dialects import keras3_config
from multilstm.spec.dialects.versions import Version, version_of

STACK = {"class_name": "Sequential", "config": {"name": "s", "layers": []}}


def entry(class_name="Dense", **config):
    return {"class_name": class_name, "config": {"name": "a", **config}}


def model(*layers):
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


@pytest.mark.parametrize(
    ("text", "number", "tensorflow"),
    [
        ("1.2.2", (1, 2, 2), False),
        ("2.2.4", (2, 2, 4), False),
        ("2.2.4.2", (2, 2, 4, 2), False),
        ("2.2.4-tf", (2, 2, 4), True),
        ("2.3.0-tf", (2, 3, 0), True),
        ("2.3.1", (2, 3, 1), False),
        ("2.4.0", (2, 4, 0), True),
        ("2.13.1rc0", (2, 13, 1), True),
        ("2.16.0.dev2024011001", (2, 16, 0), True),
        ("3.12.0", (3, 12, 0), False),
    ],
)
def test_a_stated_version(text, number, tensorflow):
    assert version_of({"keras_version": text}, None) == (Version(text, number, tensorflow), None)


def test_the_version_of_the_caller_precedes_that_of_the_file():
    assert version_of({"keras_version": "3.0.0"}, "2.2.4")[0].text == "2.2.4"


NONE = ["", "two", 2.2, ["2.2.4"], "-2", "9" * 39, "1." * 30, "2.", "0x2", "2.1e3"]
NONE += ["2.2.4; rm -rf", "2.2.4\n", "2.2.4\x1b[31m", "\uff12.\uff12.\uff14"]  # the last in full-width digits


@pytest.mark.parametrize("text", NONE, ids=ascii)
def test_refuses_a_given_version_that_is_none(text):
    with pytest.raises(SpecError, match=r'keras_version: given .* expected a version such as "2\.2\.4"'):
        version_of({}, text)


@pytest.mark.parametrize("text", NONE, ids=ascii)
def test_a_version_of_the_file_that_is_none_is_unknown(text):
    stack = {"class_name": "Sequential", "config": [entry(units=2)]}
    assert version_of({**stack, "keras_version": text}, None) == version_of(stack, None)


@pytest.mark.parametrize(
    ("file", "number", "reason"),
    [
        ({"name": "Sequential", "layers": []}, (0,), "Keras 0: its layers have no class_name"),
        (model(entry("LSTM", inner_activation="tanh")), (1,), "Keras 1: it has 'inner_activation'"),
        (model(entry("Dropout", p=0.5)), (1,), "Keras 1: it has 'p'"),
        (model(entry("Merge", mode="sum")), (1,), "Keras 1: it has 'Merge'"),
        (model(entry("Bidirectional", layer=entry("LSTM", inner_init="one"))), (1,), "Keras 1: it has 'inner_init'"),
        ({"class_name": "Sequential", "config": [entry(units=2)]}, (2, 2), "Keras 2.2.2 or older: the config of"),
        (model(entry(batch_input_shape=[None, 3])), (2,), "Keras 2: it has batch_input_shape"),
        (
            model({**entry(batch_input_shape=[None, 3]), "module": "keras.layers"}),
            (2, 12),
            "Keras 2.12 or newer: it has",
        ),
        (model(entry("CuDNNLSTM", units=2)), (2,), "Keras 2: it has CuDNNLSTM"),
        (model({**entry(units=2), "inbound_nodes": [[["x", 0, 0, {}]]]}), (2,), "Keras 2: it has inbound_nodes"),
    ],
    ids=["0", "inner_activation", "p", "Merge", "wrapped", "list", "batch_input_shape", "module", "CuDNNLSTM", "calls"],
)
def test_an_inferred_version(file, number, reason):
    version, note = version_of(file, None)
    assert version.number == number
    assert note.startswith(f"the file names no version of Keras and is read as one of {reason}")


@pytest.mark.parametrize(
    "file",
    [
        STACK,
        model(entry(units=2)),
        model({**entry(units=2), "inbound_nodes": [{"args": [], "kwargs": {}}]}),
        {"class_name": "Functional", "config": []},
        {"class_name": "Sequential", "config": {"layers": 3}},
        {"class_name": "Sequential", "config": {"layers": [3, {"class_name": ["x"], "config": [3]}]}},
        {"name": ["Sequential"]},
        {},
    ],
    ids=str,
)
def test_every_other_form_is_keras_3s_and_stays(file):
    translated = keras3_config(file)
    assert translated.config == file
    assert translated.notes == ()


def test_our_own_json_is_keras_3s():
    layers = [Input((4, 3)), LSTM(2, recurrent_activation="hard_sigmoid"), Dense(2, "hard_sigmoid_keras2")]
    spec = Sequential(layers)
    assert from_json(to_json(spec)) == spec
