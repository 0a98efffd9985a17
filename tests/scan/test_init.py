"""Fresh weights: shapes, layout, seed and dtype; and the modules that multilstm.scan imports."""

import subprocess
import sys

import numpy as np
import pytest

from multilstm.scan import LSTMParams, init, lstm

FRAMEWORKS = ("keras", "torch", "tensorflow", "flax")


def imported(statement):
    code = f"import sys\n{statement}\nprint([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_scan_imports_no_other_framework():
    assert imported("import multilstm.scan, multilstm.engines.jax_scan") == "[]"


def test_the_import_test_can_fail():
    assert (
        imported("import types\nsys.modules['keras'] = types.ModuleType('keras')\nimport multilstm.scan") == "['keras']"
    )


def test_shapes_and_layout():
    params = init(125, 320)
    assert isinstance(params, LSTMParams)
    assert [array.shape for array in params] == [(125, 1280), (320, 1280), (1280,)]
    assert sum(array.size for array in params) == 570_880
    np.testing.assert_array_equal(params.bias, np.repeat([0.0, 1.0, 0.0, 0.0], 320))
    np.testing.assert_allclose(params.recurrent_kernel @ params.recurrent_kernel.T, np.eye(320), atol=1e-5)


def test_one_seed_gives_one_answer():
    first, second, other = init(3, 5, seed=7), init(3, 5, seed=7), init(3, 5, seed=8)
    np.testing.assert_array_equal(first.kernel, second.kernel)
    np.testing.assert_array_equal(first.recurrent_kernel, second.recurrent_kernel)
    assert (np.asarray(first.kernel) != other.kernel).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_dtype(dtype):
    assert {str(array.dtype) for array in init(3, 5, dtype=dtype)} == {dtype}


def test_options():
    assert init(3, 5, use_bias=False).bias is None
    np.testing.assert_array_equal(init(3, 5, unit_forget_bias=False).bias, 0.0)


def test_weights_fit_lstm():
    sequence, state = lstm(init(3, 5), np.ones((2, 4, 3), np.float32))
    assert sequence.shape == (2, 4, 5)
    assert sequence.dtype == np.float32
    assert state.hidden.shape == (2, 5)
