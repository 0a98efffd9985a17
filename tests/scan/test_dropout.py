"""The dropout masks that are drawn, and the results of `lstm` with given masks."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.scan import Dropout, LSTMParams, State, draw_dropout, init, lstm

TOLERANCE = 1e-12
BATCH, FEATURES, UNITS = 4, 3, 6
KEY = jax.random.key(0)
WEIGHTS = LSTMParams(np.ones((200, 400), "float32"), np.ones((100, 400), "float32"))


@pytest.mark.parametrize(
    ("rates", "implementation", "inputs", "hidden"),
    [
        ((0.0, 0.0), 2, None, None),
        ((0.3, 0.0), 2, (50, 200), None),
        ((0.3, 0.0), 1, (4, 50, 200), None),
        ((0.0, 0.4), 2, None, (4, 50, 100)),
        ((0.3, 0.4), 2, (4, 50, 200), (4, 50, 100)),
        ((0.3, 0.4), 1, (4, 50, 200), (4, 50, 100)),
    ],
    ids=["nothing", "shared", "by_gate", "hidden_means_by_gate", "both_mean_by_gate", "both_by_gate"],
)
def test_shapes(rates, implementation, inputs, hidden):
    found = draw_dropout(KEY, WEIGHTS, 50, *rates, implementation)
    assert [None if each is None else each.shape for each in found] == [inputs, hidden]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_values_are_0_or_keep_the_mean(rate):
    for mask in draw_dropout(KEY, WEIGHTS, 50, rate, rate):
        np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - rate)], rtol=1e-6)
        # 5 standard deviations of the mean of that many; each value's own is sqrt(rate / (1 - rate))
        assert abs(np.mean(mask, dtype=float) - 1) < 5 * (rate / (1 - rate) / mask.size) ** 0.5


def test_each_row_gate_and_side_has_a_mask_of_its_own():
    inputs, hidden = draw_dropout(KEY, WEIGHTS, 50, 0.5, 0.5)
    rows = [row.tobytes() for mask in (inputs[..., :100], hidden) for row in np.asarray(mask).reshape(-1, 100)]
    assert len(rows) == len(set(rows)) == 2 * 4 * 50


def test_a_key_repeats_its_masks_and_another_does_not():
    first, again, other = (draw_dropout(key, WEIGHTS, 50, 0.5).inputs for key in (KEY, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.4


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_masks_have_the_dtype_of_the_weights(dtype):
    found = draw_dropout(KEY, init(3, 6, dtype=dtype), 4, 0.5, 0.5)
    assert found.inputs.dtype == found.hidden.dtype == dtype


def loop(params, x, state, dropout, mask):
    """Run an LSTM by the definition of dropout, with a loop over timesteps and gates."""
    (hidden, cell), outputs = state, []

    def dropped(v, each, gate):
        return v if each is None else v * (each[gate] if np.ndim(each) == 3 else each)

    def receive(gate, x, hidden):
        own = slice(gate * UNITS, (gate + 1) * UNITS)
        inputs, states = dropped(x, dropout.inputs, gate), dropped(hidden, dropout.hidden, gate)
        return inputs @ params.kernel[:, own] + states @ params.recurrent_kernel[:, own] + params.bias[own]

    for step in range(x.shape[1]):
        i, f, c, o = (receive(gate, x[:, step], hidden) for gate in range(4))
        after = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(c)
        counts = mask[:, step, None]
        cell = jnp.where(counts, after, cell)
        hidden = jnp.where(counts, jax.nn.sigmoid(o) * jnp.tanh(after), hidden)
        outputs.append(hidden)
    return jnp.stack(outputs, 1), State(hidden, cell)


def random_masks(*gates, seed=2):
    rng = np.random.default_rng(seed)
    return Dropout(*(rng.integers(0, 2, (*gates, BATCH, size)) * 2.0 for size in (FEATURES, UNITS)))


GIVEN = {
    "shared": random_masks(),
    "by_gate": random_masks(4),
    "inputs_alone": random_masks()._replace(hidden=None),
    "hidden_alone_by_gate": random_masks(4)._replace(inputs=None),
    "shared_and_by_gate": Dropout(random_masks().inputs, random_masks(4).hidden),
}


@pytest.mark.parametrize("dropout", GIVEN.values(), ids=GIVEN)
def test_equals_the_definition(problem, distance, holes, dropout):
    mask = holes | (np.arange(7) == 0)  # the loop above does not hide the steps before the first unmasked one
    desired = problem.everything({"dropout": dropout, "mask": mask}, loop)
    assert distance(problem.everything({"dropout": dropout, "mask": mask}), desired) <= TOLERANCE


@pytest.mark.parametrize("dropout", [GIVEN["shared"], GIVEN["by_gate"]], ids=["shared", "by_gate"])
@pytest.mark.parametrize("options", [{}, {"go_backwards": True, "checkpoint": 3}], ids=["default", "backwards_chunks"])
def test_custom_gradient_equals_plain(problem, distance, holes, dropout, options):
    given = {"dropout": dropout, "mask": holes}
    plain = {key: value for key, value in options.items() if key != "checkpoint"} | {"custom_gradient": False}
    assert distance(problem.everything(given, **options), problem.everything(given, **plain)) <= TOLERANCE


@pytest.mark.parametrize("side", Dropout._fields)
@pytest.mark.parametrize(
    "gates", [*itertools.combinations(range(4), 2)], ids=lambda two: "".join("ifco"[g] for g in two)
)
def test_gates_have_masks_of_their_own(problem, distance, gates, side):
    given, order = GIVEN["by_gate"], np.arange(4)
    order[list(gates)] = gates[::-1]
    swapped = given._replace(**{side: getattr(given, side)[order]})
    run = jax.jit(functools.partial(lstm, problem.params, problem.x, problem.state))
    assert distance(run(dropout=swapped), run(dropout=given)) > 1e-3


def test_masks_of_ones_drop_nothing(problem, distance):
    ones = jax.tree.map(np.ones_like, GIVEN["by_gate"])
    assert distance(lstm(problem.params, problem.x, dropout=ones), lstm(problem.params, problem.x)) <= TOLERANCE


def test_masks_get_no_gradient(problem):
    found = jax.grad(lambda dropout: lstm(problem.params, problem.x, dropout=dropout)[0].sum())(GIVEN["by_gate"])
    jax.tree.map(lambda array: np.testing.assert_array_equal(array, 0.0), found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), given 1.0"),
        ({"dropout": -0.1}, r"dropout must be in \[0, 1\), given -0.1"),
        ({"recurrent_dropout": 1.5}, r"recurrent_dropout must be in \[0, 1\), given 1.5"),
        ({"recurrent_dropout": float("nan")}, r"recurrent_dropout must be in \[0, 1\), given nan"),
        ({"dropout": 0.5, "implementation": 3}, "implementation must be 1 or 2, given 3"),
    ],
    ids=["one", "negative", "recurrent_above_one", "nan", "implementation"],
)
def test_draw_dropout_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        draw_dropout(KEY, WEIGHTS, 50, **arguments)


@pytest.mark.parametrize(
    ("dropout", "message"),
    [
        (tuple(GIVEN["shared"]), r"dropout must be Dropout\(inputs, hidden\), given tuple"),
        (0.5, r"dropout must be Dropout\(inputs, hidden\), given float"),
        (Dropout(np.ones((BATCH, UNITS))), r"dropout.inputs has shape \(4, 6\), expected \(4, 3\), or \(4, 4, 3\)"),
        (Dropout(np.ones((1, FEATURES))), r"dropout.inputs has shape \(1, 3\), expected \(4, 3\)"),
        (Dropout(None, np.ones((3, BATCH, UNITS))), r"dropout.hidden has shape \(3, 4, 6\), expected \(4, 6\), or"),
    ],
    ids=["tuple", "rate", "features", "would_broadcast", "three_gates"],
)
def test_lstm_refuses(problem, dropout, message):
    with pytest.raises(InputError, match=message):
        lstm(problem.params, problem.x, dropout=dropout)
