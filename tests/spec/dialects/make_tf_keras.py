"""Write tf_keras.json: models of tf-keras, as its `to_json` and the `config.json` of its `.keras` files hold them.

    pip install tensorflow-cpu==2.21.* && pip install --no-deps tf-keras==2.21.*
    python tests/spec/dialects/make_tf_keras.py

tf-keras requires the package `tensorflow`, so it is installed without its dependencies where tensorflow-cpu is.
"""

import io
import json
import pathlib
import zipfile

import tf_keras
from tf_keras import Input, Model, Sequential
from tf_keras import layers as k


def stack():
    return Sequential(
        [
            k.Embedding(9, 3, mask_zero=True, input_length=6),
            k.Bidirectional(k.LSTM(4, return_sequences=True, recurrent_activation="hard_sigmoid"), merge_mode="sum"),
            k.LSTM(3, return_sequences=True, dropout=0.25, kernel_regularizer="l2", kernel_initializer="he_normal"),
            k.TimeDistributed(k.Dense(2, activation="hard_sigmoid")),
        ],
        name="stack",
    )


def stateful():
    layers = [k.LSTM(4, stateful=True, batch_input_shape=(2, 5, 3), bias_initializer="ones"), k.Dropout(0.5)]
    return Sequential(layers, name="stateful")


def translator():
    source, target = Input((None, 3), name="source"), Input((None, 2), name="target")
    _, hidden, cell = k.LSTM(4, return_state=True, name="encoder")(source)
    outputs = k.LSTM(4, return_sequences=True, name="decoder")(target, initial_state=[hidden, cell])
    return Model([source, target], k.Dense(2, name="words")(outputs), name="translator")


def twins():
    inner = Input((None, 3), name="inner")
    encoder = Model(inner, k.Dense(2, name="code")(k.LSTM(4, name="read")(inner)), name="encoder")
    left, right = Input((None, 3), name="left"), Input((None, 3), name="right")
    both = k.Concatenate(name="both")([encoder(left), encoder(right)])
    return Model([left, right], k.Dense(1, name="code")(both), name="twins")


def nested():
    head = Sequential([k.Dense(5, name="first"), k.Dense(2, name="second")], name="head")
    return Sequential([Input((4, 3), name="x"), k.LSTM(3, return_sequences=True, name="a"), head], name="nested")


def distributed():
    each = Sequential([k.Dense(5, name="first"), k.Dense(2, name="second")], name="each")
    return Sequential([Input((4, 3), name="x"), k.TimeDistributed(each, name="all")], name="distributed")


def saved(model):
    """Return the `config.json` of the model's `.keras` file."""
    path = pathlib.Path("model.keras")
    model.save(path)
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as file:
        text = file.read("config.json")
    path.unlink()
    return json.loads(text)


def main():
    models = {}
    for build in (stack, stateful, translator, twins, nested, distributed):
        model = build()
        if not model.built:
            model.build((None, 6))
        models[build.__name__] = {
            "to_json": json.loads(model.to_json()),
            "config.json": saved(model),
            "parameter_count": model.count_params(),
        }
    facts = {"version": tf_keras.__version__, "models": models}
    path = pathlib.Path(__file__).with_name("tf_keras.json")
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
