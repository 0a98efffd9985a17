"""Attributes of ONNX's nodes: the known ones pass, and one without a known meaning is refused by name."""

import pytest

from multilstm.errors import InputError
from multilstm.files.onnx.attributes import KNOWN, check_attributes
from multilstm.files.onnx.spec import _HANDLERS, ACTIVATIONS
from multilstm.files.parsers.onnx_graph import Node


def node(op, **attributes):
    return Node("layer", op, ("x",), ("y",), attributes)


def test_every_operator_with_a_layer_has_its_attributes():
    assert {*_HANDLERS, *ACTIVATIONS} == {*KNOWN}


@pytest.mark.parametrize("op", KNOWN)
def test_an_unknown_attribute_is_refused_by_name(op):
    check_attributes(node(op, **dict.fromkeys(KNOWN[op], 1)))
    with pytest.raises(InputError, match=rf"node 'layer' \('{op}'\): its attribute 'surprise' is 2, whose meaning is"):
        check_attributes(node(op, surprise=2))


@pytest.mark.parametrize(
    ("op", "name", "value"), [("Add", "axis", 1), ("Mul", "axis", 0), ("BatchNormalization", "spatial", 0)]
)
def test_an_attribute_of_old_versions_that_changes_numbers_is_refused(op, name, value):
    with pytest.raises(InputError, match=f"its attribute '{name}' is {value}"):
        check_attributes(node(op, **{name: value}))


def test_the_usual_value_of_an_old_attribute_passes():
    check_attributes(node("BatchNormalization", spatial=1))


def test_an_operator_without_a_layer_is_left_to_others():
    check_attributes(node("Erf", surprise=1))
