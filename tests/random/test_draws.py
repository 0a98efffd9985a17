"""Masks, seeds and normal numbers: their definition, their refusals, and their statistics over fixed seeds.

A mean is compared with its expectation within five standard errors.
"""

import functools
import itertools

import numpy as np
import pytest

from multilstm import random
from multilstm.errors import InputError

pytestmark = pytest.mark.unit

ERRORS = 5
LARGEST = 2**31 - 1
KINDS = ("dropout", "recurrent_dropout", "backward/dropout", "backward/recurrent_dropout")


# Definitions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 2**-31, 0.1, 0.5, 1 - 2**-31])
def test_a_mask_compares_integers(rate):
    bits = random.bits(3, "dropout", 4, (1000,)).view(np.uint32) >> 1
    expected = np.where(bits < round((1 - rate) * 2**31), 1 / (1 - rate), 0.0)
    np.testing.assert_array_equal(random.dropout_mask(3, "dropout", 4, rate, (1, 1000)), expected[None], strict=True)


@pytest.mark.parametrize("gates", [False, True], ids=["shared", "by_gate"])
def test_the_mask_of_a_row_does_not_depend_on_the_batch(gates):
    large, small = (random.dropout_mask(1, "dropout", 2, 0.5, (3, batch, 7), gates) for batch in (8, 2))
    if not gates:
        large, small = (random.dropout_mask(1, "dropout", 2, 0.5, (batch, 3, 7)).swapaxes(0, 1) for batch in (8, 2))
    np.testing.assert_array_equal(large[:, :2], small)


def test_longer_sequences_begin_with_the_mask_of_shorter_ones():
    long, short = (random.dropout_mask(1, "dropout", 2, 0.5, (3, timesteps, 7)) for timesteps in (9, 4))
    np.testing.assert_array_equal(long[:, :4], short)


def test_gates_are_positions_of_a_row():
    mask = random.dropout_mask(1, "dropout", 2, 0.5, (4, 3, 7), gates=True)
    flat = random.dropout_mask(1, "dropout", 2, 0.5, (3, 28))
    np.testing.assert_array_equal(mask.swapaxes(0, 1).reshape(3, 28), flat)


def test_streams_have_numbers_that_stay():
    assert {kind: random.stream(kind) for kind in KINDS} == {
        "dropout": 688540699, "recurrent_dropout": -892306565, "backward/dropout": 1110453919,
        "backward/recurrent_dropout": -935599261,
    }  # fmt: skip


def test_derived_seeds_differ_by_name_and_seed():
    seeds = [random.derived_seed(seed, name) for seed, name in itertools.product((0, 1), ("lstm", "lstm_1"))]
    assert len(set(seeds)) == 4
    assert all(0 <= seed <= LARGEST for seed in seeds)


def test_draws_go_on_and_begin_again_with_the_seed():
    first, second = (random.Draws(3, "kernel") for _ in range(2))
    a, b = first.uniform(-1, 1, (4,)), first.uniform(-1, 1, (4,))
    assert (a != b).all()
    np.testing.assert_array_equal(second.uniform(-1, 1, (4,)), a)


# Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, 2**31, 1.0, True, "1", None], ids=str)
@pytest.mark.parametrize("name", ["seed", "step"])
def test_a_seed_or_step_out_of_range_is_refused(name, value):
    arguments = {"seed": 0, "stream": "dropout", "step": 0, "shape": (2,), name: value}
    with pytest.raises(InputError, match=f"bits: {name} must be an integer from 0 to"):
        random.bits(**arguments)


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, float("nan"), True, "0.5", None], ids=str)
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(InputError, match="rate must be a number with 0 <= rate < 1"):
        random.dropout_mask(0, "dropout", 0, rate, (2, 2))


# Statistics, over 10**7 draws or more ----------------------------------------------------------------------------


@functools.cache
def words():
    return random.bits(1, "dropout", 0, (2**24,))


OTHER_SHAPES = {
    "scalar": (),
    "negative": (2, -1),
    "float": (2, 1.5),
    "text": ("3",),
    "number": 3,
    "nothing": None,
    "bool": (True, 2),
    "huge": (2**20, 2**12),
    "beyond_64_bits": (10**30,),
}


@pytest.mark.parametrize("shape", OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"dropout_mask: .*shape"):
        random.dropout_mask(1, "dropout", 0, 0.5, shape)


@pytest.mark.parametrize("name", [None, 3, b"dropout"], ids=str)
def test_a_name_is_text(name):
    for draw in (random.bits, random.uniform):
        with pytest.raises(InputError, match="a name must be text"):
            draw(1, name, 0, (2,))
    with pytest.raises(InputError, match="derived_seed: a name must be text"):
        random.derived_seed(1, name)


def test_bits_are_uniform():
    """Chi-square of the four bytes of 2**24 words; 255 degrees of freedom, whose standard deviation is sqrt(510)."""
    counts = np.bincount(words().view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    assert abs(((counts - expected) ** 2 / expected).sum() - 255) < ERRORS * 510**0.5


def test_every_bit_is_fair():
    ones = np.array([np.count_nonzero(words() & np.array(1 << bit, np.uint32).view(np.int32)) for bit in range(32)])
    assert np.abs(ones - words().size / 2).max() < ERRORS * words().size ** 0.5 / 2


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_mean_and_variance_of_a_mask(rate):
    mask = random.dropout_mask(0, "dropout", 0, rate, (1000, 10000))
    variance = rate / (1 - rate)
    kurtosis = 1 / (rate * (1 - rate)) - 3
    assert abs(mask.mean() - 1) < ERRORS * (variance / mask.size) ** 0.5
    assert abs(mask.var() / variance - 1) < ERRORS * ((kurtosis + 2) / mask.size) ** 0.5


def signs(seed=7, kind="dropout", step=3):
    """Return 1 where a value is kept and -1 where it is dropped, `[gates, batch, size]`."""
    kept = random.dropout_mask(seed, kind, step, 0.5, (4, 50, 50_000), gates=True) > 0
    return np.where(kept, np.int8(1), np.int8(-1))


first = functools.cache(signs)

# Pairs of masks that must be independent.
PAIRS = {
    **{kind: lambda kind=kind: (first(), signs(kind=kind)) for kind in KINDS[1:]},
    "step": lambda: (first(), signs(step=4)),
    "seed": lambda: (first(), signs(seed=8)),
    "seed_and_step": lambda: (first(), signs(seed=8, step=2)),
    "layer": lambda: (first(), signs(seed=random.derived_seed(7, "lstm"))),
    "gate": lambda: (first()[:3], first()[1:]),
    "row": lambda: (first()[:, :-1], first()[:, 1:]),
    "position": lambda: (first()[..., :-1], first()[..., 1:]),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_masks_are_not_correlated(pair):
    one, other = PAIRS[pair]()
    assert abs(np.mean(one * other, dtype=float)) < ERRORS / one.size**0.5


def test_normal_numbers():
    normal = random.Draws(1, "kernel").standard_normal((1000, 500))
    moments = [(normal**power).mean() for power in range(1, 5)]
    errors = np.array([1, 2, 15, 96]) ** 0.5 / normal.size**0.5
    assert (np.abs(np.array(moments) - [0, 1, 0, 3]) < ERRORS * errors).all()


def test_uniform_numbers():
    uniform = random.uniform(1, "kernel", 0, (1000, 500))
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < ERRORS / (12 * uniform.size) ** 0.5
