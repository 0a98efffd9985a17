"""The bits of `multilstm.random` are those of `jax.random`, for every size, seed and step."""

import jax
import numpy as np
import pytest

from multilstm import random
from multilstm.random import streams

LARGEST = 2**31 - 1


def jax_bits(seed, stream, step, shape):
    words = np.array([seed, streams.stream(stream)], np.int64).astype(np.uint32)
    key = jax.random.fold_in(jax.random.wrap_key_data(words, impl="threefry2x32"), step)
    with jax.threefry_partitionable(True):
        return np.asarray(jax.random.bits(key, shape, "uint32")).view(np.int32)


@pytest.mark.parametrize("size", [0, 1, 3, 1000, 2**20])
def test_sizes(size):
    np.testing.assert_array_equal(random.bits(1, "dropout", 2, (size,)), jax_bits(1, "dropout", 2, (size,)))


@pytest.mark.parametrize("seed", [0, 1, LARGEST])
@pytest.mark.parametrize("step", [0, 5, LARGEST])
@pytest.mark.parametrize("stream", ["dropout", "backward/recurrent_dropout"])
def test_seeds_steps_and_streams(seed, step, stream):
    np.testing.assert_array_equal(random.bits(seed, stream, step, (7, 3)), jax_bits(seed, stream, step, (7, 3)))
