"""The update rules: against numbers worked out by hand, and against Keras's own optimizers in a process of theirs."""

import dataclasses
import math

import numpy as np
import pytest
from optimizer_cases import ALL, CASES

from multilstm.spec.optimizers import EPSILON, OPTIMIZERS, SGD, Adam, AdamW, Optimizer, RMSprop, optimizer_to_dict
from multilstm.spec.schedules import PiecewiseConstantDecay

UPDATES = 20
WEIGHT = np.random.default_rng(1).normal(size=(3, 4))
GRADIENTS = np.random.default_rng(2).normal(size=(UPDATES, 3, 4)) * np.logspace(-6, 2, 12).reshape(3, 4)


def run(optimizer, weight, gradients, kind=np.asarray):
    """Return the weight after every update, from slots of zeros."""
    weight = kind(weight)
    slots = dict.fromkeys(optimizer.slots, weight * 0)
    found = []
    for iteration, gradient in enumerate(gradients):
        clipped = optimizer.clip({"weight": kind(gradient)})["weight"]
        weight, slots = optimizer.step(weight, clipped, slots, optimizer.coefficients(iteration))
        assert set(slots) == set(optimizer.slots)
        found.append(np.asarray(weight))
    return found


# By hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "gradients", "weights"),
    [
        # 1 - 0.1 * 2; then 0.8 - 0.1 * (-3)
        (SGD(0.1), [2.0, -3.0], [0.8, 1.1]),
        # v = -0.2, then 0.9 * (-0.2) - 0.1 * (-3) = 0.12
        (SGD(0.1, 0.9), [2.0, -3.0], [0.8, 0.92]),
        # v as above; moves 0.9 * (-0.2) - 0.2 = -0.38, then 0.9 * 0.12 + 0.3 = 0.408
        (SGD(0.1, 0.9, True), [2.0, -3.0], [0.62, 1.028]),
        # v = 0.25 * 4 = 1, then 0.75 * 1 + 0.25 * 9 = 3; epsilon 1 and 6 make the roots sqrt(2), then 2 and 3
        (RMSprop(0.1, 0.75, epsilon=1.0), [2.0, -3.0], [1 - 0.2 / math.sqrt(2), 1 - 0.2 / math.sqrt(2) + 0.15]),
        (RMSprop(0.1, 0.75, epsilon=6.0), [2.0, -3.0], [1 - 0.2 / math.sqrt(7), 1 - 0.2 / math.sqrt(7) + 0.1]),
        # v = 1, average 0.25 * 2 = 0.5; 1 + 0.25 - 0.25 = 1
        (RMSprop(0.1, 0.75, epsilon=0.25, centered=True), [2.0], [0.8]),
        # moves 0.2 / sqrt(4) = 0.1, then 0.5 * 0.1 - 0.3 / 3 (v = 3, epsilon 6) with epsilon 6: first 0.2 / sqrt(7)
        (RMSprop(0.1, 0.75, 0.5, 6.0), [2.0, -3.0],
         [1 - 0.2 / math.sqrt(7), 1 - 0.2 / math.sqrt(7) - (0.1 / math.sqrt(7) - 0.1)]),
        # m = 0.5 * 2 = 1, v = 0.5 * 4 = 2; the rate is 0.1 * sqrt(0.5) / 0.5; epsilon is outside of the root
        (Adam(0.1, 0.5, 0.5, 1.0), [2.0], [1 - 0.1 * math.sqrt(0.5) / 0.5 * 1 / (math.sqrt(2) + 1)]),
        # 1 loses 0.5 * 0.1 of itself, then 0.1 * 2; 0.75 loses as much a share, then gains 0.3
        (SGD(0.1, weight_decay=0.5), [2.0, -3.0], [0.75, 0.75 * 0.95 + 0.3]),
        # as Adam above, after a decay of 0.5 * 0.1 by the rate itself, not by the corrected one
        (AdamW(0.1, 0.5, 0.5, 1.0, weight_decay=0.5), [2.0],
         [0.95 - 0.1 * math.sqrt(0.5) / 0.5 * 1 / (math.sqrt(2) + 1)]),
        # 2 is cut to 0.5, -0.25 is left
        (SGD(0.1, clipvalue=0.5), [2.0, -0.25], [0.95, 0.975]),
        (SGD(0.1, clipnorm=0.5), [2.0, -0.25], [0.95, 0.975]),
        (SGD(0.1, global_clipnorm=0.5), [2.0, -0.25], [0.95, 0.975]),
        # the rate is 0.1, 0.1, then 0.05
        (SGD(PiecewiseConstantDecay([1], [0.1, 0.05])), [1.0, 1.0, 1.0], [0.9, 0.8, 0.75]),
    ],
    ids=["sgd", "momentum", "nesterov", "rmsprop", "rmsprop-epsilon", "centered", "rmsprop-momentum", "adam", "decay",
         "adamw", "clipvalue", "clipnorm", "global-clipnorm", "schedule"],
)  # fmt: skip
def test_by_hand(optimizer, gradients, weights):
    np.testing.assert_allclose(run(optimizer, 1.0, gradients), weights, rtol=1e-14)


