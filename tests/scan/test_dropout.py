"""The dropout masks that are drawn, and the results of `lstm` with given masks."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm import LSTM, SGD, Bidirectional, Dense, Sequential, initial_weights
from multilstm import Dropout as DropoutLayer
from multilstm.errors import InputError
from multilstm.jobs.dropout_masks import seeded_dropout
from multilstm.random import dropout_mask
from multilstm.scan import BucketedModel, Dropout, LSTMParams, State, draw_dropout, init, lstm, model

TOLERANCE = 1e-12
BATCH, FEATURES, UNITS = 4, 3, 6
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
    found = draw_dropout(0, 0, WEIGHTS, 50, *rates, implementation)
    assert [None if each is None else each.shape for each in found] == [inputs, hidden]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_values_are_0_or_keep_the_mean(rate):
    for mask in draw_dropout(0, 0, WEIGHTS, 50, rate, rate):
        np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - rate)], rtol=1e-6)
        # 5 standard deviations of the mean of that many; each value's own is sqrt(rate / (1 - rate))
        assert abs(np.mean(mask, dtype=float) - 1) < 5 * (rate / (1 - rate) / mask.size) ** 0.5


def test_each_row_gate_and_side_has_a_mask_of_its_own():
    inputs, hidden = draw_dropout(0, 0, WEIGHTS, 50, 0.5, 0.5)
    rows = [row.tobytes() for mask in (inputs[..., :100], hidden) for row in np.asarray(mask).reshape(-1, 100)]
    assert len(rows) == len(set(rows)) == 2 * 4 * 50


def test_a_seed_and_step_repeat_their_masks_and_others_do_not():
    first, again, *others = (
        draw_dropout(*key, WEIGHTS, 50, 0.5).inputs for key in ((3, 1), (3, 1), (4, 1), (3, 2), (4, 0))
    )
    np.testing.assert_array_equal(first, again)
    assert all((first != other).mean() > 0.4 for other in others)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_masks_have_the_dtype_of_the_weights(dtype):
    found = draw_dropout(0, 0, init(3, 6, dtype=dtype), 4, 0.5, 0.5)
    assert found.inputs.dtype == found.hidden.dtype == dtype


@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("implementation", [1, 2])
def test_masks_are_those_of_numpy(implementation, go_backwards):
    """Under `jax.jit`, with the step as an argument."""
    draw = jax.jit(lambda step: draw_dropout(7, step, WEIGHTS, 5, 0.3, 0.0, implementation, go_backwards).inputs)
    gates, name = implementation == 1, "backward/dropout" if go_backwards else "dropout"
    shape = (4, 5, 200) if gates else (5, 200)
    for step in (0, 2**31 - 1):
        np.testing.assert_array_equal(
            draw(step), dropout_mask(7, name, step, 0.3, shape, gates).astype("float32"), strict=True
        )


SEEDED = Sequential(
    [DropoutLayer(0.3), Bidirectional(LSTM(3, recurrent_dropout=0.4)), Dense(2)], input_shape=(None, FEATURES)
).with_seeds(5)
SGD_RATE = SGD(0.1)


def train(functions, spec, step=None, dropout=None, timesteps=6):
    """Return the loss and the new weights of one step."""
    rng = np.random.default_rng(0)
    inputs = {"input_layer": jnp.asarray(rng.normal(size=(BATCH, timesteps, FEATURES)))}
    targets = [jnp.asarray(rng.normal(size=(BATCH, 2)))]
    weights = {name: jnp.asarray(array, "float64") for name, array in initial_weights(spec).items()}
    coefficients = SGD_RATE.coefficients(0)
    options = {"optimizer": SGD_RATE, "loss": "mean_squared_error", "step": step, "dropout": dropout}
    new, _, loss, _ = functions.train_step(weights, {}, coefficients, inputs, targets, **options)
    return loss, new


@pytest.mark.parametrize("wrapper", [lambda model: model, BucketedModel], ids=["model", "bucketed"])
def test_a_model_draws_the_masks_of_its_seeds(distance, wrapper):
    functions = wrapper(model(SEEDED))
    masks = seeded_dropout(SEEDED, {"input_layer": (BATCH, 6, FEATURES)}, 4)
    given = {name: jnp.asarray(mask) for name, mask in masks.items()}
    drawn, by_hand, other, nothing = (train(functions, SEEDED, *each) for each in ((4,), (None, given), (3,), ()))
    assert distance(drawn, by_hand) < 1e-12
    assert min(distance(drawn, other), distance(drawn, nothing)) > 1e-3


def test_given_masks_win_over_the_seed(distance):
    ones = {"dropout": jnp.ones((BATCH, 6, FEATURES))}
    functions = model(SEEDED)
    masks = seeded_dropout(SEEDED, {"input_layer": (BATCH, 6, FEATURES)}, 4)
    all_given = {**{name: jnp.asarray(mask) for name, mask in masks.items()}, **ones}
    assert distance(train(functions, SEEDED, 4, ones), train(functions, SEEDED, None, all_given)) < 1e-12


@pytest.mark.parametrize("step", [-1, 2**31, 1.5, True, "1", np.ones(2, int)], ids=str)
def test_a_model_refuses_a_step(step):
    with pytest.raises(InputError, match="step must be"):
        train(model(SEEDED), SEEDED, step)


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
        ({"seed": 2**31}, "seed must be an integer from 0 to"),
        ({"seed": -1}, "seed must be an integer from 0 to"),
        ({"step": -1}, "step must be an integer from 0 to"),
    ],
    ids=["one", "negative", "recurrent_above_one", "nan", "implementation", "seed", "negative_seed", "negative_step"],
)
def test_draw_dropout_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        draw_dropout(**{"seed": 0, "step": 0, "params": WEIGHTS, "batch": 50, **arguments})


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
