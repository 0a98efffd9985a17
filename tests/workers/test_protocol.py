import io

import numpy as np
import pytest

from multilstm.workers import protocol


def there_and_back(tree):
    stream = io.BytesIO()
    protocol.write(stream, tree)
    stream.seek(0)
    return protocol.read(stream)


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.zeros((0, 4), "f4"),
        np.arange(6, dtype="i4").reshape(2, 3),
        np.array([True, False]),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.array([np.nan, np.inf, -0.0, 5e-324]),
    ],
    ids=["scalar", "empty", "integers", "booleans", "fortran_order", "strided", "special_values"],
)
def test_array_comes_back_bit_for_bit(array):
    back = there_and_back({"deep": [{"array": array}]})["deep"][0]["array"]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == np.ascontiguousarray(array).tobytes()


def test_plain_values_come_back():
    tree = {"none": None, "text": "a\nb\u00e9\x1b", "list": [1, 2.5, True, []], "nested": {"": {}}}
    assert there_and_back(tree) == tree


def test_names_like_array_marks_are_only_names():
    tree = {"$array": np.array([1.0]), "0": {"arrays": np.array([2.0])}}
    back = there_and_back(tree)
    assert back["$array"][0] == 1.0
    assert back["0"]["arrays"][0] == 2.0


@pytest.mark.parametrize("length", [0, 4, 20, -1], ids=["nothing", "half_a_length", "half_a_block", "all_but_a_byte"])
def test_a_stream_that_ends_early_is_an_eof(length):
    stream = io.BytesIO()
    protocol.write(stream, {"array": np.arange(3.0)})
    with pytest.raises(EOFError, match="the stream ended after"):
        protocol.read(io.BytesIO(stream.getvalue()[:length]))
