"""multilstm.keras_layers.Dense, and the bias of an LSTM, in a Keras user's hands, on every backend, in bfloat16."""

import numpy as np
import pytest

# In the order of the model's weights, and how far half precision may take the step of each from that of float32.
WEIGHTS = ("lstm/kernel", "lstm/recurrent_kernel", "lstm/bias", "dense/kernel", "dense/bias")
BIASES = [index for index, name in enumerate(WEIGHTS) if name.endswith("bias")]


def error(arrays, found, where, index):
    half = arrays(found, f"{where}_mixed_bfloat16")[index]
    single = arrays(found, f"{where}_float32")[index]
    assert half.shape == single.shape
    assert np.abs(single).max() > 0.01
    return np.abs(half - single).max() / np.abs(single).max()


@pytest.mark.parametrize("where", ["alone", "distributed"])
@pytest.mark.parametrize("index", range(len(WEIGHTS)), ids=WEIGHTS)
def test_a_step_in_bfloat16_is_that_of_float32(ran, arrays, where, index):
    assert error(arrays, ran("dense_bias_gradient"), where, index) < 0.05


@pytest.mark.parametrize("where", ["alone", "distributed"])
@pytest.mark.parametrize("index", BIASES, ids=[WEIGHTS[index] for index in BIASES])
def test_plain_bias_is_wrong_on_tensorflow(ran, arrays, backend, where, index):
    wrong = error(arrays, ran("plain_bias_gradient"), where, index) > 0.2
    assert wrong == (backend == "tensorflow"), "fixed upstream: remove the row and the workaround in our class"


@pytest.mark.parametrize("case", ["tanh", "linear", "no_bias"])
@pytest.mark.parametrize("policy", ["float32", "float64", "mixed_float16", "mixed_bfloat16"])
def test_the_output_is_that_of_keras_own(ran, policy, case):
    found = ran("dense_is_keras_own")
    ours, plain = found[f"{policy}_{case}_ours"], found[f"{policy}_{case}_plain"]
    assert ours.shape == (5, 2, 2)
    assert len(np.unique(plain)) > 15  # bfloat16 has few numbers
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("case", ["bias", "no_bias", "gates"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_timestep_is_that_of_keras_own_cell(ran, arrays, policy, case):
    found = ran("lstm_cell_is_keras_own")
    for ours, plain in zip(
        arrays(found, f"{policy}_{case}_ours"), arrays(found, f"{policy}_{case}_plain"), strict=True
    ):
        assert ours.shape == (5, 4)
        np.testing.assert_array_equal(ours, plain)


def test_files_of_this_and_of_other_backends(ran, arrays):
    found = ran("dense_save_and_load")
    kernel, bias = arrays(found)
    places = [key for key in found if key.endswith("_y")]
    assert places
    for place in places:
        np.testing.assert_allclose(found[place], found["x"] @ kernel + bias, rtol=0, atol=1e-6)
