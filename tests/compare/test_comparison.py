import re

import numpy as np
import pytest

from multilstm.compare import TABLE, Mismatch, OverTime, Quantity, Tolerance, compare, compare_batches, tolerance
from multilstm.compare.distances import max_abs, max_ulp, rounding
from multilstm.compare.tolerances import FORWARD, GRADIENTS
from multilstm.errors import UsageError

VALUE = Tolerance("float64", "cpu", ("hidden",), 1e-12, 0.0, "value", "test")
SINGLE = Tolerance("float32", "cpu", ("hidden",), 1e-6, 0.0, "value", "test")
TENSOR = Tolerance("float64", "cpu", ("weights",), 0.0, 1e-9, "tensor", "test")
DESIRED = np.array([[0.1, -0.7, 0.33], [0.25, 0.9, -0.05]])


@pytest.mark.parametrize(
    ("actual", "row", "verdict"),
    [
        pytest.param(DESIRED.copy(), VALUE, "bitwise", id="float64-same_bits"),
        pytest.param(DESIRED.astype("f4"), SINGLE, "bitwise", id="float32-same_bits_after_rounding"),
        pytest.param(DESIRED * (1 + 1e-15), VALUE, "rounded", id="float64-same_float32_bits"),
        pytest.param((DESIRED + 5e-7).astype("f4"), SINGLE, "within", id="float32-inside"),
        pytest.param(DESIRED + 2e-12, VALUE, "diverges", id="float64-outside"),
        pytest.param((DESIRED + 2e-6).astype("f4"), SINGLE, "diverges", id="float32-outside"),
        pytest.param(DESIRED[:1], VALUE, "diverges", id="shape-shorter"),
        pytest.param(DESIRED.T, VALUE, "diverges", id="shape-transposed"),
        pytest.param(DESIRED.astype("f4"), VALUE, "diverges", id="dtype-float32_for_float64"),
        pytest.param(DESIRED + [0, np.nan, 0], VALUE, "diverges", id="nan"),
        pytest.param(DESIRED + [0, np.inf, 0], VALUE, "diverges", id="infinity"),
        pytest.param(None, VALUE, "diverges", id="missing"),
    ],
)
def test_verdict(actual, row, verdict):
    assert compare(Quantity("hidden", "lstm"), actual, DESIRED, row).verdict == verdict


def test_missing_reference_diverges():
    assert compare(Quantity("hidden", "lstm"), DESIRED, None, VALUE).verdict == "diverges"


def test_two_empty_arrays_diverge():
    empty = np.zeros((0, 3))
    assert "nothing was compared" in compare(Quantity("hidden", "lstm"), empty, empty, VALUE).message


def test_reference_that_is_not_finite_diverges():
    assert compare(Quantity("hidden", "lstm"), DESIRED, DESIRED + np.inf, VALUE).verdict == "diverges"


def test_message_names_place_and_both_values():
    actual = DESIRED.copy()
    actual[1, 2] = 0.5
    message = compare(Quantity("cell", "lstm_1"), actual, DESIRED, VALUE).message
    assert message.startswith("cell:lstm_1: 1 of 6 values differ by more than 1e-12; worst at [1, 2]")
    assert "actual 0.5" in message
    assert "desired -0.05" in message


def test_a_mismatch_counts_the_values_outside_and_has_statistics():
    desired = np.array([[0.0, 1.0, 2.0], [4.0, -5.0, 6.0]])
    actual = desired + np.array([[0.5, 0.0, 0.0], [1.0, -2.5, 0.0]])
    comparison = compare_batches(Quantity("cell", "lstm"), [desired, actual], [desired, desired], VALUE)
    assert comparison.mismatch == Mismatch(3, 6, (1, 1), -7.5, -5.0, 0.5, 4 / 6, 0.25, batch=1)
    assert compare(Quantity("cell", "lstm"), desired, desired, VALUE).mismatch is None
    zeros = compare(Quantity("cell", "lstm"), desired + 1, desired * 0, VALUE).mismatch
    assert zeros is not None
    assert zeros.max_rel is None


def test_a_mismatch_of_a_sequence_has_the_error_over_its_timesteps():
    desired = np.ones((2, 4, 3))
    actual = desired.copy()
    actual[1, 2:, 0] += [4e-12, 8e-12]
    actual[0, 3, 1] -= 2e-12
    curve = compare(Quantity("sequence", "lstm"), actual, desired, VALUE).mismatch.over_time
    assert curve.timesteps == 4
    assert curve.shares == pytest.approx((0, 0, 4, 8), rel=1e-3)
    assert compare(Quantity("gradient", "lstm"), actual, desired, VALUE).mismatch.over_time is None
    assert compare(Quantity("output"), actual[:, 2], desired[:, 2], VALUE).mismatch.over_time is None


def test_a_long_sequence_has_the_largest_error_of_each_stretch():
    desired = np.ones((1, 150, 1))
    actual = desired.copy()
    actual[0, 149] += 5e-12
    actual[0, 3] += 2e-12  # a stretch has two or three timesteps
    curve = compare(Quantity("sequence", "lstm"), actual, desired, VALUE).mismatch.over_time
    assert isinstance(curve, OverTime)
    assert (curve.timesteps, len(curve.shares)) == (150, 60)
    assert {index: round(share) for index, share in enumerate(curve.shares) if share} == {1: 2, 59: 5}


def test_trained_weights_are_judged_by_the_largest_of_the_tensor():
    desired = np.array([1.0, 1e-6])
    assert compare(Quantity("weights", "updates/lstm/bias"), desired + [0, 5e-10], desired, TENSOR).verdict == "within"
    assert compare(Quantity("weights", "updates/lstm/bias"), desired + [0, 2e-9], desired, TENSOR).verdict == "diverges"


