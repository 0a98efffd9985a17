"""Activations: every name of the spec, Keras's definitions, dtypes, and the derivatives by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.engines.reference.activations import FUNCTIONS
from multilstm.scan import ACTIVATIONS, activate
from multilstm.scan.activations import activate_and_keep, pullback
from multilstm.spec import layers

X = np.random.default_rng(0).normal(0.0, 4.0, (6, 9))


def test_every_activation_of_the_spec_exists():
    assert tuple(ACTIVATIONS) == layers.ACTIVATIONS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_equals_reference(name):
    np.testing.assert_allclose(activate(name, jnp.asarray(X)), FUNCTIONS[name].forward(X), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_pullback_equals_differentiation(name):
    cotangent = np.random.default_rng(1).normal(size=X.shape)
    y, kept = activate_and_keep(name, jnp.asarray(X))
    again, pull = pullback(name, kept)
    _, desired = jax.vjp(lambda x: activate(name, x), jnp.asarray(X))
    np.testing.assert_array_equal(again, y)
    np.testing.assert_allclose(pull(cotangent), desired(cotangent)[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dtype_is_kept(name, dtype):
    x = jnp.asarray(X, dtype)
    assert activate(name, x).dtype == dtype
    assert pullback(name, activate_and_keep(name, x)[1])[1](x).dtype == dtype


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_extreme_inputs_have_finite_derivatives(name):
    x = jnp.asarray([-700.0, -30.0, 0.0, 30.0, 700.0])
    assert np.isfinite(pullback(name, activate_and_keep(name, x)[1])[1](jnp.ones_like(x))).all()
