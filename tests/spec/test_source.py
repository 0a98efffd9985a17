"""A model's source: Keras builds the same model from it, and no name of a file becomes code."""

import ast
import dataclasses

import numpy as np
import pytest

from multilstm.cases.catalogue import catalogue
from multilstm.spec import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    GetItem,
    Input,
    Masking,
    Model,
    Sequential,
    TimeDistributed,
    from_json,
)
from multilstm.spec.layers import InnerModel
from multilstm.spec.penalties import WeightFunction
from multilstm.spec.source import WIDTH, keras_source

BUILD = """
import json, pathlib, sys
answers = {}
for name, source in json.loads(pathlib.Path(sys.argv[1]).read_text()).items():
    scope = {}
    exec(source, scope)
    answers[name] = scope["model"].to_json()
pathlib.Path(sys.argv[2]).write_text(json.dumps(answers))
"""


def distinct_models():
    """Return the specs of the catalogue, one for each kind of layers and arguments, without their weights' sizes."""
    models = {}
    for case in catalogue().values():
        kind = tuple((call.layer, len(call.initial_state)) for call in case.spec.calls)
        models.setdefault(kind, case.spec)
    options = [case.spec for name, case in catalogue().items() if name.startswith(("option-", "issue-"))]
    return {f"{number}-{spec.name}": spec for number, spec in enumerate([*models.values(), *options])}


MODELS = distinct_models()


@pytest.fixture(scope="module")
def built(ask_keras):
    return ask_keras(BUILD, {name: keras_source(spec) for name, spec in MODELS.items()})


def as_keras_writes(layer):
    """Return the layer without the arguments that Keras's JSON leaves out, and without the name of an inner layer."""
    if isinstance(layer, InnerModel):
        return layer.with_inner(as_keras_writes)
    if layer.wrapped is not None:
        return dataclasses.replace(layer, layer=as_keras_writes(dataclasses.replace(layer.wrapped, name=None)))
    changes = {"use_cudnn": "auto", "implementation": 2} if isinstance(layer, (LSTM, GRU)) else {}
    changes |= {key: in_float32(value) for key, value in vars(layer).items() if isinstance(value, WeightFunction)}
    return dataclasses.replace(layer, **changes)


def in_float32(function):
    """Return a regularizer or constraint with its numbers as Keras keeps them on PyTorch."""
    numbers = {key: float(np.float32(value)) for key, value in vars(function).items() if isinstance(value, float)}
    return dataclasses.replace(function, **numbers)


def comparable(spec):
    """Return the model as Keras writes it, with names of our own for the parts, which a source cannot name."""
    parts = [layer.name for layer in spec.layers if isinstance(layer, GetItem)]
    names = {name: f"part_{number}" for number, name in enumerate(parts)}
    layers = (dataclasses.replace(layer, name=names.get(layer.name, layer.name)) for layer in spec.layers)
    calls = tuple(dataclasses.replace(call, layer=names.get(call.layer, call.layer)) for call in spec.calls)
    return dataclasses.replace(spec, layers=tuple(map(as_keras_writes, layers)), calls=calls)


@pytest.mark.parametrize("name", MODELS)
def test_keras_builds_the_same_model_from_the_source(built, name):
    assert comparable(from_json(built[name])) == comparable(MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_the_lines_are_short(name):
    assert max(map(len, keras_source(MODELS[name]).splitlines())) <= WIDTH


def test_a_sequential_reads_as_a_person_writes_it():
    spec = Sequential([LSTM(8), Dense(2, activation="softmax")], input_shape=(None, 5))
    assert keras_source(spec) == (
        "import keras\n"
        "from keras import layers\n"
        "\n"
        "model = keras.Sequential(\n"
        "    [\n"
        '        keras.Input((None, 5), name="input_layer"),\n'
        '        layers.LSTM(8, name="lstm"),\n'
        '        layers.Dense(2, activation="softmax", name="dense"),\n'
        "    ],\n"
        '    name="sequential",\n'
        ")\n"
    )


def test_a_shared_layer_is_made_once():
    first, second, shared = Input((None, 3), name="a"), Input((None, 3), name="b"), LSTM(2, name="twin")
    source = keras_source(Model([first, second], [shared(first), shared(second)]))
    assert source.count("layers.LSTM(") == 1
    assert "twin = twin_layer(a)\ntwin_2 = twin_layer(b)\n" in source


def test_states_of_both_directions_have_names():
    x = Input((None, 3), name="x")
    outputs = Bidirectional(LSTM(2, return_state=True), name="both")(x)
    source = keras_source(Model(x, outputs))
    names = ["both", *(f"both_{way}_{part}" for way in ("forward", "backward") for part in ("hidden", "cell"))]
    assert "(\n    " + ",\n    ".join(names) + ",\n) = layers.Bidirectional(" in source


HOSTILE = ['"', "'", "\n", '"); import os; os.system("x', "\x1b[2J", "lambda", "1", "", "model", "é", "a'\"b", "\\"]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_a_name_is_a_text_or_an_identifier(name):
    if name:
        x = Input((None, 3), name=name)
        spec = Model(x, LSTM(2, name=f"{name}2")(x), name=name)
    else:
        spec = Sequential([LSTM(2)], input_shape=(None, 3))
    source = keras_source(spec)
    assert source.isprintable() or source.replace("\n", "").isprintable()
    tree = ast.parse(source)
    assert {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr")} <= {
        "Input", "LSTM", "Model", "Sequential",
    }  # fmt: skip
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not name or name in texts


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_program_imports_the_activations_that_keras_lacks(depth):
    layer = LSTM(2, recurrent_activation="hard_sigmoid_keras2")
    for wrapper in (Bidirectional, TimeDistributed)[:depth]:
        layer = wrapper(layer)
    source = keras_source(Sequential([layer], (3, 4, 2) if depth == 2 else (4, 2)))
    assert "from multilstm import keras_layers" in source


def test_a_program_imports_the_activations_inside_of_a_model():
    inner = Sequential([Masking(), LSTM(2, recurrent_activation="hard_sigmoid_keras2")], (4, 2))
    source = keras_source(Sequential([TimeDistributed(inner)], (3, 4, 2)))
    assert "from multilstm import keras_layers" in source
