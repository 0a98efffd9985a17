"""Added units, which fill a CPU's vectors, change no answer: at every width, in every loop, with infinities too."""

import functools

import jax
import numpy as np
import pytest

from multilstm.scan import Dropout, lstm
from multilstm.scan.cell import Names
from multilstm.scan.loops import plan
from multilstm.scan.loops.filling import with_full_vectors
from multilstm.scan.loops.plan import Layout, Plan, Row
from multilstm.scan.loops.problem import LoopOptions, Problem

TOLERANCE = 1e-12
WIDTHS = [(8, 0), (0, 8), (8, 8), (16, 9)]  # of 6 units, forward and with a gradient
RNG = np.random.default_rng(5)


@pytest.fixture
def fill(monkeypatch):
    """Return a function that gives all loops these widths."""

    def widths(forward, gradient):
        row = Row("test", lambda request: True, lambda request: (forward, gradient), "a test")
        monkeypatch.setattr(plan, "WIDTHS", (row,))

    return widths


@pytest.mark.parametrize("widths", WIDTHS, ids="forward_{0[0]}-gradient_{0[1]}".format)
def test_the_reference_s_answers(problem, distance, fill, mask, widths):
    fill(*widths)
    run = functools.partial(lstm)  # a function of its own, which is compiled for these widths
    assert distance(problem.everything({"mask": mask}, run), problem.reference(mask)) <= TOLERANCE


OPTIONS = {
    "lengths": {"lengths": np.array([7, 4, 0, 6])},
    "backwards_lengths": {"lengths": np.array([7, 4, 0, 6]), "go_backwards": True},
    "checkpoint": {"checkpoint": 2},
    "unroll": {"unroll": True},
    "own_gradient": {"custom_gradient": False},
    "dropout": {"dropout": Dropout(RNG.uniform(0.5, 2, (4, 3)), RNG.uniform(0.5, 2, (4, 6)))},
    "dropout_by_gate": {"dropout": Dropout(RNG.uniform(0.5, 2, (4, 4, 3)), RNG.uniform(0.5, 2, (4, 4, 6)))},
    "unbounded": {"activation": "softplus", "recurrent_activation": "relu"},
    "over_units": {"activation": "softmax", "recurrent_activation": "sigmoid"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_the_answers_of_the_lstm_s_own_units(problem, distance, fill, options):
    desired = problem.everything(run=functools.partial(lstm, **options))
    fill(16, 8)
    assert distance(problem.everything(run=functools.partial(lstm, **options)), desired) <= TOLERANCE


def test_the_gradient_of_the_gradient(problem, distance, fill):
    def twice(params):
        value, rest = problem.objective(functools.partial(lstm)), (problem.x, problem.state)
        squares = jax.grad(lambda params: sum((g**2).sum() for g in jax.grad(value)(params, *rest)))
        return squares(params)

    desired = twice(problem.params)
    fill(16, 8)
    assert distance(twice(problem.params), desired) <= 100 * TOLERANCE


@pytest.mark.parametrize("poison", [np.inf, -np.inf], ids=["inf", "minus_inf"])
@pytest.mark.parametrize("widths", [(8, 0), (8, 8)], ids="forward_{0[0]}-gradient_{0[1]}".format)
def test_an_infinite_input_stays_in_the_sums_that_have_it(problem, fill, poison, widths):
    x = problem.x.copy()
    x[1, 2, 0] = poison
    fill(0, 0)
    desired = lstm(problem.params, x, problem.state)
    fill(*widths)
    actual = lstm(problem.params, x, problem.state)
    assert np.isfinite(desired[0]).all()
    np.testing.assert_allclose(actual[0], desired[0], rtol=0, atol=TOLERANCE)
    pulled = jax.grad(lambda state: lstm(problem.params, x, state)[0].sum())(problem.state)
    rows = np.array([0, 2, 3])
    assert np.isfinite(pulled.hidden[rows]).all()


def test_the_loop_has_the_units_of_the_plan(problem):
    seen = []

    def loop(options, problem):
        seen.append((problem.params.recurrent_kernel.shape, problem.state.cell.shape, options.names.units))
        return problem.x[..., :1].repeat(problem.state.cell.shape[-1], -1), problem.state

    options = LoopOptions(Names("tanh", "sigmoid"), Plan(Layout(7, width=8), Layout(7, width=9), False))
    given = Problem(problem.params, problem.x, problem.state)
    with_full_vectors(options, loop, given)
    jax.vjp(lambda params: with_full_vectors(options, loop, given._replace(params=params)), problem.params)
    assert seen[0] == ((8, 32), (4, 8), 6)
    assert seen[-1] == ((9, 36), (4, 9), 6)
