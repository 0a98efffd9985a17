"""The shapes of the benchmark and their arrays."""

import dataclasses

import numpy as np
import pytest

from multilstm.bench.shapes import SHAPES, Shape, problem

RAGGED = Shape(6, 9, 3, 4, layers=2, bidirectional=True, shortest=5)


def test_names_are_unique_and_every_shape_has_a_source():
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert all(shape.source for shape in SHAPES)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (Shape(64, 100, 123, 320), "64x100x123x320"),
        (Shape(64, 8, 16, 32, layers=3), "64x8x16x32-3"),
        (Shape(32, 9, 3, 4, layers=4, bidirectional=True), "32x9x3x4-4-bidirectional"),
        (RAGGED, "6x5..9x3x4-2-bidirectional"),
    ],
    ids=["one_layer", "layers", "bidirectional", "ragged"],
)
def test_name(shape, name):
    assert shape.name == name


def test_flops_are_those_of_the_matrix_products():
    shape = Shape(2, 3, 5, 7, layers=2, bidirectional=True)
    multiplications = 2 * 3 * 2 * sum(features * 28 + 7 * 28 for features in (5, 14))
    assert shape.flops() == 2 * multiplications
    ragged = dataclasses.replace(shape, layers=1, bidirectional=False, shortest=1)
    assert ragged.flops() == 8 * (1 + 3) * 7 * (5 + 7)


def test_lengths_are_spread_evenly_and_unsorted():
    shape = Shape(11, 30, 3, 4, shortest=10)
    assert sorted(shape.lengths()) == list(range(10, 31, 2))
    assert list(shape.lengths()) != sorted(shape.lengths())
    assert (Shape(3, 30, 3, 4).lengths() == 30).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_fit_their_shape(dtype):
    one = problem(RAGGED, dtype)
    assert one.x.shape == (6, 9, 3)
    assert one.cotangent.shape == (6, 9, 8)
    assert one.mask.shape == (6, 9)
    shapes = [[[array.shape for array in way] for way in layer] for layer in one.weights]
    assert shapes == [[[(3, 16), (4, 16), (16,)]] * 2, [[(8, 16), (4, 16), (16,)]] * 2]
    assert {array.dtype for layer in one.weights for way in layer for array in (*way, one.x, one.cotangent)} == {
        np.dtype(dtype)
    }


def test_both_dtypes_have_the_same_numbers():
    single, double = problem(RAGGED, "float32"), problem(RAGGED, "float64")
    np.testing.assert_array_equal(single.x, double.x)
    np.testing.assert_array_equal(single.weights[1][1][0], double.weights[1][1][0])


def test_padding_is_0():
    one = problem(RAGGED)
    assert not one.x[~one.mask].any()
    assert not one.cotangent[~one.mask].any()
    assert one.x[one.mask].all()
    assert problem(Shape(2, 3, 4, 5)).mask is None


def test_no_weights_are_alike():
    one = problem(RAGGED)
    arrays = [array for layer in one.weights for way in layer for array in way]
    assert len({array.tobytes() for array in arrays}) == len(arrays) == 12
    assert all(len(np.unique(array)) == array.size for array in arrays)
