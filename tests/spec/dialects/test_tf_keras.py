"""Models that tf-keras itself wrote: `tf_keras.json`, made by `make_tf_keras.py`."""

import json
import pathlib

import pytest

from multilstm.spec import (
    L2,
    LSTM,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    Model,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.keras_json.model import read_json

FACTS = json.loads(pathlib.Path(__file__).with_name("tf_keras.json").read_text(encoding="utf-8"))
FLOAT32 = 0.009999999776482582  # Keras's 0.01, rounded to float32
HARD = {"recurrent_activation": "hard_sigmoid_keras2"}


def translator():
    source, target = Input((None, 3), name="source"), Input((None, 2), name="target")
    _, *states = LSTM(4, return_state=True, name="encoder")(source)
    outputs = LSTM(4, return_sequences=True, name="decoder")(target, states)
    return Model([source, target], Dense(2, "linear", name="words")(outputs), "translator")


def twins():
    left, right = Input((None, 3), name="left"), Input((None, 3), name="right")
    read, code = LSTM(4, name="read"), Dense(2, "linear", name="encoder_code")
    first, second = read(left), read(right)
    both = Concatenate(name="both")([code(first), code(second)])
    return Model([left, right], Dense(1, "linear", name="code")(both), "twins")


EXPECTED = {
    "stack": Sequential(
        [
            Input((6,), dtype="int32", name="embedding_input"),
            Embedding(9, 3, mask_zero=True, name="embedding"),
            Bidirectional(LSTM(4, return_sequences=True, name="lstm", **HARD), "sum", name="bidirectional"),
            LSTM(
                3,
                kernel_initializer="he_normal",
                kernel_regularizer=L2(FLOAT32),
                return_sequences=True,
                dropout=0.25,
                name="lstm_1",
            ),
            TimeDistributed(Dense(2, "hard_sigmoid_keras2", name="dense"), name="time_distributed"),
        ],
        name="stack",
    ),
    "stateful": Sequential(
        [
            Input((5, 3), batch_size=2, name="lstm_2_input"),
            LSTM(4, bias_initializer="ones", stateful=True, name="lstm_2"),
            Dropout(0.5, name="dropout"),
        ],
        name="stateful",
    ),
    "translator": translator(),
    "nested": Sequential(
        [
            Input((4, 3), name="x"),
            LSTM(3, return_sequences=True, name="a"),
            Dense(5, "linear", name="first"),
            Dense(2, "linear", name="second"),
        ],
        name="nested",
    ),
    "distributed": Sequential(
        [
            Input((4, 3), name="x"),
            TimeDistributed(Dense(5, "linear", name="first"), name="first"),
            TimeDistributed(Dense(2, "linear", name="second"), name="second"),
        ],
        name="distributed",
    ),
    "twins": twins(),
}


def test_every_recorded_model_is_expected():
    assert set(EXPECTED) == set(FACTS["models"])


@pytest.mark.parametrize("form", ["to_json", "config.json"])
@pytest.mark.parametrize("name", EXPECTED)
def test_reads_as_the_same_model(name, form):
    spec, translated = read_json(FACTS["models"][name][form])
    desired = EXPECTED[name]
    assert spec == desired
    assert spec.parameter_count == FACTS["models"][name]["parameter_count"]
    assert translated.version == (FACTS["version"] if form == "to_json" else "2")
