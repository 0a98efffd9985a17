"""The optimizers' cases: every pair of choices once, tokens that repeat, and no option that changes nothing."""

import dataclasses
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from multilstm.cases.catalogue.optimizers import ACTING, CLIPS, RULES, SCHEDULES, optimizers
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Job
from multilstm.spec.optimizers import OPTIMIZERS
from multilstm.spec.schedules import SCHEDULES as CLASSES
from multilstm.spec.schedules import Schedule
from multilstm.weights.initializers import discriminating_weights

CASES = {case.name: case for case in optimizers()}


def choices(case):
    """Return the five choices of a case, read off the case itself."""
    optimizer = case.optimizer
    rule = type(optimizer).__name__.lower()
    given = {
        field.name: getattr(optimizer, field.name)
        for field in dataclasses.fields(optimizer)
        if getattr(optimizer, field.name) != field.default and field.name not in ("learning_rate", "weight_decay")
    }
    clip = next((index for index, clip in enumerate(CLIPS) if clip and set(clip) <= set(given)), 0)
    own = {key: value for key, value in given.items() if key not in CLIPS[clip]}
    rate = type(optimizer.learning_rate).__name__ if isinstance(optimizer.learning_rate, Schedule) else "constant"
    schedule = {"float": "constant", "CosineDecay": "cosine", "PiecewiseConstantDecay": "piecewise"}.get(rate, rate)
    acting = (optimizer.weight_decay == 0.05, bool(case.spec.constraints))
    return (
        rule,
        clip,
        schedule if schedule in SCHEDULES else "decay",
        {(False, False): "alone", (True, False): "decaying", (False, True): "constrained"}.get(acting, ACTING[3]),
        RULES[rule][2].index(own),
    )


@pytest.mark.parametrize(("first", "second"), list(combinations(range(5), 2)))
def test_every_pair_of_choices_stands_together_once(first, second):
    counts = Counter((choices(case)[first], choices(case)[second]) for case in CASES.values())
    assert len(counts) == 16
    assert set(counts.values()) == {1}


def test_there_are_sixteen():
    assert len(CASES) == 16
    assert {choices(case)[0] for case in CASES.values()} == set(OPTIMIZERS)


def test_every_schedule_is_used():
    rates = {type(case.optimizer.learning_rate) for case in CASES.values()}
    assert rates - {float} == set(CLASSES.values())


@pytest.mark.parametrize("name", CASES)
def test_tokens_repeat_in_every_batch(name):
    for batch in CASES[name].updates_on.batches():
        tokens = batch.inputs["input_layer"]
        assert np.bincount(tokens[tokens > 0]).max() > 1


def after(case, optimizer, spec):
    steps = tuple(case.update_steps())
    job = Job(spec, discriminating_weights(spec, case.seed), steps, "float64", loss=case.loss, optimizer=optimizer)
    return Executor(ReferenceEngine()).execute(job).weights


@pytest.fixture(scope="module")
def trained():
    return {name: after(case, case.optimizer, case.spec) for name, case in CASES.items()}


OPTIONS = [
    (name, field.name)
    for name, case in CASES.items()
    for field in dataclasses.fields(case.optimizer)
    if getattr(case.optimizer, field.name) != field.default
]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_no_option_changes_nothing(trained, name, option):
    case = CASES[name]
    default = {field.name: field.default for field in dataclasses.fields(case.optimizer)}[option]
    if isinstance(case.optimizer.learning_rate, Schedule) and option == "learning_rate":
        default = case.optimizer.learning_rate(0) or 0.01
    without = after(case, dataclasses.replace(case.optimizer, **{option: default}), case.spec)
    moved = max(np.abs(without[key] - trained[name][key]).max() for key in without)
    assert moved > 1e-5  # the tolerance is 1e-9 of the largest weight


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.spec.constraints])
def test_constraints_act(trained, name):
    case = CASES[name]
    unlimited = next(other.spec for other in CASES.values() if not other.spec.constraints)
    without = after(case, case.optimizer, unlimited)
    assert max(np.abs(without[key] - trained[name][key]).max() for key in without) > 1e-3
