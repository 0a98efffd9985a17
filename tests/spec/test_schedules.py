"""The learning-rate schedules: against numbers worked out by hand, and against Keras's own in a process of theirs."""

import dataclasses
import inspect
import json
import math

import pytest

from multilstm.errors import UsageError
from multilstm.spec.optimizers import SGD, optimizer_from_dict
from multilstm.spec.schedules import (
    SCHEDULES,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
    Schedule,
    schedule_from_dict,
    schedule_to_dict,
)

CASES = {
    "exponential": ExponentialDecay(0.1, 7, 0.6),
    "exponential-rising": ExponentialDecay(0.1, 20, 1.5),
    "exponential-staircase": ExponentialDecay(0.1, 7, 0.6, True),
    "inverse": InverseTimeDecay(0.1, 7, 0.6),
    "inverse-staircase": InverseTimeDecay(0.1, 7, 0.6, True),
    "cosine": CosineDecay(0.1, 20),
    "cosine-alpha": CosineDecay(0.1, 20, 0.3),
    "cosine-warmup": CosineDecay(0.01, 20, 0.3, 0.1, 6),
    "cosine-warmup-from-zero": CosineDecay(0.0, 20, warmup_target=0.1, warmup_steps=6),
    "cosine-warmup-of-no-steps": CosineDecay(0.05, 20, warmup_target=0.1),
    "cosine-steps-without-a-target": CosineDecay(0.1, 20, warmup_steps=6),
    "polynomial": PolynomialDecay(0.1, 9),
    "polynomial-power": PolynomialDecay(0.1, 9, 0.02, 2.5),
    "polynomial-cycle": PolynomialDecay(0.1, 9, 0.02, 0.5, True),
    "piecewise": PiecewiseConstantDecay([3, 10], [0.1, 0.02, 0.05]),
    "piecewise-one": PiecewiseConstantDecay([0], [0.1, 0.02]),
}
ITERATIONS = [*range(31), 1000]


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (ExponentialDecay(0.8, 2, 0.25), {0: 0.8, 1: 0.4, 2: 0.2, 4: 0.05}),
        (ExponentialDecay(0.8, 2, 0.25, True), {0: 0.8, 1: 0.8, 2: 0.2, 3: 0.2, 4: 0.05}),
        (InverseTimeDecay(0.6, 2, 4.0), {0: 0.6, 1: 0.2, 2: 0.12}),
        (InverseTimeDecay(0.6, 2, 4.0, True), {0: 0.6, 1: 0.6, 2: 0.12, 3: 0.12}),
        (CosineDecay(0.8, 6), {0: 0.8, 2: 0.6, 3: 0.4, 4: 0.2, 6: 0.0, 7: 0.0}),
        (CosineDecay(0.8, 6, 0.5), {0: 0.8, 2: 0.7, 6: 0.4, 100: 0.4}),
        (CosineDecay(0.2, 6, 0.5, 0.8, 3), {0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8, 5: 0.7, 9: 0.4, 10: 0.4}),
        (PolynomialDecay(0.5, 4, 0.1), {0: 0.5, 1: 0.4, 3: 0.2, 4: 0.1, 9: 0.1}),
        (PolynomialDecay(0.5, 4, 0.1, 2.0), {0: 0.5, 2: 0.2, 4: 0.1}),
        (PolynomialDecay(0.5, 4, 0.1, cycle=True), {0: 0.5, 4: 0.1, 5: 0.25, 8: 0.1, 9: 0.2}),
        (PiecewiseConstantDecay([1, 3], [0.3, 0.2, 0.1]), {0: 0.3, 1: 0.3, 2: 0.2, 3: 0.2, 4: 0.1, 99: 0.1}),
    ],
    ids=str,
)
def test_by_hand(schedule, rates):
    assert {iteration: schedule(iteration) for iteration in rates} == {
        iteration: pytest.approx(rate, rel=1e-14, abs=1e-16) for iteration, rate in rates.items()
    }


@pytest.mark.parametrize("schedule", CASES.values(), ids=CASES)
def test_a_rate_is_a_float(schedule):
    assert {type(schedule(iteration)) for iteration in ITERATIONS} == {float}


# Keras -----------------------------------------------------------------------------------------------------------

