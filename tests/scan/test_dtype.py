"""`lstm(..., dtype=)`: computed in a half precision, with weights and their gradients in float32."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.scan import init, lstm

HALVES = {"bfloat16": 2.0**-8, "float16": 2.0**-11}  # the unit roundoff: half the distance of 1 from the next number
needs_half = pytest.mark.parametrize("dtype", HALVES)


@pytest.fixture
def single(make_problem):
    """The small problem in float32."""
    problem = make_problem()
    to_single = functools.partial(jax.tree.map, np.float32)
    return type(problem)(*(to_single(getattr(problem, name)) for name in problem.__dataclass_fields__))


@functools.partial(jax.jit, static_argnames="dtype")
def everything(params, x, state, cotangents, mask=None, dtype=None):
    run = functools.partial(lstm, mask=mask, dtype=dtype)
    found, pull = jax.vjp(run, params, x, state)
    return found, pull(jax.tree.map(lambda d, like: d.astype(like.dtype), cotangents, found))


def of(problem, dtype, mask=None):
    cotangents = (problem.sequence_weights, problem.state_weights)
    return everything(problem.params, problem.x, problem.state, cotangents, mask, dtype=dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_outputs_have_the_dtype_and_gradients_that_of_their_arguments(single, dtype):
    outputs, gradients = of(single, dtype)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(outputs)} == {dtype}
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(gradients)} == {"float32"}


@needs_half
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_near_float32_and_as_far_as_its_precision(single, holes, dtype, masked):
    mask = holes if masked else None
    for actual, desired in zip(*(jax.tree.leaves(of(single, each, mask)) for each in (dtype, None)), strict=True):
        error = np.abs(np.float32(actual) - desired).max() / np.abs(desired).max()
        # Each of 7 steps rounds a sum of 10 products and a handful of factors, of which the gates then take a part;
        # below a tenth of one rounding it was not computed in this dtype at all.
        assert HALVES[dtype] / 10 < error < 20 * HALVES[dtype]


def test_float64_of_float32_arrays_is_float64(single):
    actual = lstm(single.params, single.x, single.state, dtype="float64")
    desired = lstm(*jax.tree.map(np.float64, (single.params, single.x, single.state)))
    jax.tree.map(np.testing.assert_array_equal, actual, desired)


SUMS = {
    "one_chunk": {},
    "many_chunks": {"checkpoint": 1},
    "lengths": {"lengths": [1500], "checkpoint": 1},
}


def bias_error(dtype, **options):
    """Return the error of the gradient of the sum of 1500 outputs; all steps but the first few add the same to it."""
    params, x = init(3, 6, seed=1), jnp.ones((1, 1500, 3), "float32")

    def gradient(dtype, **options):
        run = functools.partial(lstm, dtype=dtype, **options)
        return jax.grad(lambda bias: run(params._replace(bias=bias), x)[0].astype("float32").sum())(params.bias)

    desired = gradient("float32")
    return np.abs(gradient(dtype, **options) - desired).max() / np.abs(desired).max()


@needs_half
@pytest.mark.parametrize("options", SUMS.values(), ids=SUMS)
def test_weight_gradients_are_summed_in_float32(dtype, options):
    # Equal steps err alike, so that the sum is as wrong as one of its terms.
    assert bias_error(dtype, **options) < 20 * HALVES[dtype]


def test_a_sum_in_bfloat16_would_show():
    assert bias_error("bfloat16", custom_gradient=False) > 2 * 20 * HALVES["bfloat16"]


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("int32", "dtype must be floating, such as 'float32', given 'int32'"),
        ("complex64", "dtype must be floating, such as 'float32', given 'complex64'"),
        ("bfloat17", "dtype must be floating, such as 'float32', given 'bfloat17'"),
    ],
)
def test_refused(single, dtype, message):
    with pytest.raises(InputError, match=message):
        lstm(single.params, single.x, dtype=dtype)


def test_float64_without_x64_is_refused(single):
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(InputError, match=r"dtype float64 needs jax\.config\.update"):
            lstm(single.params, single.x, dtype="float64")
    finally:
        jax.config.update("jax_enable_x64", True)
