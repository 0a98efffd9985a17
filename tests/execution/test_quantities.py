"""The quantities of a case's parts: each has its name, and a fault in a quantity is reported under that name."""

import dataclasses

import numpy as np
import pytest

from multilstm.cases.case import MILESTONES, UPDATES, Case, Fit
from multilstm.cases.recipes import Sequences
from multilstm.compare import Quantity, compare, tolerance
from multilstm.engines.base import AbstractEngine
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine, ReferenceProgram
from multilstm.execution import execution
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.frameworks import numpy as numpy_platform
from multilstm.jobs.job import Job, Step
from multilstm.spec import LSTM, Dense, Masking, Sequential
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import Adam
from multilstm.weights.initializers import discriminating_weights

SPEC = Sequential(
    [LSTM(3, return_sequences=True, stateful=True), LSTM(4), Dense(2, activation="softmax")],
    input_shape=(5, 2),
    batch_size=3,
)
DATA = Sequences(6, 5, 2, 3, targets=((2,),), states=(("lstm_1", 4),), seed=1)
CASE = Case(
    "case", "", SPEC, DATA, "categorical_crossentropy", Adam(0.01), training=(Fit(DATA, epochs=2),), updates_on=DATA
)
OPTIONS = Options(("reference",), ("float64",))
LAYERS = ("lstm", "lstm_1", "dense")
WEIGHTS = tuple(SPEC.weight_shapes)
SLOTS = tuple(f"{name}/{slot}" for name in WEIGHTS for slot in ("momentum", "velocity"))


class InProcess:
    """A substitute for a pool of workers: one engine in this process."""

    def __init__(self, engine):
        self.executor = Executor(engine)

    def execute(self, _, job):
        return self.executor.execute(job)


def given(part, case=CASE, engine=None):
    pool = InProcess(ReferenceEngine() if engine is None else engine)
    quantities = Execution(pool, "reference", case, "float64", OPTIONS).quantities(Part(part))
    return {str(quantity): arrays for quantity, arrays in quantities.items()}


def states(*names, kind=""):
    return {f"{kind}{field}:{name}" for name in names for field in State._fields}


def test_names_of_forward():
    assert set(given("forward")) == {
        "parameter_count",
        *(f"parameter_count:{name}" for name in (*LAYERS, *WEIGHTS)),
        *(f"weight_shape:{name}" for name in WEIGHTS),
        "output",
        "sequence:lstm",
        "last_output:lstm_1",
        *states("lstm", "lstm_1", "lstm/after_reset", "lstm_1/after_reset"),
    }


def test_names_of_gradient():
    assert set(given("gradient")) == {
        *(f"gradient:{name}" for name in WEIGHTS),
        "input_gradient:input_layer",
        "state_gradient:lstm_1/hidden",
        "state_gradient:lstm_1/cell",
    }


def test_names_of_program():
    assert set(given("program")) == {
        "loss:program",
        "accuracy:program",
        *(f"weights:program/{name}" for name in WEIGHTS),
        *(f"slots:program/{name}" for name in SLOTS),
        *states("lstm/program", "lstm_1/program", kind="trained_"),
    }


def test_names_of_updates():
    assert MILESTONES == (1, 10, 100)
    assert set(given("updates")) == {
        "loss:updates",
        *(f"weights:updates_{number}/{name}" for number in MILESTONES for name in WEIGHTS),
        *(f"slots:updates_{number}/{name}" for number in MILESTONES for name in SLOTS),
        *states("lstm/updates", "lstm_1/updates", kind="trained_"),
    }


@pytest.mark.parametrize("part", Part, ids=str)
def test_a_part_gives_its_kinds_and_no_others(part):
    assert {Quantity.parse(name).kind for name in given(part)} == set(part.kinds)


def test_counts_of_weights_add_up():
    found = given("forward")
    for layer in LAYERS:
        weights = [found[f"parameter_count:{name}"][0] for name in WEIGHTS if name.startswith(f"{layer}/")]
        assert sum(weights) == found[f"parameter_count:{layer}"][0] == SPEC.parameter_counts[layer]
    assert found["weight_shape:lstm_1/kernel"][0].tolist() == [3, 16]


def test_states_after_a_reset_are_those_of_the_first_batch_alone():
    found = given("forward")
    for name in ("hidden:lstm", "cell:lstm"):
        first, last = found[name]
        (again,) = found[f"{name}/after_reset"]
        np.testing.assert_array_equal(again, first)
        assert np.abs(again - last).max() > 1e-3


