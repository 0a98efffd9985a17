"""`lstm(..., lengths=)`: the same as the mask that the lengths stand for, at any lengths, and compiled once for all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.scan import Dropout, bidirectional, lstm, stack
from multilstm.scan.loops.plan import Sizes, choose

TOLERANCE = 1e-12


def chunk(batch):
    """Return the number of timesteps in a chunk."""
    return choose(Sizes(batch, 10_000, 3, 6, 8), False, False, True).gradient.chunk


BATCH = 9  # no multiple of the eight steps in which rows become fewer
CHUNK = chunk(BATCH)
TIMESTEPS = 2 * CHUNK + 3
LENGTHS = {
    "unsorted": np.random.default_rng(5).permutation([0, 1, 2, CHUNK, *np.linspace(3, TIMESTEPS, BATCH - 4)]),
    "longest_first": np.linspace(TIMESTEPS, 0, BATCH),
    "longest_last": np.linspace(1, TIMESTEPS - 1, BATCH),
    "at_the_ends_of_chunks": np.resize([CHUNK, CHUNK + 1, CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1], BATCH),
    "one_long_one": np.eye(BATCH)[4] * (TIMESTEPS - 1) + 1,
    "all_equal": np.full(BATCH, CHUNK + 4),
    "all_whole": np.full(BATCH, TIMESTEPS),
    "all_one": np.ones(BATCH),
    "all_zero": np.zeros(BATCH),
}
LENGTHS = {name: lengths.astype(int) for name, lengths in LENGTHS.items()}
OPTIONS = {
    "default": {},
    "go_backwards": {"go_backwards": True},
    "zero_output": {"zero_output_for_mask": True},
    "go_backwards_zero_output": {"go_backwards": True, "zero_output_for_mask": True},
}
# Most tests have two sequences, which compile in half the time.
FEW = 2
LONG = 2 * chunk(FEW) + 3
FEW_LENGTHS = np.array([LONG // 3, LONG - 1])


def as_mask(lengths, timesteps):
    return np.arange(timesteps) < np.asarray(lengths)[:, None]


@pytest.fixture
def ragged(make_problem):
    return make_problem(batch=FEW, timesteps=LONG)


@pytest.fixture
def mask():
    return as_mask(FEW_LENGTHS, LONG)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_equals_the_reference_at_lengths(make_problem, distance, lengths):
    problem = make_problem(batch=BATCH, timesteps=TIMESTEPS)
    actual = problem.everything({"lengths": lengths})
    assert distance(actual, problem.reference(as_mask(lengths, TIMESTEPS))) <= TOLERANCE


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_equals_the_reference(ragged, distance, mask, options):
    actual = ragged.everything({"lengths": FEW_LENGTHS}, **options)
    assert distance(actual, ragged.reference(mask, **options)) <= TOLERANCE


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_equals_the_mask(ragged, distance, mask, options):
    actual = ragged.everything({"lengths": FEW_LENGTHS}, **options)
    assert distance(actual, ragged.everything({"mask": mask}, **options)) <= TOLERANCE


@pytest.mark.parametrize("options", [{"checkpoint": 5}, {"unroll": True}], ids=["checkpoint_5", "unroll"])
def test_layouts_change_no_answer(ragged, distance, mask, options):
    assert distance(ragged.everything({"lengths": FEW_LENGTHS}, **options), ragged.reference(mask)) <= TOLERANCE


@pytest.mark.parametrize("length", [0, 1, LONG // 2, LONG])
@pytest.mark.parametrize("options", [OPTIONS["default"], OPTIONS["go_backwards"]], ids=["default", "go_backwards"])
def test_one_length_for_all_equals_the_reference(ragged, distance, length, options):
    actual = ragged.everything({"lengths": length}, **options)
    assert distance(actual, ragged.reference(as_mask([length] * FEW, LONG), **options)) <= TOLERANCE


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("length", [0, 1, 400])
def test_one_sequence_equals_the_reference(make_problem, distance, length, use_bias):
    timesteps = 2 * chunk(1) + 3
    problem = make_problem(batch=1, timesteps=timesteps, use_bias=use_bias)
    actual = problem.everything({"lengths": np.array([length])})
    assert distance(actual, problem.reference(as_mask([length], timesteps))) <= TOLERANCE


def test_without_jit_and_from_zero_states_equals_the_mask(ragged, distance, mask):
    actual = lstm(ragged.params, ragged.x, lengths=FEW_LENGTHS.tolist())
    assert distance(actual, lstm(ragged.params, ragged.x, mask=mask)) <= TOLERANCE


@pytest.mark.parametrize("gates", [(), (4,)], ids=["shared", "by_gate"])
def test_dropout_equals_the_mask(ragged, distance, mask, gates):
    rng = np.random.default_rng(7)
    dropout = Dropout(*(rng.integers(0, 2, (*gates, FEW, size)) * 2.0 for size in (3, 6)))
    actual = ragged.everything({"lengths": FEW_LENGTHS, "dropout": dropout})
    assert distance(actual, ragged.everything({"mask": mask, "dropout": dropout})) <= TOLERANCE
    moved = Dropout(*(np.roll(each, 1, -2) for each in dropout))  # each sequence with its neighbour's masks
    assert distance(ragged.everything({"lengths": FEW_LENGTHS, "dropout": moved}), actual) > 1e-3


@pytest.mark.parametrize("poison", [np.nan, np.inf], ids=["nan", "inf"])
@pytest.mark.parametrize("options", [OPTIONS["default"], OPTIONS["go_backwards"]], ids=["default", "go_backwards"])
@pytest.mark.parametrize("custom_gradient", [True, False], ids=["custom", "plain"])
def test_padding_changes_no_result(ragged, mask, custom_gradient, options, poison):
    options = options if custom_gradient else {**options, "custom_gradient": False}
    clean = ragged.everything({"lengths": FEW_LENGTHS}, **options)
    ragged.x[~mask] = poison
    poisoned = ragged.everything({"lengths": FEW_LENGTHS}, **options)
    jax.tree.map(np.testing.assert_array_equal, poisoned, clean)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(poisoned))
    np.testing.assert_array_equal(np.asarray(poisoned[1][1])[~mask], 0.0)


def test_new_lengths_compile_nothing(make_problem, distance):
    problem, traced = make_problem(batch=BATCH, timesteps=TIMESTEPS), []

    @jax.jit
    def run(lengths):
        traced.append(lengths)
        return lstm(problem.params, problem.x, problem.state, lengths=lengths)

    for lengths in LENGTHS.values():
        assert distance(run(lengths), problem.reference(as_mask(lengths, TIMESTEPS))[0]) <= TOLERANCE
    assert len(traced) == 1


def test_traced_lengths_are_clipped(ragged):
    jax.tree.map(
        np.testing.assert_array_equal,
        ragged.everything({"lengths": np.array([-3, LONG + 50])}),
        ragged.everything({"lengths": np.array([0, LONG])}),
    )


def test_second_derivatives_of_the_plain_path_equal_the_mask(ragged, distance, mask):
    def second(**options):
        def first(x):
            return lstm(ragged.params, x, custom_gradient=False, **options)[0].sum()

        return jax.jit(jax.jvp, static_argnums=0)(jax.grad(first), (ragged.x,), (ragged.x,))[1]

    assert distance(second(lengths=FEW_LENGTHS), second(mask=mask)) <= TOLERANCE


@pytest.mark.parametrize("depth", [1, 2])
def test_gradients_of_the_gradient_equal_the_mask(make_problem, distance, depth):
    """The second and the third derivative, by weights, inputs and states; a sequence ends early."""
    problem, lengths = make_problem(batch=2, timesteps=4), np.array([2, 4])

    def squared(gradient, power):
        return lambda *arguments: sum((leaf**power).sum() for leaf in jax.tree.leaves(gradient(*arguments)))

    def nested(**given):
        value = problem.objective(lambda *arguments: lstm(*arguments, **given))
        for power in range(2, 2 + depth):
            value = squared(jax.grad(value, (0, 1, 2)), power)
        return jax.jit(jax.grad(value, (0, 1, 2)))(problem.params, problem.x, problem.state)

    desired = nested(mask=as_mask(lengths, 4), custom_gradient=False)
    assert distance(nested(lengths=lengths), desired) <= 1e-10


def test_vmap_over_models_and_lengths_equals_a_loop(make_problem, distance):
    problems = [make_problem(batch=FEW, timesteps=LONG, seed=seed) for seed in range(3)]
    lengths = np.array([[LONG, 3], [0, LONG - 2], [1, 1]])

    def gradient(params, x, state, lengths):
        objective = problems[0].objective(lambda *arguments: lstm(*arguments, lengths=lengths))
        return jax.value_and_grad(objective, argnums=(0, 1, 2))(params, x, state)

    arguments = [(one.params, one.x, one.state, each) for one, each in zip(problems, lengths, strict=True)]
    actual = jax.jit(jax.vmap(gradient))(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *arguments))
    each = jax.jit(gradient)
    desired = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(each(*one) for one in arguments))
    assert distance(actual, desired) <= TOLERANCE


def both_ways(params, x, state, **options):
    output, *states = bidirectional(params, params._replace(bias=-params.bias), x, state, state, **options)
    return output[..., :6] + output[..., 6:] ** 2, jax.tree.map(lambda one, other: one + other**2, *states)


def two_layers(params, x, state, **options):
    upper = params._replace(kernel=jnp.sin(jnp.arange(6 * 24.0)).reshape(6, 24))
    output, states = stack([params, upper], x, [state, None], **options)
    return output, jax.tree.map(lambda one, other: one + other**2, *states)


@pytest.mark.parametrize("run", [both_ways, two_layers])
def test_several_lstms_equal_the_mask(ragged, distance, mask, run):
    actual = ragged.everything({"lengths": FEW_LENGTHS}, run)
    assert distance(actual, ragged.everything({"mask": mask}, run)) <= TOLERANCE


@pytest.mark.parametrize(("batch", "timesteps"), [(0, 7), (4, 0)], ids=["batch_0", "timesteps_0"])
def test_empty_input_gives_empty_output(make_problem, batch, timesteps):
    problem = make_problem(batch=batch, timesteps=timesteps)
    sequence, state = lstm(problem.params, problem.x, problem.state, lengths=np.zeros(batch, int))
    assert sequence.shape == (batch, timesteps, 6)
    np.testing.assert_array_equal(state.hidden, problem.state.hidden)


REFUSED = {
    "beside_a_mask": ({"mask": as_mask([1, 2], 5), "lengths": [1, 2]}, "mask and lengths are both given"),
    "floats": ({"lengths": np.array([1.0, 2.0])}, "lengths has dtype float64, expected integers"),
    "booleans": ({"lengths": np.array([True, False])}, "lengths has dtype bool, expected integers"),
    "another_batch": ({"lengths": [1, 2, 3]}, r"lengths has shape \(3,\), expected \(2,\): \(batch,\), or one number"),
    "one_sequence_would_broadcast": ({"lengths": [3]}, r"lengths has shape \(1,\), expected \(2,\)"),
    "one_for_all_too_long": ({"lengths": 6}, "lengths go from 6 to 6, expected 0 to 5"),
    "a_column": ({"lengths": [[1], [2]]}, r"lengths has shape \(2, 1\), expected \(2,\)"),
    "negative": ({"lengths": [-1, 2]}, "lengths go from -1 to 2, expected 0 to 5, the timesteps"),
    "too_long": ({"lengths": [1, 6]}, "lengths go from 1 to 6, expected 0 to 5, the timesteps"),
    "too_long_on_a_device": ({"lengths": jnp.array([1, 6])}, "lengths go from 1 to 6, expected 0 to 5"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(make_problem, given, message):
    problem = make_problem(batch=2, timesteps=5)
    with pytest.raises(InputError, match=message):
        lstm(problem.params, problem.x, **given)