KERAS = """
import inspect, json, sys
import keras
from keras.src.backend.common import dtypes
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
keras.config.set_floatx("float64")
ask = json.load(open(sys.argv[1]))
answer = {"rates": {}, "arguments": {}, "config": {}}
for name in ask["schedules"]:
    arguments = inspect.signature(getattr(keras.optimizers.schedules, name)).parameters.values()
    answer["arguments"][name] = {a.name: None if a.default is a.empty else a.default for a in arguments}
for name, case in ask["cases"].items():
    schedule = getattr(keras.optimizers.schedules, case["class_name"])(**case["config"])
    answer["rates"][name] = [float(schedule(keras.ops.convert_to_tensor(i, "int32"))) for i in ask["iterations"]]
    answer["config"][name] = keras.optimizers.SGD(schedule).get_config()["learning_rate"]
json.dump(answer, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def keras(ask_keras):
    cases = {name: schedule_to_dict(schedule) for name, schedule in CASES.items()}
    return ask_keras(KERAS, {"cases": cases, "schedules": list(SCHEDULES), "iterations": ITERATIONS})


@pytest.mark.parametrize("name", CASES)
def test_the_rates_are_keras_own(keras, name):
    found = [CASES[name](iteration) for iteration in ITERATIONS]
    assert found == pytest.approx(keras["rates"][name], rel=1e-13, abs=1e-17)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_arguments_are_keras_own(keras, name):
    arguments = inspect.signature(SCHEDULES[name]).parameters.values()
    found = {a.name: None if a.default is a.empty else a.default for a in arguments}
    assert found == {key: value for key, value in keras["arguments"][name].items() if key != "name"}


@pytest.mark.parametrize("name", CASES)
def test_reads_the_json_of_keras(keras, name):
    assert schedule_from_dict(keras["config"][name]) == CASES[name]
    assert optimizer_from_dict({"name": "sgd", "learning_rate": keras["config"][name]}) == SGD(CASES[name])


# As data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", CASES.values(), ids=CASES)
def test_schedules_travel_as_json(schedule):
    again = schedule_from_dict(json.loads(json.dumps(schedule_to_dict(schedule))))
    assert again == schedule
    assert hash(again) == hash(schedule)


def test_every_schedule_is_tested():
    assert {type(schedule) for schedule in CASES.values()} == set(SCHEDULES.values())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"class_name": "CosineDecayRestarts"}, "unknown schedule 'CosineDecayRestarts': expected one of Exponential"),
        ({}, "unknown schedule None: expected one of ExponentialDecay"),
        ({"class_name": "CosineDecay", "config": {"rho": 1}}, "schedule 'CosineDecay': .*unexpected keyword .*'rho'"),
        ({"class_name": "CosineDecay", "config": {}}, "schedule 'CosineDecay': .*missing 2 required"),
    ],
    ids=str,
)
def test_refuses_data(data, message):
    with pytest.raises(UsageError, match=message):
        schedule_from_dict(data)


NUMBERS = [
    (name, field.name) for name, schedule in CASES.items() for field in dataclasses.fields(schedule)
    if field.name in ("initial_learning_rate", "decay_rate", "alpha", "warmup_target", "end_learning_rate", "power")
]  # fmt: skip


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, True, "0.1"], ids=repr)
@pytest.mark.parametrize(("name", "argument"), NUMBERS)
def test_refuses_a_number(name, argument, value):
    with pytest.raises(UsageError, match=rf"Decay: {argument} must be a finite number that is not negative, got "):
        dataclasses.replace(CASES[name], **{argument: value})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cosine", {"decay_steps": 0}, "CosineDecay: decay_steps must be a whole number of at least 1, got 0"),
        ("cosine", {"decay_steps": 2.5}, "CosineDecay: decay_steps must be a whole number of at least 1, got 2.5"),
        ("cosine", {"warmup_steps": -1}, "CosineDecay: warmup_steps must be a whole number of at least 0, got -1"),
        ("exponential", {"staircase": 1}, "ExponentialDecay: staircase must be True or False, got 1"),
        ("piecewise", {"boundaries": [10, 3]}, "PiecewiseConstantDecay: boundaries must rise, got "),
        ("piecewise", {"boundaries": [3, 3]}, "PiecewiseConstantDecay: boundaries must rise, got "),
        ("piecewise", {"boundaries": [3]}, "1 boundaries need 2 values, got 3"),
        ("piecewise", {"boundaries": []}, "boundaries must be a list of whole numbers that are not negative, got "),
        ("piecewise", {"boundaries": [1.5, 2]}, "boundaries must be a list of whole numbers that are not negative"),
        ("piecewise", {"values": 0.1}, "values must be a list of finite numbers that are not negative, got 0.1"),
        ("piecewise", {"values": [0.1, -1, 1]}, "values must be a list of finite numbers that are not negative"),
    ],
    ids=str,
)
def test_refuses_an_argument(name, change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(CASES[name], **change)


def test_the_base_has_no_rule():
    with pytest.raises(NotImplementedError):
        Schedule()(0)
