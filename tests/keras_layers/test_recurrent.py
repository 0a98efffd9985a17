"""multilstm.keras_layers.GRU and SimpleRNN carry states, take initial states and keep options, on every backend."""

import numpy as np
import pytest

KINDS = ("gru", "before", "simple")


def close(actual, desired):
    assert np.shape(actual) == np.shape(desired)
    np.testing.assert_allclose(actual, desired, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_is_carried_by_predict(ran, kind):
    found = ran("recurrent_stateful")
    close(found[f"{kind}_second"], found[f"{kind}_whole"])
    close(found[f"{kind}_state"], found[f"{kind}_whole"])
    assert str(found[f"{kind}_variables"]).split().count("hidden_state") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateful_layer_trains_every_weight(ran, kind):
    assert (ran("recurrent_stateful")[f"{kind}_moved"] > 1e-6).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_initial_state_is_a_tensor_a_list_or_one_row_and_keeps_the_mask(ran, kind):
    found = ran("recurrent_initial_state")
    for way in ("tensor", "list", "row"):
        close(found[f"{kind}_{way}"], found[f"{kind}_cut"])
    assert "initial_state has 2 arrays, expected 1. Give a list of 1 array [batch, units]: the hidden state" in str(
        found[f"{kind}_two"]
    )


def test_options_survive_a_configuration_and_wrong_ones_are_refused(ran):
    found = {key: str(value) for key, value in ran("recurrent_configuration").items()}
    assert [found[f"{key}0"] for key in ("implementation", "use_cudnn", "reset_after", "seed")] == [
        "1",
        "False",
        "False",
        "3",
    ]
    assert found["seed1"] == "4"
    assert "GRU: units must be a positive integer below 2**31; given 0" in found["gru_units"]
    assert "SimpleRNN: dropout must be a number with 0 <= dropout < 1; given 1.5" in found["simple_dropout"]
    assert "GRU: reset_after must be True or False; given 'yes'" in found["gru_flag"]


@pytest.mark.parametrize("name", [*KINDS, "both", "rescaling"])
def test_arrays_of_another_byte_order_give_the_same_answer(ran, name):
    found = ran("recurrent_byte_order")
    np.testing.assert_array_equal(found[f"{name}_foreign"], found[f"{name}_native"])