def test_the_last_output_is_the_array_that_the_layer_returned():
    layers = [Masking(), LSTM(3, zero_output_for_mask=True), Dense(2)]
    spec = Sequential(layers, input_shape=(5, 2))
    data = Sequences(2, 5, 2, 2)
    (batch,) = data.batches()
    batch.inputs["input_layer"][0, 3:] = 0.0
    step = Step("forward", batch, keep=("outputs", "sequences", "states"))
    answer = Executor(ReferenceEngine()).execute(Job(spec, discriminating_weights(spec), (step,), "float64")).answers[0]
    np.testing.assert_array_equal(answer.last_outputs["lstm"][0], np.zeros(3))
    np.testing.assert_array_equal(answer.last_outputs["lstm"][1], answer.states["lstm"].hidden[1])
    assert answer.states["lstm"].hidden[0].all()
    assert answer.sequences == {}


@pytest.mark.parametrize("cut", [False, True], ids=["one_job", "a_job_an_update"])
@pytest.mark.parametrize("number", MILESTONES)
def test_weights_and_slots_after_some_updates(monkeypatch, number, cut):
    if cut:
        monkeypatch.setattr(execution, "JOB_BYTES", 1.0)
    found = given("updates")
    steps = tuple(CASE.update_steps())
    assert len(steps) == UPDATES
    job = Job(SPEC, discriminating_weights(SPEC), steps[:number], "float64", loss=CASE.loss, optimizer=CASE.optimizer)
    desired = Executor(ReferenceEngine()).execute(job)
    for name in WEIGHTS:
        np.testing.assert_array_equal(found[f"weights:updates_{number}/{name}"], [desired.weights[name]])
    for name in SLOTS:
        np.testing.assert_array_equal(found[f"slots:updates_{number}/{name}"], [desired.slots[name]])


# A fault in one quantity -----------------------------------------------------------------------------------------


def faulty(change):
    """Return the reference with a fault in its answers."""

    class Program:
        def __init__(self, program):
            self._program = program

        def __getattr__(self, name):
            return getattr(self._program, name)

        def step(self, kind, batch, states):
            return change(self._program.step(kind, batch, states))

    class Engine(AbstractEngine):
        platform = numpy_platform

        def prepare(self, job):
            return Program(ReferenceEngine().prepare(job))

        def operations(self):
            return ReferenceEngine().operations()

    return Engine()


def scaled(field, scale):
    def change(answer):
        return dataclasses.replace(answer, **{field: {k: scale(v) for k, v in getattr(answer, field).items()}})

    return change


FAULTS = {
    "input_gradient": ("gradient", scaled("input_gradients", lambda array: array * (1 + 1e-11))),
    "state_gradient": ("gradient", scaled("state_gradients", lambda state: State(state.cell, state.hidden))),
    "last_output": ("forward", scaled("last_outputs", lambda array: array + 1e-13)),
    "gradient": ("gradient", scaled("gradients", lambda array: array * (1 + 1e-11))),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_shows_in_its_quantity_alone(kind):
    part, change = FAULTS[kind]
    assert different(given(part), given(part, engine=faulty(change))) == {kind}


@pytest.mark.parametrize("kind", ["weights", "slots"])
def test_an_update_that_loses_a_slot_shows(monkeypatch, kind):
    """The velocity is not kept from update to update: it is right after the first, and wrong after ten."""
    right = given("updates")
    true_update = ReferenceProgram._update

    def update(self, gradients):
        true_update(self, gradients)
        self._slots = {name: slot * (0 if name.endswith("velocity") else 1) for name, slot in self._slots.items()}

    monkeypatch.setattr(ReferenceProgram, "_update", update)
    wrong = given("updates")
    assert kind in different(right, wrong)
    assert not any(name.startswith("weights:updates_1/") for name in names_that_differ(right, wrong))


def names_that_differ(desired, actual):
    assert set(desired) == set(actual)
    return [
        name
        for name, arrays in desired.items()
        for right, found in zip(arrays, actual[name], strict=True)
        if compare(Quantity.parse(name), found, right, tolerance("float64", "cpu", Quantity.parse(name).kind)).verdict
        == "diverges"
    ]


def different(desired, actual):
    return {Quantity.parse(name).kind for name in names_that_differ(desired, actual)}
