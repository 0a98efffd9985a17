"""The gradient by hand against plain differentiation and against finite differences, in float64."""

import functools

import jax
import numpy as np
import pytest

from multilstm.scan import Dropout, LSTMParams, State, lstm
from multilstm.spec.layers import ACTIVATIONS

TOLERANCE = 1e-12


def gradients(problem, custom_gradient, **options):
    run = functools.partial(lstm, custom_gradient=custom_gradient, **options)
    objective = problem.objective(lambda params, x, state: run(params, x, state))
    return jax.jit(jax.grad(objective, argnums=(0, 1, 2)))(problem.params, problem.x, problem.state)


@pytest.mark.parametrize("zero_output_for_mask", [False, True], ids=["repeat_output", "zero_output"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "go_backwards"])
def test_custom_gradient_equals_plain(problem, distance, mask, go_backwards, zero_output_for_mask):
    options = {"mask": mask, "go_backwards": go_backwards, "zero_output_for_mask": zero_output_for_mask}
    actual = gradients(problem, True, **options)
    assert distance(actual, gradients(problem, False, **options)) <= TOLERANCE


@pytest.mark.parametrize("start", ["zero_state", "given_state"])
def test_custom_gradient_equals_plain_from_either_start(problem, distance, holes, start):
    def of(custom_gradient):
        def objective(params):
            state = problem.state if start == "given_state" else None
            return problem.objective(
                lambda params, x, state: lstm(params, x, state, holes, custom_gradient=custom_gradient)
            )(params, problem.x, state)

        return jax.jit(jax.grad(objective))(problem.params)

    assert distance(of(True), of(False)) <= TOLERANCE


@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_custom_gradient_equals_plain_without_bias(make_problem, distance, holes, masked):
    problem, mask = make_problem(use_bias=False), holes if masked else None
    assert distance(gradients(problem, True, mask=mask), gradients(problem, False, mask=mask)) <= TOLERANCE


@pytest.mark.parametrize("role", ["activation", "recurrent_activation"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_custom_gradient_equals_plain_with_activation(make_problem, distance, holes, name, role):
    problem = make_problem(scale=0.3, timesteps=3)  # so that unbounded activations stay in bounds
    options = {"mask": holes[:, :3], role: name}
    assert distance(gradients(problem, True, **options), gradients(problem, False, **options)) <= TOLERANCE


@pytest.mark.parametrize(
    "option",
    [{}, {"go_backwards": True}, {"activation": "gelu"}, {"zero_output_for_mask": True}],
    ids=["default", "go_backwards", "gelu", "zero_output"],
)
@pytest.mark.parametrize("custom_gradient", [True, False], ids=["custom", "plain"])
def test_gradient_equals_finite_differences(problem, holes, custom_gradient, option):
    objective = problem.objective(functools.partial(_masked, holes, {"custom_gradient": custom_gradient, **option}))
    arguments = (problem.params, problem.x, problem.state)
    objective = jax.jit(objective)
    gradient = jax.jit(jax.grad(objective, argnums=(0, 1, 2)))(*arguments)
    leaves, structure = jax.tree.flatten(arguments)
    rng = np.random.default_rng(1)
    step = 1e-4
    for number, leaf in enumerate(leaves):
        direction = rng.normal(size=leaf.shape)

        def moved(amount, number=number, direction=direction):
            changed = [*leaves]
            changed[number] = changed[number] + amount * direction
            return float(objective(*jax.tree.unflatten(structure, changed)))

        # the central difference of fourth order: error of order step**4
        numeric = (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step)
        exact = float((jax.tree.leaves(gradient)[number] * direction).sum())
        assert abs(exact - numeric) <= 1e-8 * max(1.0, abs(exact))


def _masked(mask, options, params, x, state):
    return lstm(params, x, state, mask, **options)


@pytest.mark.parametrize("custom_gradient", [True, False], ids=["custom", "plain"])
@pytest.mark.parametrize("poison", [np.nan, np.inf], ids=["nan", "inf"])
def test_masked_values_do_not_reach_gradients(problem, distance, holes, custom_gradient, poison):
    clean = gradients(problem, custom_gradient, mask=holes)
    x = np.where(holes[..., None], problem.x, poison)
    objective = problem.objective(functools.partial(_masked, holes, {"custom_gradient": custom_gradient}))
    poisoned = jax.jit(jax.grad(objective, argnums=(0, 1, 2)))(problem.params, x, problem.state)
    assert distance(poisoned, clean) <= TOLERANCE
    np.testing.assert_array_equal(np.asarray(poisoned[1])[~holes], 0.0)


def test_output_of_leading_masked_steps_gives_the_initial_state_no_gradient(problem):
    mask = np.zeros(problem.x.shape[:2], bool)
    mask[:, 3:] = True

    def leading(state):
        return lstm(problem.params, problem.x, state, mask)[0][:, :3].sum()

    for array in jax.grad(leading)(problem.state):
        np.testing.assert_array_equal(array, 0.0)


@pytest.mark.parametrize("dropped", ["no_dropout", "dropout_by_gate"])
@pytest.mark.parametrize("given", ["no_lengths", "lengths"])
def test_custom_gradient_equals_plain_of_one_row(make_problem, distance, given, dropped):
    """For one row, the backward loop has the recurrent kernel on the left: see `plan.choose`."""
    problem = make_problem(batch=1)
    options = {"lengths": 5} if given == "lengths" else {}
    if dropped == "dropout_by_gate":
        mask = 2.0 * np.random.default_rng(2).integers(0, 2, (4, *problem.state.hidden.shape))
        options["dropout"] = Dropout(None, mask)
    assert distance(gradients(problem, True, **options), gradients(problem, False, **options)) <= TOLERANCE


def test_unused_outputs_need_no_gradient(problem, distance):
    def of(custom_gradient):
        return jax.grad(lambda p: lstm(p, problem.x, custom_gradient=custom_gradient)[1].cell.sum())(problem.params)

    assert distance(of(True), of(False)) <= TOLERANCE


@pytest.mark.parametrize(("batch", "timesteps"), [(0, 7), (4, 0)], ids=["batch_0", "timesteps_0"])
def test_gradient_of_an_empty_input_is_zero(make_problem, batch, timesteps):
    problem = make_problem(batch=batch, timesteps=timesteps)
    gradient = gradients(problem, True)[0]
    assert [array.shape for array in gradient] == [array.shape for array in problem.params]
    for array in gradient:
        np.testing.assert_array_equal(array, 0.0)


def test_gradient_keeps_the_type_of_its_argument(problem):
    params, _, state = gradients(problem, True)
    assert isinstance(params, LSTMParams)
    assert isinstance(state, State)


def test_a_planted_fault_is_seen(problem, distance):
    actual = gradients(problem, True)
    swapped = problem.params.kernel[:, np.r_[6:12, 0:6, 12:24]]
    wrong = jax.grad(
        problem.objective(lambda params, x, state: lstm(params._replace(kernel=swapped), x, state)), argnums=(0, 1, 2)
    )(problem.params, problem.x, problem.state)
    with pytest.raises(AssertionError):
        assert distance(wrong, actual) <= TOLERANCE