@pytest.mark.parametrize("gradient", [1e-3, -5.0, 1e4])
def test_the_first_step_of_adam_is_its_rate(gradient):
    (weight,) = run(Adam(0.01, epsilon=0.0), 1.0, [gradient])
    np.testing.assert_allclose(weight, 1 - math.copysign(0.01, gradient), rtol=1e-12)


@pytest.mark.parametrize("gradient", [1e-3, -5.0, 1e4])
def test_the_first_step_of_rmsprop_is_its_rate_over_the_root_of_one_minus_rho(gradient):
    (weight,) = run(RMSprop(0.01, 0.9, epsilon=0.0), 1.0, [gradient])
    np.testing.assert_allclose(weight, 1 - math.copysign(0.01, gradient) / math.sqrt(0.1), rtol=1e-12)


def test_the_place_of_epsilon_shows_at_small_gradients():
    small, epsilon = 1e-9, 1e-7
    (rmsprop,) = run(RMSprop(1.0), 0.0, [small])
    (adam,) = run(Adam(1.0), 0.0, [small])
    np.testing.assert_allclose(rmsprop, -small / math.sqrt(0.1 * small**2 + epsilon), rtol=1e-12)
    np.testing.assert_allclose(adam, -small / (small + epsilon / math.sqrt(0.001)), rtol=1e-12)


@pytest.mark.parametrize("iteration", [0, 1, 10, 10_000])
def test_the_coefficient_of_adam(iteration):
    steps = iteration + 1
    expected = 0.001 * math.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
    assert Adam().coefficients(iteration) == {"rate": expected}


@pytest.mark.parametrize("optimizer", [SGD(0.5), RMSprop(0.5)], ids=["sgd", "rmsprop"])
@pytest.mark.parametrize("iteration", [0, 7])
def test_the_coefficient_of_the_others_is_their_rate(optimizer, iteration):
    assert optimizer.coefficients(iteration) == {"rate": 0.5}


@pytest.mark.parametrize(
    ("optimizer", "clipped"),
    [
        (SGD(), {"a": [3.0, 4.0], "b": [0.0, 12.0]}),
        (SGD(clipvalue=3.5), {"a": [3.0, 3.5], "b": [0.0, 3.5]}),
        (SGD(clipnorm=6.0), {"a": [3.0, 4.0], "b": [0.0, 6.0]}),  # norms 5 and 12
        (SGD(clipnorm=2.5), {"a": [1.5, 2.0], "b": [0.0, 2.5]}),
        (SGD(global_clipnorm=6.5), {"a": [1.5, 2.0], "b": [0.0, 6.0]}),  # norm 13
        (SGD(global_clipnorm=14.0), {"a": [3.0, 4.0], "b": [0.0, 12.0]}),
        (SGD(clipnorm=0), {"a": [3.0, 4.0], "b": [0.0, 12.0]}),
        (SGD(global_clipnorm=0), {"a": [3.0, 4.0], "b": [0.0, 12.0]}),
        (SGD(clipvalue=0), {"a": [3.0, 4.0], "b": [0.0, 12.0]}),
    ],
    ids=lambda value: str(value) if isinstance(value, Optimizer) else "",
)
def test_clipping(optimizer, clipped):
    found = optimizer.clip({"a": np.array([3.0, 4.0]), "b": np.array([0.0, 12.0])})
    assert set(found) == set(clipped)
    for name, desired in clipped.items():
        np.testing.assert_allclose(found[name], desired, rtol=1e-15)


