"""`step`: as many calls as timesteps equal `lstm`, and all calls of one shape share one program."""

import jax
import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.scan import State, lstm, step, streaming


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("names", [(), ("relu", "hard_sigmoid")], ids=["default", "other_activations"])
def test_as_many_calls_as_timesteps_equal_lstm(make_problem, distance, use_bias, names):
    problem = make_problem(use_bias)
    options = dict(zip(("activation", "recurrent_activation"), names, strict=False))
    state, outputs = problem.state, []
    for number in range(problem.x.shape[1]):
        output, state = step(problem.params, problem.x[:, number], state, **options)
        outputs.append(output)
    desired = lstm(problem.params, problem.x, problem.state, **options)
    assert distance((np.stack(outputs, 1), state), desired) <= 1e-12


def test_no_state_is_one_of_zeros(problem, distance):
    first = problem.x[:, :1]
    assert distance(step(problem.params, first[:, 0])[1], lstm(problem.params, first)[1]) <= 1e-12


def test_later_calls_compile_nothing(problem):
    streaming._compiled.clear_cache()
    state = problem.state
    for number in range(4):
        _, state = step(problem.params, problem.x[:, number], state)
    # The first call has arrays of NumPy, the second one the states of the first.
    assert streaming._compiled._cache_size() <= 2


def test_step_works_under_jit_and_grad(problem, distance):
    def loss(params):
        return (step(params, problem.x[:, 0], problem.state)[0] ** 2).sum()

    desired = jax.grad(lambda params: (lstm(params, problem.x[:, :1], problem.state)[0] ** 2).sum())(problem.params)
    assert distance(jax.jit(jax.grad(loss))(problem.params), desired) <= 1e-12


REFUSED = {
    "sequence": (lambda p: (p.params, p.x, p.state), r"step: x_t has shape \(4, 7, 3\), expected \(batch, features\)"),
    "features": (lambda p: (p.params, p.x[:, 0, :2], p.state), r"x has shape \(4, 1, 2\), expected"),
    "tuple": (lambda p: (p.params, p.x[:, 0], tuple(p.state)), "state must be State"),
    "rows": (lambda p: (p.params, p.x[:2, 0], p.state), "state.hidden has shape"),
    "masked": (lambda p: (p.params, np.ma.array(p.x[:, 0]), p.state), "step: x_t"),
    "params": (lambda p: (tuple(p.params), p.x[:, 0], p.state), "params must be LSTMParams"),
    "ragged": (lambda p: (p.params, [[1.0], [2.0, 3.0]], p.state), "step: x_t: given list"),
    "text": (lambda p: (p.params, np.array([["a"] * 3] * 4), p.state), "step: x_t: dtype is <U1"),
    "activation": (lambda p: (p.params, p.x[:, 0], p.state, ["tanh"]), "unknown activation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(problem, case):
    given, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        step(*given(problem))


INTEGERS = {
    "x_t": lambda p, large: (p.params, np.full((4, 3), large), p.state),
    "state.cell": lambda p, large: (p.params, p.x[:, 0], State(p.state.hidden, np.full((4, 6), large))),
    "bias": lambda p, large: (p.params._replace(bias=np.full(24, large)), p.x[:, 0], p.state),
}


@pytest.mark.parametrize("large", [2**32 + 5, -(2**32) + 3, 2**63], ids=["int64", "negative", "uint64"])
@pytest.mark.parametrize("argument", INTEGERS)
def test_integers_that_jax_would_wrap_are_refused(problem, argument, large):
    with jax.enable_x64(False), pytest.raises(InputError, match=f"{argument} has integers beyond"):
        step(*INTEGERS[argument](problem, large))


def test_nested_lists_are_arrays(problem, distance):
    lists = step(problem.params, problem.x[:, 0].tolist(), problem.state)
    assert distance(lists, step(problem.params, problem.x[:, 0], problem.state)) == 0.0


def test_the_output_is_the_hidden_state(problem):
    output, state = step(problem.params, problem.x[:, 0], problem.state)
    assert isinstance(state, State)
    np.testing.assert_array_equal(output, state.hidden)
