"""The moving statistics of BatchNormalization in the reference: an update sets them, and nothing else does."""

import numpy as np
import pytest

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import BatchNormalization, Sequential
from multilstm.spec.optimizers import SGD

X = np.array([[[1.0], [3.0], [100.0]], [[5.0], [7.0], [100.0]]])
KEEP = np.array([[True, True, False]] * 2)
WEIGHTS = {"gamma": 2.0, "beta": 1.0, "moving_mean": 10.0, "moving_variance": 4.0}


def trained(kind, **options):
    spec = Sequential([BatchNormalization(momentum=0.75, name="bn", **options)], input_shape=(3, 1))
    weights = {f"bn/{name}": np.array([value]) for name, value in WEIGHTS.items()}
    step = Step(kind, Batch({"input_layer": X}, (np.zeros_like(X),), {"input_layer": KEEP}), keep=("outputs",))
    job = Job(spec, weights, (step,), "float64", loss="mean_squared_error", optimizer=SGD(0.0))
    return Executor(ReferenceEngine()).execute(job)


def test_an_update_moves_the_statistics_towards_those_of_the_timesteps_that_count():
    weights = trained("update").weights
    np.testing.assert_allclose(weights["bn/moving_mean"], 0.75 * 10 + 0.25 * 4, rtol=1e-6)
    np.testing.assert_allclose(weights["bn/moving_variance"], 0.75 * 4 + 0.25 * 5, rtol=1e-6)


@pytest.mark.parametrize("kind", ["forward", "evaluate", "gradient"])
def test_another_step_leaves_the_statistics(kind):
    weights = trained(kind).weights
    assert weights["bn/moving_mean"] == 10.0
    assert weights["bn/moving_variance"] == 4.0


@pytest.mark.parametrize(
    ("kind", "options"), [("forward", {}), ("update", {"trainable": False})], ids=["forward", "frozen"]
)
def test_inference_normalizes_by_the_moving_statistics(kind, options):
    (answer,) = trained(kind, **options).answers
    desired = 2.0 * (X - 10.0) / np.sqrt(4.0 + 1e-3) + 1.0
    np.testing.assert_allclose(answer.outputs[0], desired, rtol=1e-14)


def test_training_normalizes_by_the_batch():
    (answer,) = trained("update").answers
    desired = 2.0 * (X - 4.0) / np.sqrt(5.0 + 1e-3) + 1.0
    np.testing.assert_allclose(answer.outputs[0], desired, rtol=1e-6)
