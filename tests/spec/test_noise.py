"""Noise in training, and normalizations and rescalings by given numbers."""

import re

import numpy as np
import pytest

from multilstm.errors import InputError, SpecError
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.validation import check_dropout
from multilstm.spec import (
    AlphaDropout,
    GaussianDropout,
    GaussianNoise,
    Normalization,
    Rescaling,
    Sequential,
    SpatialDropout2D,
    from_json,
)

pytestmark = pytest.mark.unit

SHAPE = (2, 6, 4)


@pytest.mark.parametrize(
    ("layer", "normal", "words"),
    [
        (GaussianNoise(0.2, seed=1), (0.0, 0.2), "normal numbers of mean 0 and standard deviation 0.2"),
        (GaussianDropout(0.2), (1.0, 0.5), "normal numbers of mean 1 and standard deviation 0.5"),
        (AlphaDropout(0.2, seed=1), None, "0 and 1 / (1 - rate)"),
    ],
    ids=repr,
)
def test_noise_must_be_given(layer, normal, words):
    """No seed draws it."""
    (mask,) = layer.dropout_masks("n", SHAPE)
    assert (mask.name, mask.shape, mask.seed, mask.normal, mask.values_in_words) == ("n", SHAPE, None, normal, words)
    spec = Sequential([layer], input_shape=SHAPE[1:])
    with pytest.raises(
        InputError, match=f"is missing in a update step; given none; add an array of {re.escape(words)}, of"
    ):
        check_dropout(spec, {}, 2, "update")
    drawn = draw_dropout(np.random.default_rng(0), spec, 50, 6)[layer_name(spec)]
    assert drawn.std() == pytest.approx(0.5 if normal is None else normal[1], 0.1)


def layer_name(spec):
    return str(spec.layers[-1].name)


def test_alpha_dropout_keeps_mean_and_variance():
    """The expectation for normal numbers: the second moments of kept and saturated values add up to 1."""
    layer = AlphaDropout(0.3)
    mean = layer.rate * layer.SATURATED
    square = (1 - layer.rate) + layer.rate * layer.SATURATED**2
    assert layer.scale * mean + layer.shift == pytest.approx(0, abs=1e-15)
    assert layer.scale**2 * (square - mean**2) == pytest.approx(1)


def test_moments_are_weights_or_arguments_of_any_length():
    shape = (None, 3, 40)
    spec = Sequential([Normalization(name="n")], input_shape=shape[1:])
    assert spec.weight_shapes == {"n/mean": (40,), "n/variance": (40,)}
    assert spec.trainable_weights == ()
    mean = tuple(map(float, range(40)))
    layer = Normalization(mean=mean, variance=mean, name="n")
    given = Sequential([layer, Rescaling(mean)], input_shape=shape[1:])
    assert (given.weight_shapes, from_json(given.to_json())) == ({}, given)
    assert layer.moments(shape, None)[0].tolist() == [[list(mean)]]


def test_a_spatial_dropout_has_one_mask_for_all_rows_and_columns():
    (mask,) = SpatialDropout2D(0.4).dropout_masks("d", (2, 6, 5, 4))
    assert mask.shape == (2, 1, 1, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianDropout(1.0), "GaussianDropout: rate must be a number with 0 <= rate < 1, got 1.0"),
        (lambda: AlphaDropout(0.5, (1, 2)), "AlphaDropout: noise_shape is not executed by multilstm yet"),
    ],
    ids=["rate", "noise_shape"],
)
def test_refuses(make, message):
    with pytest.raises(SpecError, match=message):
        make()
