"""`stack`: the same as calling `lstm` and `bidirectional` layer by layer."""

import jax
import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.scan import Dropout, LSTMParams, State, bidirectional, lstm, stack

BATCH, TIMESTEPS, UNITS = 4, 7, (6, 5, 3)
RNG = np.random.default_rng(11)


def params(features, units):
    return LSTMParams(*(RNG.normal(0, 0.5, shape) for shape in ((features, 4 * units), (units, 4 * units), 4 * units)))


def state(units):
    return State(*RNG.normal(0, 0.5, (2, BATCH, units)))


def dropout(features, units):
    return Dropout(*(RNG.integers(0, 2, (BATCH, size)) * 2.0 for size in (features, units)))


LAYERS = [params(3, 6), params(6, 5), params(5, 3)]
STATES = [state(6), state(5), state(3)]
DROPOUT = [dropout(3, 6), dropout(6, 5), dropout(5, 3)]
PAIRS = [(params(3, 6), params(3, 6)), (params(12, 5), params(12, 5))]
PAIRS_OF_STATES = [(state(6), state(6)), (state(5), state(5))]
PAIRS_OF_DROPOUT = [(dropout(3, 6), dropout(3, 6)), (dropout(12, 5), None)]
X = RNG.normal(size=(BATCH, TIMESTEPS, 3))


@pytest.mark.parametrize("dropped", [False, True], ids=["no_dropout", "dropout"])
@pytest.mark.parametrize("given", [False, True], ids=["zero_states", "given_states"])
def test_layers_equal_one_after_another(distance, holes, given, dropped):
    states, drops = STATES if given else None, DROPOUT if dropped else None
    x, last = X, []
    for number, layer in enumerate(LAYERS):
        start, drop = states[number] if given else None, drops[number] if dropped else None
        x, after = lstm(layer, x, start, holes, dropout=drop)
        last.append(after)
    assert distance(stack(LAYERS, X, states, holes, dropout=drops), (x, tuple(last))) == 0


MERGED = {
    "concat": lambda one, other: np.concatenate([one, other], -1),
    "sum": lambda one, other: one + other,
    "mul": lambda one, other: one * other,
    "ave": lambda one, other: (one + other) / 2,
    None: lambda one, other: (one, other),
}


@pytest.mark.parametrize("merge_mode", MERGED)
def test_two_directions_are_merged_timestep_by_timestep(distance, mask, merge_mode):
    """The backward LSTM starts at the last timestep; its output is reversed."""
    states = PAIRS_OF_STATES[0]
    reversed_mask = None if mask is None else mask[:, ::-1]
    one, first = lstm(PAIRS[0][0], X, states[0], mask)
    other, last = lstm(PAIRS[0][1], X[:, ::-1], states[1], reversed_mask)
    merged = MERGED[merge_mode](np.asarray(one), np.asarray(other)[:, ::-1])
    actual = bidirectional(*PAIRS[0], X, *states, mask, merge_mode)
    assert distance(actual, (merged, first, last)) < 1e-14


@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_pairs_equal_one_after_another(distance, holes, merge_mode):
    layers = PAIRS if merge_mode == "concat" else [PAIRS[0], (LAYERS[1], LAYERS[1]._replace(bias=None))]
    drops = PAIRS_OF_DROPOUT if merge_mode == "concat" else None
    x, last = X, []
    for number, (layer, starts) in enumerate(zip(layers, PAIRS_OF_STATES, strict=True)):
        of_both = (None, None) if drops is None else drops[number]
        x, *after = bidirectional(*layer, x, *starts, holes, merge_mode, *of_both)
        last.append(tuple(after))
    actual = stack(layers, X, PAIRS_OF_STATES, holes, merge_mode, drops)
    assert distance(actual, (x, tuple(last))) == 0


def test_one_of_each_kind(distance):
    upper = params(12, 5)
    actual, states = stack([PAIRS[0], upper], X, [None, STATES[1]])
    middle, *both = bidirectional(*PAIRS[0], X)
    desired, last = lstm(upper, middle, STATES[1])
    assert distance((actual, states), (desired, (tuple(both), last))) == 0


def test_options_go_to_every_layer(distance):
    options = {"activation": "softsign", "recurrent_activation": "hard_sigmoid", "checkpoint": 2}
    middle, first = lstm(LAYERS[0], X, **options)
    desired, second = lstm(LAYERS[1], middle, **options)
    actual = stack(LAYERS[:2], X, **options)
    assert distance(actual, (desired, (first, second))) == 0
    assert distance(stack(LAYERS[:2], X), actual) > 1e-3


EQUAL = [params(3, 6), params(6, 6)._replace(bias=None), params(6, 6)]
EQUAL_STATES = [state(6), None, state(6)]