@pytest.mark.parametrize("optimizer", [SGD(clipnorm=0.5), SGD(global_clipnorm=0.5)], ids=str)
def test_clipping_a_gradient_of_zero(optimizer):
    np.testing.assert_array_equal(optimizer.clip({"a": np.zeros(3)})["a"], np.zeros(3))


def test_clipping_nothing():
    assert SGD(global_clipnorm=0.5).clip({}) == {}


def test_weights_decay_by_the_rate_of_the_schedule():
    optimizer = Adam(PiecewiseConstantDecay([4], [0.5, 0.25]), weight_decay=0.1)
    assert [optimizer.coefficients(iteration)["decay"] for iteration in (0, 4, 5)] == [0.05, 0.05, 0.025]


@pytest.mark.parametrize("decay", [None, 0.0])
def test_no_decay_has_no_coefficient(decay):
    assert set(Adam(weight_decay=decay).coefficients(0)) == {"rate"}


# Properties of every rule ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", CASES.values(), ids=CASES)
def test_a_step_changes_nothing_in_place(optimizer):
    weight, gradient = WEIGHT.copy(), GRADIENTS[0].copy()
    slots = {name: np.full_like(weight, 0.5) for name in optimizer.slots}
    optimizer.step(weight, gradient, slots, optimizer.coefficients(0))
    np.testing.assert_array_equal(weight, WEIGHT)
    np.testing.assert_array_equal(gradient, GRADIENTS[0])
    assert all((values == 0.5).all() for values in slots.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", CASES.values(), ids=CASES)
def test_a_step_keeps_the_dtype(optimizer, dtype):
    weight = WEIGHT.astype(dtype)
    slots = {name: np.zeros_like(weight) for name in optimizer.slots}
    clipped = optimizer.clip({"weight": GRADIENTS[0].astype(dtype)})["weight"]
    after, slots = optimizer.step(weight, clipped, slots, optimizer.coefficients(0))
    assert {after.dtype, *(values.dtype for values in slots.values())} == {np.dtype(dtype)}


@pytest.mark.parametrize("optimizer", ALL.values(), ids=ALL)
def test_a_training_may_be_cut_in_two(optimizer):
    weight, slots = WEIGHT, dict.fromkeys(optimizer.slots, WEIGHT * 0)
    for iteration in range(UPDATES):
        saved = {name: values.tolist() for name, values in slots.items()}
        slots = {name: np.array(values) for name, values in saved.items()}
        clipped = optimizer.clip({"weight": GRADIENTS[iteration]})["weight"]
        weight, slots = optimizer.step(weight, clipped, slots, optimizer.coefficients(iteration))
    np.testing.assert_array_equal(weight, run(optimizer, WEIGHT, GRADIENTS)[-1])


@pytest.mark.parametrize("optimizer", CASES.values(), ids=CASES)
def test_every_element_is_updated_alone(optimizer):
    together = run(optimizer, WEIGHT, GRADIENTS)[-1]
    alone = [run(optimizer, WEIGHT[index], GRADIENTS[:, *index])[-1] for index in np.ndindex(WEIGHT.shape)]
    np.testing.assert_array_equal(together.ravel(), alone)


@pytest.mark.parametrize("optimizer", CASES.values(), ids=CASES)
def test_a_gradient_of_zero_moves_nothing_from_the_start(optimizer):
    optimizer = dataclasses.replace(optimizer, weight_decay=0.0)
    np.testing.assert_array_equal(run(optimizer, WEIGHT, np.zeros((2, 3, 4)))[-1], WEIGHT)


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (SGD(), ()),
        (SGD(momentum=0.5), ("momentum",)),
        (RMSprop(), ("velocity",)),
        (RMSprop(momentum=0.5), ("velocity", "momentum")),
        (RMSprop(centered=True), ("velocity", "average_gradient")),
        (RMSprop(momentum=0.5, centered=True), ("velocity", "momentum", "average_gradient")),
        (Adam(), ("momentum", "velocity")),
        (AdamW(), ("momentum", "velocity")),
    ],
    ids=str,
)
def test_slots(optimizer, slots):
    assert sorted(optimizer.slots) == sorted(slots)


