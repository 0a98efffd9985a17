"""Values of Keras's JSON that decide on the order of inputs and outputs."""

import json

import pytest

from multilstm.spec import LSTM, Input, Model, from_json, to_json

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("names", [("b", "a"), ("a", "b")], ids=["exchanged", "sorted"])
def test_inputs_and_outputs_by_name_have_the_order_of_the_sorted_names(names):
    """So do Keras's `model.inputs` and `model.outputs`, whatever the order of the file."""
    x, y = Input((None, 3), name="x"), Input((None, 3), name="y")
    model = json.loads(to_json(Model([x, y], [LSTM(2, name="of_x")(x), LSTM(2, name="of_y")(y)])))
    for ends in ("input_layers", "output_layers"):
        model["config"][ends] = dict(zip(names, model["config"][ends], strict=True))
    graph = from_json(model)
    order = ["x", "y"] if names == ("a", "b") else ["y", "x"]
    assert list(graph.inputs) == order
    assert [graph.calls[ref.call].layer for ref in graph.outputs] == [f"of_{name}" for name in order]
