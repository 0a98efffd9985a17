"""Each planted fault fails the expected tests of the self-test, and no others."""

import dataclasses
import json

import numpy as np
import pytest

from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.frameworks.self_test import DTYPES, SelfTest, denormals, self_test

HONEST = ReferenceEngine().operations()
NOT_FLOAT64 = {"tanh and sigmoid, float64", "LSTM step, float64"}


def failed(**faults):
    """Return the names of the tests that fail with these operations in place of NumPy's."""
    return {test.name for test in self_test(dataclasses.replace(HONEST, **faults)) if not test.ok}


def both(*names):
    return {f"{name}, {dtype}" for name in names for dtype in DTYPES}


def truncated(x):
    """Cut the mantissa to ten bits, as TF32 does."""
    return (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) if x.dtype == np.float32 else x


def through_float32(function):
    """Return a function that computes in float32 and returns the dtype of its arguments."""
    return lambda *arguments: function(*(each.astype(np.float32) for each in arguments)).astype(arguments[0].dtype)


def sum_without_the_last_column(x, axis):
    """Sum correctly up to 32768 results, as jaxlib 0.10.2 does."""
    result = np.sum(x, axis)
    if result.size > 32768:
        result[-1] = -result[-1] + 1
    return result


def sum_that_starts_over(x, axis):
    return np.sum(x if x.ndim > 1 else x[:32768], axis)


def test_numpy_passes():
    assert failed() == set()


def test_every_test_has_a_name_of_its_own_and_a_detail():
    tests = self_test(HONEST)
    assert len({test.name for test in tests}) == len(tests) == 10
    assert all(test.detail for test in tests)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        pytest.param({"sum": sum_that_starts_over}, both("sums"), id="long sum"),
        pytest.param(
            {"sum": sum_without_the_last_column}, both("sums") | {"sums of products, float32"}, id="many sums"
        ),
        pytest.param({"sum": lambda x, axis: np.sum(x, axis)[None]}, both("sums", "sums of products"), id="shape"),
        pytest.param({"sum": lambda x, axis: np.sum(x, axis) * np.nan}, both("sums", "sums of products"), id="nan"),
        pytest.param({"tanh": through_float32(np.tanh)}, NOT_FLOAT64, id="tanh"),
        pytest.param({"sigmoid": through_float32(HONEST.sigmoid)}, NOT_FLOAT64, id="sigmoid"),
        pytest.param(
            {"matmul": through_float32(np.matmul)}, {"matrix product, float64", "LSTM step, float64"}, id="matmul"
        ),
        pytest.param(
            {"matmul": lambda a, b: truncated(a) @ truncated(b)},
            {"matrix product, float32", "LSTM step, float32"},
            id="TF32",
        ),
        pytest.param(
            {"tensor": lambda x: x.astype(np.float32)},
            {test.name for test in self_test(HONEST) if test.name.endswith("float64")},
            id="x64 off",
        ),
        pytest.param({"tanh": np.sinh}, both("tanh and sigmoid", "LSTM step"), id="another function"),
    ],
)
def test_a_planted_fault_is_found(faults, expected):
    assert failed(**faults) == expected


def test_a_wrong_sum_is_reported_with_place_and_amount():
    tests = {test.name: test for test in self_test(dataclasses.replace(HONEST, sum=sum_without_the_last_column))}
    assert "(3, 32769)" in tests["sums of products, float32"].detail
    assert "1 of 32769 wrong" in tests["sums of products, float32"].detail


def test_a_lost_dtype_is_named():
    tests = self_test(dataclasses.replace(HONEST, tensor=lambda x: x.astype(np.float32)))
    assert SelfTest("sums, float64", False, "came back as float32, expected float64") in tests


def test_a_test_that_raises_has_failed_and_the_others_are_made():
    def broken(x):
        raise RuntimeError("no tanh here\nand more")

    tests = {test.name: test for test in self_test(dataclasses.replace(HONEST, tanh=broken))}
    assert tests["tanh and sigmoid, float32"] == SelfTest(
        "tanh and sigmoid, float32", False, "RuntimeError: no tanh here"
    )
    assert tests["matrix product, float64"].ok


def test_denormals_are_kept_or_flushed():
    assert denormals(HONEST) == "kept"
    flushed = dataclasses.replace(HONEST, array=lambda x: np.where(np.abs(x) < 1.2e-38, np.float32(0), x))
    assert denormals(flushed) == "flushed"


def test_doctor_is_json():
    answer = ReferenceEngine().doctor()
    assert json.loads(json.dumps(answer)) == answer
    assert answer["versions"] == {"numpy": np.__version__}
    assert answer["devices"] == ["cpu"]
    assert answer["switches"]["dtype"] == "float64"
