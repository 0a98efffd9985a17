"""However the loop over time is laid out, outputs and gradients are the same."""

import functools

import jax
import numpy as np
import pytest

from multilstm.scan import Dropout, layer, lstm
from multilstm.scan.cell import Names
from multilstm.scan.loops import plan
from multilstm.scan.loops.plan import Layout, Plan
from multilstm.scan.loops.problem import LoopOptions, Problem
from multilstm.scan.loops.recurrence import run_with_custom_gradient

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
    Layout(7, hoisted=True),
    Layout(4, 2, hoisted=True),
]
NAMES = Names("tanh", "sigmoid")


def laid_out(plan, params, x, state, mask=None):
    """Run the loop under that plan; its outputs at masked steps are not final."""
    return run_with_custom_gradient(LoopOptions(NAMES, plan), Problem(params, x, state, mask))


def under(plan):
    return functools.partial(laid_out, plan)


def ids(layout):
    return f"chunk_{layout.chunk}" + f"-unroll_{layout.unroll}" * (layout.unroll > 1) + "-hoisted" * layout.hoisted


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
    # The outputs before the first unmasked step are set after the loop, so the first step is unmasked here.
    mask, run = holes | (np.arange(7) == 0), under(Plan(Layout(1), layout, recompute))
    assert distance(problem.everything({"mask": mask}, run), problem.reference(mask)) <= TOLERANCE


@pytest.mark.parametrize("recompute", [False, True], ids=["stored", "recomputed"])
@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, True)], ids=["both", "forward", "backward"])
@pytest.mark.parametrize("layout", [Layout(3), Layout(7, 3)], ids=ids)
def test_a_kernel_on_the_left_changes_no_answer(problem, distance, layout, sides, recompute):
    run = under(Plan(layout, layout, recompute).on_sides(*sides))
    assert distance(problem.everything(run=run), problem.reference()) <= TOLERANCE


def gradient(params, x, state, **options):
    return jax.grad(lambda *all_: (lstm(*all_, **options)[0] ** 2).sum(), (0, 1, 2))(params, x, state)


def dropped_by_gate(params, x, state):
    rng = np.random.default_rng(2)
    masks = [2.0 * rng.integers(0, 2, (4, *array.shape)) for array in (x[:, 0], state.hidden)]
    return gradient(params, x, state, dropout=Dropout(*masks))


def ragged(params, x, state):
    return gradient(params, x, state, lengths=np.array([5, 0, 7, 2])[: x.shape[0]])


def forward_mode(params, x, state):
    return jax.jvp(lambda x: lstm(params, x, state, custom_gradient=False), (x,), (x,))


def twice(params, x, state):
    return jax.grad(lambda params: (gradient(params, x, state)[1] ** 2).sum())(params)


def mapped(params, x, state):
    return jax.vmap(gradient, (0, None, None))(jax.tree.map(lambda a: jax.numpy.stack([a, 2 * a]), params), x, state)


@pytest.mark.parametrize("function", [dropped_by_gate, ragged, forward_mode, twice, mapped])
def test_a_kernel_on_the_left_works_under_every_transformation(problem, distance, monkeypatch, function):
    arguments = problem.params, problem.x, problem.state
    desired = function(*arguments)

    def choose(*sizes, **options):
        return plan.choose(*sizes, **options).on_sides(True, True)

    monkeypatch.setattr(layer, "planned", choose)
    assert "optimization_barrier" in str(jax.make_jaxpr(function)(*arguments))
    assert distance(function(*arguments), desired) <= TOLERANCE


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

    # In units: a hidden state a step and the states of 20 chunks, compared with four gates and two states a step.
    assert kept(checkpoint=True) < kept() / 3
