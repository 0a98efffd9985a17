"""ONNX graphs that define a value, an attribute or a state more than once, or not at all."""

import pytest
from onnx_files import attribute, field, lstm_file, lstm_weights, operator, tensor

import multilstm
from multilstm.errors import InputError

pytestmark = pytest.mark.usefixtures("parse_here")
SIZE = attribute("hidden_size", field(3, 4), field(20, 2))


@pytest.fixture
def load(tmp_path):
    def loaded(content):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return multilstm.load(path)

    return loaded


TWICE = {
    "constant": {"tensors": [tensor("W", lstm_weights(5, 4, seed=1)["W"])]},
    "input": {"states": [("x", (None, 2, 5))]},
    "result": {"nodes": [operator("Relu", ["x"], ["y"])]},
    "constant_and_result": {"nodes": [operator("Relu", ["x"], ["W"])]},
    "input_and_result": {"nodes": [operator("Relu", ["y"], ["x"])]},
}


@pytest.mark.parametrize("options", TWICE.values(), ids=TWICE)
def test_a_value_is_defined_once(load, options):
    with pytest.raises(InputError, match=r"the graph defines '[Wxy]' 2 times; expected once"):
        load(lstm_file(SIZE, **options))


def test_an_attribute_is_given_once(load):
    layout = attribute("layout", field(3, 1), field(20, 2))
    with pytest.raises(InputError, match="a node 'LSTM' has the attribute 'layout' twice"):
        load(lstm_file(SIZE, layout, layout))


def test_an_input_may_have_a_constant_as_its_default(load):
    assert load(lstm_file(SIZE, states=[("W", (1, 16, 5))])).spec.inputs == load(lstm_file(SIZE)).spec.inputs
