"""A gradient that is zero but for rounding is compared on the scale of the other gradients of its layer."""

import dataclasses

import numpy as np
import pytest

from multilstm.cases.model_case import model_case
from multilstm.compare import AGREES, Quantity, compare, tolerance
from multilstm.execution.options import Options
from multilstm.spec import LSTM, BatchNormalization, Dense, Sequential
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.judge_part import _scale_of_layer

BIAS = Quantity("gradient", "dense/bias")
KERNEL = Quantity("gradient", "dense/kernel")


def test_a_bias_below_a_batch_normalization_agrees():
    layers = [Dense(3), BatchNormalization(), LSTM(2)]
    report = compare_cases((model_case(Sequential(layers, input_shape=(4, 3))),), Options(("jax-scan",), ("float64",)))
    (cell,) = [cell for cell in report.cells if cell.quantity == BIAS]
    assert cell.verdict in AGREES
    assert cell.comparison.max_abs < 1e-15


@pytest.mark.parametrize(("share", "scale"), [(1e-14, 2.0), (1e-12, 0.0), (0.0, 2.0)])
def test_the_scale_is_that_of_the_layer_where_the_gradient_is_zero_but_for_rounding(share, scale):
    gradients = {KERNEL: [np.array([[1.0, -2.0]])], BIAS: [np.array([2.0 * share])]}
    gradients[Quantity("gradient", "other/kernel")] = [np.array([9.0])]
    assert _scale_of_layer(BIAS, gradients) == scale
    assert not _scale_of_layer(KERNEL, gradients)


@pytest.mark.parametrize(("actual", "agrees"), [(1e-13, True), (3e-12, False)])
def test_a_larger_gradient_of_such_a_weight_diverges(actual, agrees):
    row = dataclasses.replace(tolerance("float64", "cpu", "gradient"), scale=2.0)
    verdict = compare(BIAS, np.array([actual]), np.array([1e-17]), row).verdict
    assert (verdict in AGREES) == agrees
