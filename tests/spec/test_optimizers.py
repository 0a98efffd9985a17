"""Optimizers as data: to JSON and back, and the names and numbers that are refused."""

import dataclasses
import json
import math

import pytest
from optimizer_cases import ALL

from multilstm.errors import UsageError
from multilstm.spec.optimizers import (
    LOSSES,
    OPTIMIZERS,
    SGD,
    Adam,
    Optimizer,
    RMSprop,
    RMSpropKeras2,
    optimizer_from_dict,
    optimizer_to_dict,
)

NUMBERS = [
    (make, field.name) for make in OPTIMIZERS.values() for field in dataclasses.fields(make)
    if not isinstance(field.default, bool)
]  # fmt: skip


@pytest.mark.parametrize("optimizer", ALL.values(), ids=ALL)
def test_optimizers_travel_as_json(optimizer):
    assert optimizer_from_dict(json.loads(json.dumps(optimizer_to_dict(optimizer)))) == optimizer


def test_names_of_optimizers_and_losses():
    assert list(OPTIMIZERS) == ["sgd", "rmsprop", "adam", "adamw"]
    assert LOSSES == ("categorical_crossentropy", "mean_squared_error")
    assert all(issubclass(make, Optimizer) for make in OPTIMIZERS.values())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "adagrad"}, "unknown optimizer 'adagrad': expected one of sgd, rmsprop, adam, adamw"),
        ({"name": "nadam"}, "unknown optimizer 'nadam': expected one of sgd, rmsprop, adam, adamw"),
        ({}, "unknown optimizer None: expected one of sgd, rmsprop, adam, adamw"),
        ({"name": "sgd", "rho": 0.5}, "optimizer 'sgd': .*unexpected keyword argument 'rho'"),
        ({"name": "adam", "amsgrad": True}, "optimizer 'adam': .*unexpected keyword argument 'amsgrad'"),
        ({"name": "adamw", "amsgrad": True}, "optimizer 'adamw': .*unexpected keyword argument 'amsgrad'"),
    ],
    ids=str,
)
def test_refuses_data(data, message):
    with pytest.raises(UsageError, match=message):
        optimizer_from_dict(data)


@pytest.mark.parametrize(("make", "argument"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_none_is_taken_where_it_is_the_default(make, argument):
    default = {field.name: field.default for field in dataclasses.fields(make)}[argument]
    if default is None:
        assert getattr(make(**{argument: None}), argument) is None
    else:
        with pytest.raises(UsageError, match=rf"{make.__name__}: {argument} must be a finite number .*, got None"):
            make(**{argument: None})


@pytest.mark.parametrize(("make", "argument"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_whole_numbers_become_floats(make, argument):
    """Keras refuses some integers, as for the learning rate."""
    found = getattr(make(**{argument: 0}), argument)
    assert repr(found) == "0.0"


@pytest.mark.parametrize(
    "given", [("clipnorm", "clipvalue"), ("clipnorm", "global_clipnorm"), ("clipvalue", "global_clipnorm")], ids=str
)
def test_refuses_two_kinds_of_clipping(given):
    with pytest.raises(UsageError, match="SGD: only one of clipnorm, clipvalue, global_clipnorm may be set, got"):
        SGD(**dict.fromkeys(given, 0.0))


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, True, "0.1", [0.1]], ids=repr)
@pytest.mark.parametrize(("make", "argument"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_refuses_a_number(make, argument, value):
    with pytest.raises(
        UsageError, match=rf"{make.__name__}: {argument} must be a finite number that is not negative, got "
    ):
        make(**{argument: value})


@pytest.mark.parametrize("value", [0, 1, None, "yes"], ids=repr)
@pytest.mark.parametrize(("make", "argument"), [(SGD, "nesterov"), (RMSprop, "centered")])
def test_refuses_values_that_are_not_booleans(make, argument, value):
    with pytest.raises(UsageError, match=rf"{make.__name__}: {argument} must be True or False, got {value!r}"):
        make(**{argument: value})


@pytest.mark.parametrize(
    ("make", "argument", "value"),
    [(SGD, "momentum", 1.5), (RMSprop, "rho", 1.5), (Adam, "beta_1", 1.0), (Adam, "beta_2", 1.0)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_refuses_a_share_above_one(make, argument, value):
    with pytest.raises(
        UsageError, match=rf"{make.__name__}: {argument} is a share of the previous value, below 1, got {value}"
    ):
        make(**{argument: value})


def test_the_base_has_no_rule():
    with pytest.raises(NotImplementedError):
        Optimizer().step(0.0, 0.0, {}, {})


@pytest.mark.parametrize("arguments", [{}, {"learning_rate": 0.3, "epsilon": 0.01, "clipvalue": 0.5}], ids=str)
def test_the_rule_of_keras_2_travels_as_json(arguments):
    optimizer = RMSpropKeras2(**arguments)
    assert optimizer_from_dict(json.loads(json.dumps(optimizer_to_dict(optimizer)))) == optimizer


@pytest.mark.parametrize("centered", [False, True], ids=["plain", "centered"])
def test_the_rule_of_keras_2_by_hand(centered):
    """Two updates of one weight; small gradients, so that the place of epsilon decides the step."""
    rule, weight, gradients = RMSpropKeras2(0.1, rho=0.75, epsilon=1e-4, centered=centered), 1.0, (1e-5, -3e-5)
    slots, desired, velocity, mean = dict.fromkeys(rule.slots, 0.0), 1.0, 0.0, 0.0
    for iteration, gradient in enumerate(gradients):
        weight, slots = rule.step(weight, gradient, slots, rule.coefficients(iteration))
        velocity, mean = 0.75 * velocity + 0.25 * gradient**2, 0.75 * mean + 0.25 * gradient
        desired -= 0.1 * gradient / (math.sqrt(velocity - (mean**2 if centered else 0.0)) + 1e-4)
    assert weight == pytest.approx(desired, rel=1e-14)
    inside, _ = RMSprop(0.1, rho=0.75, epsilon=1e-4, centered=centered).step(
        1.0, gradients[0], dict.fromkeys(rule.slots, 0.0), rule.coefficients(0)
    )
    assert abs(inside - 1.0) < 0.1 * abs(desired - 1.0)
