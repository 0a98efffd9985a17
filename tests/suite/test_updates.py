"""Updates of a file whose gradients have a known fault: the fault is computed too, and other faults are still seen."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from multilstm.cases.model_case import model_case
from multilstm.compare import AGREES
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.reference.faults import SOFTPLUS_ENDS
from multilstm.errors import InputError, ParityError, UnsupportedError, WorkerError
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.files.compiled import Compiled, OptimizerState
from multilstm.spec import LSTM, Bidirectional, Dense, LayerNormalization, Sequential
from multilstm.spec.optimizers import Adam
from multilstm.spec.training import Training
from multilstm.suite import conversion
from multilstm.suite.conversion import check_updates
from multilstm.suite.keras_file import KERAS
from multilstm.suite.updates import compared_updates, executed_loss

SPEC = Sequential(
    [
        *(Bidirectional(LSTM(16, return_sequences=True)), LayerNormalization()),
        *(LSTM(8, recurrent_activation="hard_sigmoid"), Dense(3, "softmax")),
    ],
    (20, 6),
)
TRAINING = Training(Adam(), ("CategoricalCrossentropy",))
BIAS = "lstm/bias"


def executed(job):
    return Executor(ReferenceEngine()).execute(job)


def as_in_the_file(job):
    return executed(dataclasses.replace(job, faults=(SOFTPLUS_ENDS,)))


def with_rate(job):
    optimizer = dataclasses.replace(job.optimizer, learning_rate=job.optimizer.learning_rate * 1.01)
    return as_in_the_file(dataclasses.replace(job, optimizer=optimizer))


@dataclasses.dataclass(frozen=True)
class CorrectedAdam(Adam):
    """Adam with epsilon next to the root of the corrected velocity, as in Algorithm 1 of the paper and in PyTorch."""

    def coefficients(self, iteration):
        correction = (1 - self.beta_2 ** (iteration + 1)) ** 0.5
        return {**super().coefficients(iteration), "epsilon": self.epsilon * correction}

    def _rule(self, weight, gradient, slots, coefficients):
        moved = dataclasses.replace(self, epsilon=coefficients["epsilon"])
        return Adam._rule(moved, weight, gradient, slots, coefficients)


def with_epsilon(job):
    optimizer = CorrectedAdam(learning_rate=job.optimizer.learning_rate)
    return as_in_the_file(dataclasses.replace(job, optimizer=optimizer))


def without_training(job):
    result = as_in_the_file(job)
    answers = [
        dataclasses.replace(answer, weights={**answer.weights, BIAS: job.weights[BIAS].astype(np.float64)})
        if answer.weights
        else answer
        for answer in result.answers
    ]
    return dataclasses.replace(result, answers=tuple(answers))


def comparisons(engine, faults):
    """Return the comparisons of an engine that is a function of a job."""
    pool = SimpleNamespace(execute=lambda name, job: (engine if name == "file" else executed)(job))
    execution = Execution(pool, "file", model_case(SPEC), "float64", Options(("file",)))
    return list(compared_updates(execution, TRAINING, OptimizerState(), 2, faults))


def differing(compared):
    return {comparison.quantity.where for comparison in compared if comparison.verdict not in AGREES}


def test_adam_amplifies_a_known_fault_of_gradients_beyond_the_tolerance():
    assert differing(comparisons(as_in_the_file, ()))


def test_a_reference_with_the_known_fault_agrees():
    compared = comparisons(as_in_the_file, (SOFTPLUS_ENDS,))
    assert {comparison.quantity.kind for comparison in compared} == {"weights", "slots"}
    assert not differing(compared)


@pytest.mark.parametrize("fault", [with_rate, with_epsilon], ids=["rate", "epsilon"])
def test_a_fault_of_the_optimizer_is_seen_beside_the_known_one(fault):
    assert {f"updates_1/{name}" for name in SPEC.trainable_weights} <= differing(comparisons(fault, (SOFTPLUS_ENDS,)))


def test_a_weight_that_is_not_trained_is_seen_beside_the_known_fault():
    assert differing(comparisons(without_training, (SOFTPLUS_ENDS,))) == {f"updates_{n}/{BIAS}" for n in (1, 2)}


@pytest.mark.parametrize(
    ("error", "verdict", "message"),
    [
        (InputError("given 3"), "error", "engine 'file': InputError: given 3"),
        (WorkerError("no answer", kind="timeout"), "error", "no answer"),
        (UnsupportedError("no slots"), "unsupported", "no slots"),
    ],
    ids=["refusal", "timeout", "unsupported"],
)
def test_an_engine_that_fails_is_an_error_of_every_array(error, verdict, message):
    def failing(job):
        raise error

    compared = tuple(comparisons(failing, ()))
    assert {comparison.quantity.kind for comparison in compared} == {"weights", "slots"}
    assert {(comparison.verdict, comparison.message) for comparison in compared} == {(verdict, message)}
    with pytest.raises(ParityError, match=f"^after updates with the optimizer of the file, {message}. To leave"):
        check_updates(compared, "the file")


def test_arrays_that_an_engine_leaves_out_are_missing():
    def without_bias(job):
        result = executed(job)
        weights = {name: array for name, array in result.answers[0].weights.items() if name != BIAS}
        return dataclasses.replace(result, answers=(dataclasses.replace(result.answers[0], weights=weights),))

    compared = comparisons(without_bias, ())
    missing = {comparison.quantity.where for comparison in compared if "it is missing" in comparison.message}
    assert {f"updates_1/{BIAS}"} | {f"updates_2/{name}" for name in SPEC.trainable_weights} <= missing


@pytest.mark.parametrize(
    ("losses", "loss"),
    [
        (("MeanSquaredError",), "mean_squared_error"),
        (("MeanSquaredError", "MeanSquaredError"), "mean_squared_error"),
        (("Hinge",), None),
        (("MeanSquaredError", "CategoricalCrossentropy"), None),
    ],
    ids=["executed", "twice", "not_executed", "several"],
)
def test_the_loss_of_a_training_is_executed_or_another_one_is_noted(losses, loss, monkeypatch):
    training = Training(Adam(), losses)
    assert executed_loss(training) == loss
    monkeypatch.setattr(conversion, "compared_updates", lambda *_: [])
    execution = SimpleNamespace(case=SimpleNamespace(spec=Sequential([LSTM(2), Dense(1)], input_shape=(None, 3))))
    _, notes = conversion._updated(execution, KERAS, Compiled(training), 1, ())
    assert [losses[0] in note and "mean_squared_error" in note for note in notes] == ([] if loss else [True])
