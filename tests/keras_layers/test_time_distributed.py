"""multilstm.keras_layers.TimeDistributed in a Keras user's hands, on every backend."""

import numpy as np
import pytest

from multilstm.spec import LSTM, Dense, Input, Masking, Model, TimeDistributed

FEATURES, CLASSES = 3, 2
SIZES = [(2, 5), (1, 4), (3, 2), (2, 7)]


def close(actual, desired, atol=1e-6):
    assert np.shape(actual) == np.shape(desired)
    np.testing.assert_allclose(actual, desired, rtol=0, atol=atol)


@pytest.mark.parametrize(("batch", "timesteps"), SIZES)
def test_predict_of_variable_length_is_a_dense_layer(ran, arrays, batch, timesteps):
    found = ran("time_distributed_variable_length")
    kernel, bias = arrays(found)
    actual = found[f"y_{batch}_{timesteps}"]
    assert actual.shape == (batch, timesteps, CLASSES)
    close(actual, found[f"x_{batch}_{timesteps}"] @ kernel + bias)


def test_fit_of_variable_length_is_a_dense_layer(ran, arrays):
    found = ran("time_distributed_variable_length")
    kernel, bias = (weight.astype("float64") for weight in arrays(found))
    for number, size in enumerate(SIZES):
        x, y = found[f"fit{number}_x"], found[f"fit{number}_y"]
        difference = x @ kernel + bias - y
        assert difference.shape == (*size, CLASSES)
        close(found[f"fit{number}"], [np.mean(difference**2)])
        d_output = 2 * difference / difference.size
        kernel = kernel - 0.1 * np.einsum("btf,btc->fc", x, d_output)
        bias = bias - 0.1 * d_output.sum((0, 1))
    close(arrays(found, "after")[0], kernel)
    close(arrays(found, "after")[1], bias)


def test_a_mask_passes_through(ran, reference, arrays):
    found = ran("time_distributed_masked")
    tensor = inputs = Input((None, FEATURES))
    for layer in (
        Masking(name="masking"),
        LSTM(4, return_sequences=True, name="first"),
        TimeDistributed(Dense(3, name="inner"), name="each"),
        LSTM(CLASSES, return_sequences=True, name="second"),
        TimeDistributed(Dense(CLASSES, name="last"), name="head"),
    ):
        tensor = layer(tensor)
    judge = reference(Model(inputs, tensor), arrays(found))
    x, y = found["x"], found["y"]
    close(found["predict"], judge.predict(x), 1e-14)
    close(found["fit"], [judge.fit(x, y, len(x))], 1e-14)
    for actual, desired in zip(arrays(found, "after"), judge.weights.values(), strict=True):
        close(actual, desired, 1e-14)


def test_the_inner_layer_gets_its_part_of_the_mask(ran):
    found = ran("time_distributed_inner_mask")
    close(found["y"], (found["x"] * found["mask"][..., None]).sum(2))


@pytest.mark.parametrize("shape", ["short", "flat"])
def test_a_mask_of_another_shape_is_refused(ran, shape):
    message = str(ran("time_distributed_inner_mask")[shape])
    assert message.startswith("ValueError")
    assert "(2, 5, 4, 3)" in message


def test_dropout_inside_acts_in_training_only(ran):
    found = ran("time_distributed_dropout")
    np.testing.assert_array_equal(found["inference"], 1.0)
    training = found["training"]
    assert training.shape == (3, 40, 50)
    assert np.all((training == 0) | np.isclose(training, 4 / 3))
    assert abs((training == 0).mean() - 0.25) < 0.04  # 6000 draws: seven standard deviations
    assert len(np.unique(training[0] == 0, axis=0)) == 40  # no timestep has the mask of another


@pytest.mark.parametrize("timesteps", [None, 5])
def test_symbolic_shapes_are_keras_own(ran, timesteps):
    found = ran("time_distributed_shapes")
    assert str(found[f"ours_{timesteps}"]) == str(found[f"plain_{timesteps}"]) == f"(None, {timesteps}, {CLASSES})"
    assert found["flat"] == 1


def test_several_sizes_may_be_unknown(ran, arrays):
    found = ran("time_distributed_shapes")
    kernel, bias = arrays(found)
    x = found["x"]
    close(found["y"], x[:, :, :-1] @ kernel[0] + x[:, :, 1:] @ kernel[1] + bias)


def test_files_of_this_and_of_other_backends(ran, arrays):
    found = ran("time_distributed_save_and_load")
    kernel, bias = arrays(found)
    places = [key for key in found if key.endswith("_y")]
    assert places
    for place in places:
        close(found[place], found["x"] @ kernel + bias)
    for loaded, saved in zip(arrays(found, "loaded"), arrays(found, "plain"), strict=True):
        np.testing.assert_array_equal(loaded, saved)


def test_plain_predict_of_variable_length_is_wrong_on_tensorflow(ran, arrays, backend):
    found = ran("plain_time_distributed")
    kernel, bias = arrays(found)
    desired = found["x"] @ kernel + bias
    right = found["y"].shape == desired.shape and np.allclose(found["y"], desired, atol=1e-6)
    assert right == (backend != "tensorflow"), "fixed upstream: remove the row and the workaround in our class"
