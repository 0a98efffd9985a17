"""multilstm.keras_layers gives each of several threads the answer that it gives one."""

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


def test_no_attribute_changes_during_a_call(ran):
    found = ran("attributes_while_computing")
    assert len(found["go_backwards"])
    assert found["go_backwards"].all()
    assert found["cell"].tolist() == ["LSTMCell"]
