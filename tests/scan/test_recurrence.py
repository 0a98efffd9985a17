"""However the loop over time is laid out, outputs and gradients are the same."""

import functools

import jax
import numpy as np
import pytest

from multilstm.scan import Dropout, lstm
from multilstm.scan.cell import Names
from multilstm.scan.chunk import Inputs
from multilstm.scan.plan import Layout, Plan
from multilstm.scan.recurrence import run_with_custom_gradient

TOLERANCE = 1e-12
# Of 7 timesteps, 2 and 3 at a time leave one over.
LAYOUTS = [
    Layout(1),
    Layout(2),
    Layout(3),
    Layout(7),
    Layout(100),
    Layout(3, 3),
    Layout(7, 7),
    Layout(7, 3),
    Layout(6, 3),
    Layout(4, 2),
]
NAMES = Names("tanh", "sigmoid")


def laid_out(plan, params, x, state, mask=None):
    """The loop under that plan; its outputs are not yet what masked steps show."""
    return run_with_custom_gradient(NAMES, plan, params, Inputs(x, mask), state, Dropout())


def under(plan):
    return functools.partial(laid_out, plan)


def ids(layout):
    return f"chunk_{layout.chunk}" + f"-unroll_{layout.unroll}" * (layout.unroll > 1)


@pytest.mark.parametrize("layout", LAYOUTS, ids=ids)
def test_forward_pass_equals_the_reference(problem, distance, layout):
    actual = jax.jit(under(Plan(layout, Layout(1), False)))(problem.params, problem.x, problem.state)
    assert distance(actual, problem.reference()[0]) <= TOLERANCE


@pytest.mark.parametrize("recompute", [False, True], ids=["stored", "recomputed"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=ids)
def test_gradient_equals_the_reference(problem, distance, layout, recompute):
    run = under(Plan(Layout(1), layout, recompute))
    assert distance(problem.everything(run=run), problem.reference()) <= TOLERANCE


@pytest.mark.parametrize("recompute", [False, True], ids=["stored", "recomputed"])
@pytest.mark.parametrize("layout", [Layout(3), Layout(3, 3), Layout(7, 3)], ids=ids)
def test_masked_gradient_equals_the_reference(problem, distance, holes, layout, recompute):
    # What is shown before the first step that counts is decided after the loop, so here the first one counts.
    mask, run = holes | (np.arange(7) == 0), under(Plan(Layout(1), layout, recompute))
    assert distance(problem.everything({"mask": mask}, run), problem.reference(mask)) <= TOLERANCE


@pytest.mark.parametrize(
    "options",
    [{"unroll": True}, {"checkpoint": True}, {"checkpoint": 2}, {"checkpoint": 2, "go_backwards": True}],
    ids=["unroll", "checkpoint", "checkpoint_2", "checkpoint_2-go_backwards"],
)
def test_options_of_lstm_change_no_answer(problem, distance, holes, options):
    desired = problem.reference(holes, go_backwards=options.get("go_backwards", False))
    assert distance(problem.everything({"mask": holes}, **options), desired) <= TOLERANCE


def test_unroll_leaves_no_loop(problem):
    def text(unroll):
        gradient = jax.grad(problem.objective(functools.partial(lstm, unroll=unroll)))
        return str(jax.make_jaxpr(gradient)(problem.params, problem.x, problem.state))

    assert "scan[" in text(False)
    assert "scan[" not in text(True)


def test_checkpoint_keeps_less_for_the_gradient(make_problem):
    problem = make_problem(timesteps=400)

    def kept(**options):
        _, pull = jax.vjp(functools.partial(lstm, problem.params, **options), problem.x)
        return sum(array.nbytes for array in jax.tree.leaves(pull))

    # In units: a hidden state a step and the states of 20 chunks, beside four gates and two states a step.
    assert kept(checkpoint=True) < kept() / 3