# Keras -----------------------------------------------------------------------------------------------------------

KERAS = """
import json, sys
import numpy as np
import keras
from keras.src.backend.common import dtypes
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # else norms are computed in float32 (keras#23704)
keras.config.set_floatx("float64")
ask = json.load(open(sys.argv[1]))
answer = {"defaults": {}, "weights": {}}
classes = {make.__name__.lower(): make for make in (
    keras.optimizers.SGD, keras.optimizers.RMSprop, keras.optimizers.Adam, keras.optimizers.AdamW
)}
for name, make in classes.items():
    config = make().get_config()
    answer["defaults"][name] = {key: config[key] for key in ask["defaults"][name]}
for name, arguments in ask["cases"].items():
    make = classes[arguments.pop("name")]
    if isinstance(arguments["learning_rate"], dict):
        schedule = arguments["learning_rate"]
        arguments["learning_rate"] = getattr(keras.optimizers.schedules, schedule["class_name"])(**schedule["config"])
    optimizer = make(**arguments)
    variables = [keras.Variable(np.array(values), dtype="float64") for values in ask["weight"]]
    found = []
    for gradient in ask["gradients"]:
        optimizer.apply([keras.ops.convert_to_tensor(np.array(g), dtype="float64") for g in gradient], variables)
        found.append([keras.ops.convert_to_numpy(variable.value).tolist() for variable in variables])
    answer["weights"][name] = found
answer["epsilon"] = keras.config.epsilon()
json.dump(answer, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def keras(ask_keras):
    defaults = {name: dataclasses.asdict(make()) for name, make in OPTIMIZERS.items()}
    cases = {name: optimizer_to_dict(optimizer) for name, optimizer in ALL.items()}
    data = {"cases": cases, "defaults": defaults, "weight": WEIGHT.tolist(), "gradients": GRADIENTS.tolist()}
    return ask_keras(KERAS, data)


@pytest.mark.parametrize("name", ALL)
def test_the_rule_is_keras_own(keras, name):
    """Each of the three rows is a weight of its own, so that gradients are clipped one by one, or together."""
    optimizer, weights = ALL[name], dict(enumerate(WEIGHT))
    slots = {row: dict.fromkeys(optimizer.slots, WEIGHT[row] * 0) for row in weights}
    for iteration, (gradient, desired) in enumerate(zip(GRADIENTS, keras["weights"][name], strict=True)):
        coefficients = optimizer.coefficients(iteration)
        for row, clipped in optimizer.clip(dict(enumerate(gradient))).items():
            weights[row], slots[row] = optimizer.step(weights[row], clipped, slots[row], coefficients)
        np.testing.assert_allclose(list(weights.values()), desired, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_defaults_are_keras_own(keras, name):
    found = dataclasses.asdict(OPTIMIZERS[name]())
    assert set(keras["defaults"][name]) == set(found)
    for argument, default in keras["defaults"][name].items():
        assert default == (found[argument] if found[argument] is None else pytest.approx(found[argument], rel=1e-7))


def test_epsilon_is_keras_own(keras):
    assert keras["epsilon"] == EPSILON