@pytest.mark.parametrize("timesteps", [7, 1, 0])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_wavefront_equals_one_after_another(distance, mask, count, timesteps):
    """Masked timesteps hold NaN, also the first one."""
    mask = None if mask is None else mask[:, :timesteps]
    x = X[:, :timesteps] if mask is None else np.where(mask[..., None], X[:, :timesteps], np.nan)
    options = {"activation": "softsign", "recurrent_activation": "hard_sigmoid"} if count == 2 else {}
    for zeroed in (False, True):
        both = [
            stack(EQUAL[:count], x, EQUAL_STATES[:count], mask, zero_output_for_mask=zeroed, wavefront=one, **options)
            for one in (True, False)
        ]
        assert distance(*both) < 1e-14


def test_the_gradient_of_a_wavefront_is_that_of_one_after_another(distance, holes):
    cotangents = RNG.normal(size=(BATCH, TIMESTEPS, 6))

    def objective(layers, x, states, wavefront):
        sequence, last = stack(layers, x, states, holes, wavefront=wavefront)
        return (sequence * cotangents).sum() + sum((each.hidden**2).sum() + each.cell.sum() for each in last)

    states = [EQUAL_STATES[0], state(6), EQUAL_STATES[2]]
    both = [jax.grad(objective, (0, 1, 2))(EQUAL, X, states, one) for one in (True, False)]
    assert distance(*both) < 1e-13


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_gradient_of_a_long_wavefront_in_half_precision_is_added_up_in_float32(distance, dtype):
    x = RNG.normal(size=(4, 500, 3))

    def bias_gradients(dtype, wavefront):
        def objective(layers):
            return stack(layers, x, dtype=dtype, wavefront=wavefront)[0].astype("float64").mean((0, 2)).sum()

        found = jax.grad(objective)([EQUAL[0], EQUAL[2]])
        return [each.bias for each in found]

    exact = bias_gradients(None, False)
    for wavefront in (True, False):
        assert distance(bias_gradients(dtype, wavefront), exact) < 0.01  # added up in bfloat16, they are off by 0.26


REFUSED = {
    "no_layers": (([],), {}, "no layers given, expected at least one"),
    "states": ((LAYERS, X, STATES[:2]), {}, "states has 2 entries for 3 layers; None means none"),
    "no_states": ((LAYERS, X, []), {}, "states has 0 entries for 3 layers"),
    "dropout": ((LAYERS, X), {"dropout": DROPOUT[:1]}, "dropout has 1 entries for 3 layers"),
    "merge_mode_none": ((PAIRS, X), {"merge_mode": None}, "merge_mode None gives two outputs"),
    "merge_mode": ((PAIRS, X), {"merge_mode": "max"}, "unknown merge_mode 'max'"),
    "layers_that_do_not_fit": ((LAYERS[::-1], X), {}, r"x has shape \(4, 7, 3\), expected \(batch, timesteps, 5\)"),
    "a_pair_of_states_for_one": ((LAYERS[:1], X, PAIRS_OF_STATES[:1]), {}, r"state must be State\(hidden, cell\)"),
    "one_state_for_a_pair": ((PAIRS[:1], X, STATES[:1]), {}, r"state must be State\(hidden, cell\), given"),
    "one_dropout_for_a_pair": (
        (PAIRS[:1], X),
        {"dropout": DROPOUT[:1]},
        r"dropout must be Dropout\(inputs, hidden\), given",
    ),
    "wavefront_of_pairs": ((PAIRS, X), {"wavefront": True}, "takes LSTMParams alone"),
    "wavefront_of_unequal_units": ((LAYERS, X), {"wavefront": True}, "of the same units, given 6 and 5"),
    "wavefront_of_two_dtypes": (
        ([jax.tree.map(np.float32, EQUAL[0]), EQUAL[2]], np.float32(X)),
        {"wavefront": True},
        "of one dtype, given float32 and float64",
    ),
    "wavefront_with_dropout": (
        (LAYERS, X),
        {"wavefront": True, "dropout": DROPOUT, "unroll": True},
        "does not go with dropout, unroll",
    ),
    "wavefront_that_does_not_fit": (
        ([EQUAL[0], EQUAL[0]], X),
        {"wavefront": True},
        r"x has shape \(4, 7, 6\), expected \(batch, timesteps, 3\)",
    ),
    "three_for_a_pair": (([LAYERS], X), {}, r"a layer must be LSTMParams or a pair of them, given \[LSTMParams"),
}


@pytest.mark.parametrize(("arguments", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(arguments, options, message):
    with pytest.raises(InputError, match=message):
        stack(*(arguments if len(arguments) > 1 else (*arguments, X)), **options)
