"""The cipher against the vectors that Random123 publishes (tests/kat_vectors, threefry2x32 20 rounds)."""

import numpy as np
import pytest

from multilstm.random import threefry

pytestmark = pytest.mark.unit

VECTORS = {
    "zeros": ("00000000 00000000", "00000000 00000000", "6b200159 99ba4efe"),
    "ones": ("ffffffff ffffffff", "ffffffff ffffffff", "1cb996fc bb002be7"),
    "pi": ("13198a2e 03707344", "243f6a88 85a308d3", "c4923a9c 483df7a0"),
}


def words(text):
    return tuple(np.array([int(word, 16)], np.uint32).view(np.int32) for word in text.split())


@pytest.mark.parametrize(("key", "counter", "expected"), VECTORS.values(), ids=VECTORS)
def test_published_vectors(key, counter, expected):
    first, second = threefry(words(key), words(counter))
    assert f"{first.view(np.uint32)[0]:08x} {second.view(np.uint32)[0]:08x}" == expected


def test_int32_stays_int32():
    assert {word.dtype for word in threefry(words("1 2"), words("3 4"))} == {np.dtype("int32")}
