"""multilstm.keras_layers.Attention, AdditiveAttention and Dot: Keras's answers, and 0 where no value is left."""

import numpy as np
import pytest


@pytest.mark.parametrize("quantity", ["", "_shares"], ids=["output", "shares"])
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("kind", ["Attention", "AdditiveAttention"])
def test_an_attention_is_keras_own_where_a_value_is_left(ran, kind, causal, quantity):
    found = ran("attention_is_keras_own")
    ours, plain = (found[f"{kind}_{causal}_{name}{quantity}"] for name in ("ours", "plain"))
    empty = 2 if causal else 0  # the queries of the second sequence that see masked values alone
    np.testing.assert_array_equal(ours[1, :empty], 0)
    np.testing.assert_allclose(ours[0], plain[0], 1e-6)
    np.testing.assert_allclose(ours[1, empty:], plain[1, empty:], 1e-6)
    assert np.abs(plain[1, :empty]).min(initial=1) > 0


@pytest.mark.parametrize("case", ["last_3", "first_3", "other_3", "last_2", "first_2", "last_5"])
def test_a_normalized_dot_is_keras_own(ran, case):
    found = ran("dot_is_keras_own")
    assert np.unique(found[f"{case}_plain"]).size > 1
    np.testing.assert_allclose(found[f"{case}_ours"], found[f"{case}_plain"], 1e-5, 1e-6, strict=True)
