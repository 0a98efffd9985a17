"""multilstm.keras_layers gives each of several threads the answer that it gives one."""

import numpy as np
import pytest


@pytest.mark.parametrize(
    "how",
    [
        "backwards", "backwards_traced", "unrolled_masked", "unrolled_masked_traced", "bidirectional",
        "bidirectional_traced", "time_distributed", "sequential", "sequential_traced", "sequential_predict",
    ],
)  # fmt: skip
def test_threads_that_share_a_layer_get_right_answers(ran, backend, how):
    if (backend, how) == ("jax", "sequential_predict"):
        pytest.skip("Keras's own trainer on JAX donates the buffers of one thread to another")
    assert ran("threads")[how] == 0


@pytest.mark.parametrize(
    "layer",
    [
        "lstm", "lstm_unrolled", "gru", "simple_rnn", "dropout", "spatial_dropout",
        "time_distributed",
    ],
)  # fmt: skip
def test_threads_that_train_one_layer_get_the_masks_that_one_thread_gets(ran, backend, layer):
    assert ran("threads_that_drop")[layer] == 0


def test_a_call_that_fails_leaves_no_mask_behind(ran, backend):
    found = ran("a_failed_training_call")
    assert "ArithmeticError" in str(found["message"])
    np.testing.assert_array_equal(found["actual"], found["desired"])


def test_no_attribute_changes_during_a_call(ran):
    found = ran("attributes_while_computing")
    assert len(found["go_backwards"])
    assert found["go_backwards"].all()
    assert found["cell"].tolist() == ["LSTMCell"]