@pytest.mark.parametrize("kind", ["hidden", "output", "loss", "trained_cell"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_small_numbers_do_not_hide_below_the_absolute_part(dtype, kind):
    """Zero in place of a state of 1e-9 is another answer; so is half of it, where the dtype has the digits."""
    if dtype.startswith("mixed") and kind in ("loss", "trained_cell"):
        pytest.skip("nothing is trained under mixed precision")
    row = tolerance(dtype, "cpu", kind)
    small = np.array([1e-9, -3e-9, 0.0], "float64" if dtype == "float64" else "float32")
    assert compare(Quantity(kind), small.copy(), small, row).verdict != "diverges"
    for factor in (0.0,) if dtype.startswith("mixed") else (0.0, 0.5, 0.99):
        assert compare(Quantity(kind), factor * small, small, row).verdict == "diverges", row


def test_the_absolute_part_is_at_most_a_share_of_the_largest_number():
    row = tolerance("float32", "cpu", "hidden")
    for largest, expected in ((5.0, 1e-6), (1e-2, 1e-6), (1e-3, 1e-6), (1e-4, 1e-7), (1e-9, 1e-12), (0.0, 0.0)):
        desired = np.array([largest, 0.0])
        assert row.at(desired).atol == pytest.approx(expected)
        assert row.allowed(desired)[1] == pytest.approx(expected)
    message = compare(Quantity("hidden"), np.float32([0, 0]), np.float32([1e-9, 0]), row).message
    assert "1e-12 + 1e-06*|desired|" in message


def test_float16_keeps_its_subnormal_steps():
    assert tolerance("mixed_float16", "cpu", "hidden").at(np.array([1e-9])).atol == 4 * 2.0**-24


def test_a_tolerance_of_the_user_does_not_shrink():
    row = tolerance("float32", "cpu", "hidden", atol=1e-6)
    assert row.at(np.array([1e-9])).atol == 1e-6


def test_share_is_the_fraction_of_the_rows_allowance():
    assert compare(Quantity("hidden", "lstm"), DESIRED + 2.5e-13, DESIRED, VALUE).share == pytest.approx(0.25, rel=1e-3)
    assert compare(
        Quantity("weights", "lstm/bias"), np.array([4.0, 1e-9]), np.array([4.0, 0.0]), TENSOR
    ).share == pytest.approx(0.25)


@pytest.mark.parametrize(("actual", "verdict"), [(12, "equal"), (13, "diverges")])
def test_counts_are_equal_or_not(actual, verdict):
    row = tolerance("float32", "cpu", "parameter_count", atol=5.0)
    assert compare(Quantity("parameter_count"), np.array(actual), np.array(12), row).verdict == verdict


def test_a_row_for_every_quantity_is_unique():
    rows = [(row.dtype, row.device, kind) for row in TABLE for kind in row.quantities]
    assert len(rows) == len(set(rows))


def test_every_row_has_its_reason():
    measured = r"Measured\b.*: (no sample differs|(below )?\d+(\.\d+)?%)"
    for row in TABLE:
        assert re.search(measured if row.device == "cpu" else "Not measured yet", row.reason), row


def test_a_gpu_has_a_row_wherever_a_cpu_has_one():
    rows = {device: {(row.dtype, kind) for row in TABLE if row.device == device for kind in row.quantities}
            for device in ("cpu", "gpu")}  # fmt: skip
    assert rows["gpu"] - rows["cpu"] == {("tf32", kind) for kind in (*FORWARD, *GRADIENTS)}
    assert rows["cpu"] <= rows["gpu"]


def test_own_tolerance_replaces_the_row():
    row = tolerance("float32", "cpu", "hidden", rtol=0.5)
    assert (row.atol, row.rtol, row.measure) == (0.0, 0.5, "absolute")


def test_zero_is_a_tolerance():
    assert tolerance("float32", "cpu", "hidden", atol=0.0).atol == 0.0


def test_quantity_without_a_row_is_refused():
    with pytest.raises(UsageError, match="no tolerance for 'colour'"):
        tolerance("float32", "cpu", "colour")


def test_distances_on_numbers_worked_out_by_hand():
    one, next_one = np.float32(1.0), np.nextafter(np.float32(1.0), np.float32(2.0))
    assert max_ulp(np.array([next_one]), np.array([one]), "float32") == 1
    assert max_ulp(np.array([np.float32(-0.0)]), np.array([np.float32(0.0)]), "float32") == 0
    smallest = np.float32(1.4e-45)
    assert max_ulp(np.array([smallest]), np.array([-smallest]), "float32") == 2
    assert max_abs(np.array([1.0, -2.0]), np.array([1.5, -2.0])) == 0.5
    assert max_abs(np.array([np.nan]), np.array([1.0])) == np.inf


def test_values_near_a_rounding_boundary_are_counted_apart():
    boundary = (np.float64(np.float32(1.0)) + np.float64(np.nextafter(np.float32(1), np.float32(2)))) / 2
    desired = np.array([boundary + 1e-16, 0.3, 1e-30])
    actual = np.array([boundary - 2e-16, 0.3, 2e-30])
    counted = rounding(actual, desired, np.full(3, 1e-15))
    assert (counted.values, counted.near, counted.differing) == (3, 2, 0)


def test_a_differing_bit_away_from_a_boundary_is_counted():
    desired = np.array([0.3, 0.7])
    assert rounding(desired + [1e-6, 0], desired, np.full(2, 1e-15)).differing == 1
