"""Hostile and broken protocol buffers: ONNX models, and keras_metadata.pb of a SavedModel."""

import json
import os
import pathlib

import numpy as np
import pytest
from onnx_files import attribute, field, node, tensor

import multilstm
from multilstm import LSTM, Sequential
from multilstm.errors import InputError
from multilstm.files.parsers.protobuf import Message, fields

pytestmark = pytest.mark.usefixtures("parse_here")
SPEC = Sequential([LSTM(1, name="lstm")], input_shape=(None, 2))
MADE = pathlib.Path(__file__).with_name("made") / "onnx-1.23.2.onnx"


W = np.arange(8).reshape(1, 4, 2)
R = np.arange(4).reshape(1, 4, 1) + 10
B = np.arange(8).reshape(1, 8) + 20


def model(*nodes, tensors=None):
    tensors = [tensor("W", W), tensor("R", R), tensor("B", B)] if tensors is None else tensors
    graph = b"".join(field(1, value) for value in nodes or (node(),)) + b"".join(field(5, value) for value in tensors)
    return field(1, 8) + field(2, "test") + field(7, graph)


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def loaded(content, architecture=SPEC):
        (tmp_path / "model").write_bytes(content)
        try:
            return multilstm.load("model", architecture=architecture)
        finally:
            assert os.listdir() == ["model"]

    return loaded


def test_reads_gates_and_biases(load):
    weights = load(model()).weights
    np.testing.assert_array_equal(weights["lstm/kernel"], [[0, 4, 6, 2], [1, 5, 7, 3]])  # i, o, f, c to i, f, c, o
    np.testing.assert_array_equal(weights["lstm/recurrent_kernel"], [[10, 12, 13, 11]])
    np.testing.assert_array_equal(weights["lstm/bias"], [44, 48, 50, 46])


def test_numbers_outside_of_raw_data_are_read(load):
    content = field(1, 1) + field(1, 8) + field(2, 1) + field(8, "B") + field(4, np.asarray(B, "<f4").tobytes())
    weights = load(model(tensors=[tensor("W", W), tensor("R", R), content])).weights
    np.testing.assert_array_equal(weights["lstm/bias"], [44, 48, 50, 46])


def test_states_the_direction_of_a_node(load):
    notes = load(model(node(attributes=[attribute("direction", field(4, "reverse"))]))).provenance.notes
    assert "runs backwards: it needs go_backwards=True" in " ".join(notes)


def test_refuses_an_architecture_of_other_activations(load):
    activations = attribute("activations", *(field(9, name) for name in ("HardSigmoid", "Tanh", "Tanh")))
    with pytest.raises(InputError, match=r"has recurrent_activation='sigmoid'; .* has 'hard_sigmoid_keras2'"):
        load(model(node(attributes=[activations])))


EXTERNAL = tensor("W", W, more=field(13, field(1, "location") + field(2, "/etc/passwd")) + field(14, 1))
HOSTILE = {
    "external_data": (model(tensors=[EXTERNAL, tensor("R", R), tensor("B", B)]), "its numbers lie in another file"),
    "shape_bomb": (model(tensors=[tensor("W", W, dims=[2**40, 4, 2])]), "claims 35,184,372,088,832 bytes"),
    "huge_dimension": (model(tensors=[tensor("W", W, dims=[2**63, 2**63])]), "claims"),
    "few_numbers": (model(tensors=[tensor("W", W, raw=b"1234")]), "it has 4 bytes, expected 32"),
    "data_type": (model(tensors=[tensor("W", W, type=8)]), "data type is number 8"),
    "rank": (
        model(tensors=[tensor("W", W[0]), tensor("R", R), tensor("B", B)]),
        r"has the shape \(4, 2\), expected \[directions",
    ),
    "bias": (model(tensors=[tensor("W", W), tensor("R", R), tensor("B", B[0])]), r"B has the shape \(8,\)"),
    "computed": (
        model(field(1, "a") + field(2, "z") + field(4, "Slice"), node(("x", "z", "R"))),
        "comes from the node Slice; expected a constant",
    ),
    "input": (model(node(("x", "w", "R"))), "comes from an input of the graph"),
    "peepholes": (model(node(("x", "W", "R", "B", "", "", "", "P"))), "has peepholes"),
    "clip": (model(node(attributes=[attribute("clip")])), "has clip or input_forget"),
    "direction": (model(node(attributes=[attribute("direction", field(4, "up"))])), "direction is 'up'"),
    "no_lstm": (model(node(kind="If")), "ONNX without a node LSTM, GRU or RNN .*its operators are If"),
    "no_graph": (field(1, 8) + field(2, "x"), "it has no graph"),
    "number_for_a_graph": (field(1, 8) + field(7, 3), "a number in place of a message"),
    "cut": (model()[:-1], "cut or broken"),
    "group": (b"\x08\x08\x3b", "wire type 3"),
    "endless_varint": (b"\x08\x08" + b"\xff" * 20, "cut or broken"),
    "saved_model": (b"\x08\x01\x12\x00", "the graph of a SavedModel"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_refuses_a_hostile_model(load, content, message):
    with pytest.raises(InputError, match=message):
        load(content)


@pytest.mark.parametrize("cut", range(0, MADE.stat().st_size, 41))
def test_a_truncated_model_is_refused(load, cut):
    with pytest.raises(InputError):
        load(MADE.read_bytes()[:cut])


def metadata(config, path="root", identifier="_tf_keras_sequential"):
    return field(1, field(3, path) + field(4, identifier) + field(5, config))


def test_reads_the_architecture_of_a_saved_model(load):
    content = metadata("{}", "root.layer-0", "_tf_keras_layer") + metadata(SPEC.to_json())
    loaded = load(content, None)
    assert loaded.spec == SPEC
    assert loaded.weights is None
    assert loaded.provenance.format == "keras_metadata.pb of a SavedModel"


METADATA = {
    "no_root": (metadata(SPEC.to_json(), "other"), "no model at its root; its objects are '_tf_keras_sequential'"),
    "no_model": (metadata("{}", identifier="_tf_keras_layer"), "no model at its root"),
    "no_json": (metadata("{"), "this is not JSON"),
    "a_list": (metadata(json.dumps([1])), "expected an object"),
    "cut": (metadata(SPEC.to_json())[:-1], "cut or broken"),
}


@pytest.mark.parametrize(("content", "message"), METADATA.values(), ids=METADATA)
def test_refuses_a_broken_saved_model(load, content, message):
    with pytest.raises(InputError, match=message):
        load(content, None)


def test_many_fields_are_refused(monkeypatch):
    monkeypatch.setattr("multilstm.files.parsers.protobuf.OBJECT_LIMIT", 100)
    with pytest.raises(InputError, match="more than 100 fields"):
        list(fields(field(1, 1) * 101))


def test_the_last_value_of_a_field_counts():
    assert Message(field(1, 1) + field(1, 2)).integer(1) == 2
