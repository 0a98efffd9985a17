"""The masks that tensors of a file may have."""

import json

import pytest

from multilstm.spec import LSTM, Dense, GetItem, Input, Model, Softmax, from_json, to_json
from multilstm.spec.flow import Flow

pytestmark = pytest.mark.unit


def test_a_layer_that_refuses_a_mask_passes_none_on():
    """An input may have a mask, and usually has none."""
    flow, tensor = Flow(), Input((None, 3))
    flow.add([tensor])
    result = Softmax()(tensor)
    flow.add([result])
    assert flow.unmasked(result) is result
    assert flow.unmasked(tensor) is not tensor


@pytest.mark.parametrize("layer", [LSTM(4, return_sequences=True), Dense(4)], ids=["lstm", "dense"])
def test_a_softmax_before_an_operation_is_read(layer):
    """Keras writes `h[:, -1]` as an operation, for which the masks of all tensors are followed."""
    source = Input((None, 3))
    spec = Model(source, GetItem((slice(None), -1))(Softmax()(layer(source))))
    assert from_json(json.loads(to_json(spec))) == spec
