"""multilstm.scan.lstm under jax.jit, vmap, grad, checkpoint, jvp and hessian, and their compositions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.scan import lstm

TOLERANCE = 1e-12


def stack(problems):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)


def test_jit_equals_eager(problem, distance, holes):
    actual = jax.jit(lstm)(problem.params, problem.x, problem.state, holes)
    assert distance(actual, lstm(problem.params, problem.x, problem.state, holes)) <= TOLERANCE


@pytest.mark.parametrize("custom_gradient", [True, False], ids=["custom", "plain"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_vmap_over_models_equals_a_loop(make_problem, distance, holes, masked, custom_gradient):
    problems = [make_problem(seed=seed) for seed in range(3)]
    arguments = [(each.params, each.x, each.state) for each in problems]
    run = functools.partial(lstm, mask=holes if masked else None, custom_gradient=custom_gradient)
    objective = problems[0].objective(run)
    each = jax.jit(jax.value_and_grad(objective, argnums=(0, 1, 2)))
    actual = jax.jit(jax.vmap(each))(*stack(arguments))
    assert distance(actual, stack([each(*one) for one in arguments])) <= TOLERANCE


def test_vmap_over_masks_equals_a_loop(problem, distance, holes):
    masks = jnp.stack([holes, ~holes, jnp.ones_like(holes)])

    @jax.jit
    def gradient(mask):
        objective = problem.objective(lambda *arguments: lstm(*arguments, mask))
        return jax.grad(objective)(problem.params, problem.x, problem.state)

    assert distance(jax.vmap(gradient)(masks), stack([gradient(mask) for mask in masks])) <= TOLERANCE


def test_gradient_of_a_gradient_equals_plain(problem, distance, holes):
    def penalty(params, custom_gradient):
        run = functools.partial(lstm, mask=holes, custom_gradient=custom_gradient)
        dx = jax.grad(problem.objective(run), argnums=1)(params, problem.x, problem.state)
        return (dx**2).sum()

    gradient = jax.jit(jax.grad(penalty), static_argnums=1)
    assert distance(gradient(problem.params, True), gradient(problem.params, False)) <= TOLERANCE


def test_checkpoint_changes_no_gradient(problem, distance):
    run = problem.objective(lstm)
    arguments = (problem.params, problem.x, problem.state)
    assert distance(jax.jit(jax.grad(jax.checkpoint(run)))(*arguments), jax.grad(run)(*arguments)) <= TOLERANCE


def test_gradient_inside_a_scan_over_batches(problem, distance):
    batches = jnp.stack([problem.x, problem.x * 0.5])

    def value(params):
        def body(state, x):
            sequence, state = lstm(params, x, state)
            return state, sequence.sum()

        return jax.lax.scan(body, jax.tree.map(jnp.asarray, problem.state), batches)[1].sum()

    def loop(params):
        state, total = problem.state, 0.0
        for x in batches:
            sequence, state = lstm(params, x, state, custom_gradient=False)
            total = total + sequence.sum()
        return total

    assert distance(jax.jit(jax.grad(value))(problem.params), jax.jit(jax.grad(loop))(problem.params)) <= TOLERANCE


def test_jvp_of_plain_path_equals_vjp_of_custom(problem, holes):
    objective = {
        custom: problem.objective(functools.partial(lstm, mask=holes, custom_gradient=custom))
        for custom in (True, False)
    }
    arguments = (problem.params, problem.x, problem.state)
    rng = np.random.default_rng(3)
    tangents = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), arguments)
    _, forward = jax.jvp(objective[False], arguments, tangents)
    gradient = jax.grad(objective[True], argnums=(0, 1, 2))(*arguments)
    reverse = sum(float((g * t).sum()) for g, t in zip(*map(jax.tree.leaves, (gradient, tangents)), strict=True))
    np.testing.assert_allclose(reverse, forward, rtol=TOLERANCE)


def test_hessian_of_plain_path_equals_two_reverse_passes_of_custom(problem, distance):
    def of(custom_gradient):
        run = functools.partial(lstm, custom_gradient=custom_gradient)
        return lambda bias: problem.objective(run)(problem.params._replace(bias=bias), problem.x, problem.state)

    plain = jax.jit(jax.hessian(of(False)))(problem.params.bias)
    twice = jax.jit(jax.jacrev(jax.jacrev(of(True))))(problem.params.bias)
    assert distance(twice, plain) <= TOLERANCE


def test_forward_mode_through_the_custom_gradient_is_refused(problem):
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: lstm(problem.params, x)[0], (problem.x,), (problem.x,))


def test_unmasked_scan_carries_two_arrays(problem):
    text = str(jax.make_jaxpr(lambda x: lstm(problem.params, x, custom_gradient=False))(problem.x))
    assert "num_carry=2" in text
    backward = str(jax.make_jaxpr(jax.grad(lambda p: lstm(p, problem.x)[0].sum()))(problem.params))
    assert backward.count("num_carry=2") == backward.count("num_carry=")
