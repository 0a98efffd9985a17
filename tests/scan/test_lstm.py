"""The forward pass of multilstm.scan.lstm against the NumPy reference, with masks, both orders and empty arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm import spec
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.scan import State, bidirectional, lstm
from multilstm.spec.layers import ACTIVATIONS

TOLERANCE = 1e-13


def reference(params, x, state=None, mask=None, use_bias=True, **options):
    layer = spec.LSTM(params.recurrent_kernel.shape[0], use_bias=use_bias, **options)
    record = reference_lstm.forward(layer, x, mask, params._asdict(), state, {})
    return np.ascontiguousarray(record.sequence), record.state


@pytest.mark.parametrize("zero_output_for_mask", [False, True], ids=["repeat_output", "zero_output"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "go_backwards"])
@pytest.mark.parametrize("start", ["zero_state", "given_state"])
def test_forward_equals_reference(problem, distance, mask, start, go_backwards, zero_output_for_mask):
    state = problem.state if start == "given_state" else None
    options = {"go_backwards": go_backwards, "zero_output_for_mask": zero_output_for_mask}
    actual = lstm(problem.params, problem.x, state, mask, **options)
    desired = reference(problem.params, problem.x, state, mask, **options)
    assert distance(actual, desired) <= TOLERANCE


def test_forward_without_bias_equals_reference(make_problem, distance, mask):
    problem = make_problem(use_bias=False)
    actual = lstm(problem.params, problem.x, problem.state, mask)
    assert distance(actual, reference(problem.params, problem.x, problem.state, mask, use_bias=False)) <= TOLERANCE


@pytest.mark.parametrize("role", ["activation", "recurrent_activation"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_equals_reference(make_problem, distance, name, role):
    problem = make_problem(scale=0.3, timesteps=3)  # so that unbounded activations stay in bounds
    actual = lstm(problem.params, problem.x, problem.state, **{role: name})
    assert distance(actual, reference(problem.params, problem.x, problem.state, **{role: name})) <= TOLERANCE


def test_custom_gradient_switch_leaves_forward_pass_bitwise_equal(problem, mask):
    with_rule = lstm(problem.params, problem.x, problem.state, mask)
    without = lstm(problem.params, problem.x, problem.state, mask, custom_gradient=False)
    np.testing.assert_array_equal(with_rule[0], without[0], strict=True)
    np.testing.assert_array_equal(with_rule[1], without[1], strict=True)


def test_leading_masked_steps_give_zero_not_the_initial_state(problem):
    mask = np.zeros(problem.x.shape[:2], bool)
    mask[:, 3:] = True
    sequence, _ = lstm(problem.params, problem.x, problem.state, mask)
    np.testing.assert_array_equal(sequence[:, :3], 0.0)
    assert (sequence[:, 3:] != 0).all()


def test_fully_masked_sequence_keeps_its_state(problem):
    _, state = lstm(problem.params, problem.x, problem.state, np.zeros(problem.x.shape[:2], bool))
    np.testing.assert_array_equal(state.hidden, problem.state.hidden)
    np.testing.assert_array_equal(state.cell, problem.state.cell)


def test_masked_step_repeats_the_output_before_it(problem, holes):
    sequence, _ = lstm(problem.params, problem.x, problem.state, holes)
    np.testing.assert_array_equal(sequence[0, 1], sequence[0, 0])
    np.testing.assert_array_equal(sequence[0, 5], sequence[0, 3])


@pytest.mark.parametrize("poison", [np.nan, np.inf], ids=["nan", "inf"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "go_backwards"])
def test_masked_values_do_not_reach_outputs(problem, holes, go_backwards, poison):
    poisoned = np.where(holes[..., None], problem.x, poison)
    actual = lstm(problem.params, poisoned, problem.state, holes, go_backwards)
    desired = lstm(problem.params, problem.x, problem.state, holes, go_backwards)
    np.testing.assert_array_equal(actual[0], desired[0])
    np.testing.assert_array_equal(actual[1], desired[1])


def test_carried_state_continues_a_sequence(problem, distance):
    whole = lstm(problem.params, problem.x)
    first, state = lstm(problem.params, problem.x[:, :3])
    second, state = lstm(problem.params, problem.x[:, 3:], state)
    assert distance((np.concatenate([first, second], 1), state), (np.asarray(whole[0]), whole[1])) <= TOLERANCE


@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize(("batch", "timesteps"), [(0, 7), (4, 0), (0, 0)], ids=["batch_0", "timesteps_0", "both_0"])
def test_empty_input_gives_empty_output(make_problem, batch, timesteps, masked):
    problem = make_problem(batch=batch, timesteps=timesteps)
    mask = np.ones((batch, timesteps), bool) if masked else None
    sequence, state = lstm(problem.params, problem.x, problem.state, mask)
    assert sequence.shape == (batch, timesteps, 6)
    assert state.hidden.shape == state.cell.shape == (batch, 6)
    if not timesteps:
        np.testing.assert_array_equal(state.hidden, problem.state.hidden)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_dtype_is_kept(problem, holes, dtype):
    params, x = jax.tree.map(lambda array: jnp.asarray(array, dtype), (problem.params, problem.x))
    sequence, state = lstm(params, x, None, holes)
    assert sequence.dtype == state.hidden.dtype == state.cell.dtype == dtype


def test_float32_is_near_float64(problem):
    params = type(problem.params)(*(np.float32(array) for array in problem.params))
    actual = lstm(params, np.float32(problem.x))[0]
    desired = lstm(problem.params, problem.x)[0]
    assert actual.dtype == np.float32
    assert np.abs(actual - desired).max() < 1e-6


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None], ids=str)
def test_bidirectional_is_two_lstms_merged(make_problem, mask, merge_mode):
    forward, backward = make_problem(seed=1), make_problem(seed=2)
    merged, forward_state, backward_state = bidirectional(
        forward.params, backward.params, forward.x, forward.state, backward.state, mask, merge_mode
    )
    first, first_state = reference(forward.params, forward.x, forward.state, mask)
    second, second_state = reference(backward.params, forward.x, backward.state, mask, go_backwards=True)
    second = second[:, ::-1]
    desired = {
        "concat": np.concatenate([first, second], -1),
        "sum": first + second,
        "mul": first * second,
        "ave": (first + second) / 2,
        None: np.stack([first, second]),
    }[merge_mode]
    actual = np.stack(merged) if merge_mode is None else merged
    np.testing.assert_allclose(actual, desired, rtol=0, atol=TOLERANCE, strict=True)
    np.testing.assert_allclose(forward_state, first_state, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(backward_state, second_state, rtol=0, atol=TOLERANCE)
    assert isinstance(forward_state, State)
    assert isinstance(backward_state, State)
