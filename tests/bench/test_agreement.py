"""Trained weights agree only if the update does: the tolerance of a weight is larger than many an update."""

import numpy as np
import pytest

from multilstm.bench.agreement import agreement
from multilstm.bench.modes import FIT, FORWARD, TRAIN
from multilstm.bench.workload import model_workload
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.spec import LSTM, Dense, Sequential

SPEC = Sequential([LSTM(16, return_sequences=True), LSTM(8), Dense(2)], (None, 4))
WORKLOAD = model_workload("small", SPEC, None, batch=4, timesteps=6)


@pytest.fixture(scope="module", params=[TRAIN, FIT], ids=["train", "fit"])
def trained(request):
    """The mode, and the trained weights of the reference."""
    job = WORKLOAD.job(request.param, "float64", "cpu", "plain")
    answer = Executor(ReferenceEngine()).execute(job).answers[-1]
    return request.param, {f"weights:{name}": array for name, array in answer.weights.items()}


def moved(desired, share):
    """Return the weights after a share of the update, in float32."""
    initial = {f"weights:{name}": np.asarray(array, "float64") for name, array in WORKLOAD.weights.items()}
    return {n: (initial[n] + share * (array - initial[n])).astype("float32") for n, array in desired.items()}


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.5, 0.85, 1.15, 2.0])
def test_weights_after_another_update_disagree(trained, share):
    mode, desired = trained
    assert agreement(mode, moved(desired, share), desired, WORKLOAD, "float32", "cpu").reason


@pytest.mark.parametrize("share", [0.99, 1.0, 1.01])
def test_weights_after_nearly_the_same_update_agree(trained, share):
    mode, desired = trained
    assert not agreement(mode, moved(desired, share), desired, WORKLOAD, "float32", "cpu").reason


def test_outputs_are_no_weights():
    outputs = {"0/output:1": np.ones((4, 2))}
    assert not agreement(FORWARD, outputs, outputs, WORKLOAD, "float64", "cpu").reason
