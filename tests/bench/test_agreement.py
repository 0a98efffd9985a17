"""Trained weights agree only if the update does: the tolerance of a weight is larger than many an update."""

import dataclasses

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


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.5, 0.95, 1.05, 2.0])
def test_weights_after_another_update_disagree(trained, share):
    mode, desired = trained
    assert agreement(mode, moved(desired, share), desired, WORKLOAD, "float32", "cpu").reason


def test_a_weight_that_is_not_trained_disagrees(trained):
    mode, desired = trained
    name = "weights:dense/bias"
    actual = {**moved(desired, 1.0), name: moved(desired, 0.0)[name]}
    reason = agreement(mode, actual, desired, WORKLOAD, "float32", "cpu").reason
    assert reason == f"its {name} is not trained" or "times the tolerance away" in reason


@pytest.mark.parametrize("share", [-1.0, 0.5, 2.0])
@pytest.mark.parametrize("name", ["lstm/bias", "dense/bias"])
def test_another_update_of_one_small_weight_disagrees(trained, name, share):
    mode, desired = trained
    name = f"weights:{name}"
    actual = {**moved(desired, 1.0), name: moved(desired, share)[name]}
    reason = agreement(mode, actual, desired, WORKLOAD, "float32", "cpu").reason
    assert reason.startswith(f"its {name} is away from the trained one by") or "times the tolerance away" in reason


@pytest.mark.parametrize("share", [0.99, 1.0, 1.01])
def test_weights_after_nearly_the_same_update_agree(trained, share):
    mode, desired = trained
    assert not agreement(mode, moved(desired, share), desired, WORKLOAD, "float32", "cpu").reason


def test_outputs_are_no_weights():
    outputs = {"0/output:1": np.ones((4, 2))}
    assert not agreement(FORWARD, outputs, outputs, WORKLOAD, "float64", "cpu").reason


def test_an_epsilon_at_another_place_disagrees():
    """PyTorch's Adam adds it to the corrected second moment, Keras's to the other one."""
    spec = Sequential([LSTM(32, return_sequences=True)], (None, 8))
    workload = model_workload("wide", spec, None, batch=1, timesteps=20)
    optimizer = workload.optimizer
    torch_like = dataclasses.replace(workload, optimizer=dataclasses.replace(optimizer, epsilon=3e-9))
    desired, other = (
        {
            f"weights:{name}": array.astype("float32")
            for name, array in Executor(ReferenceEngine())
            .execute(each.job(TRAIN, "float64", "cpu", "plain"))
            .answers[-1]
            .weights.items()
        }
        for each in (workload, torch_like)
    )
    assert "of the update" in agreement(TRAIN, other, desired, workload, "float32", "cpu").reason


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_answers_of_a_wider_dtype_disagree(dtype):
    """A contestant that computes in float64 is another computation, though all its numbers are right."""
    outputs = {"0/output:1": np.ones((4, 2))}
    reason = agreement(FORWARD, outputs, outputs, WORKLOAD, dtype, "cpu").reason
    assert reason == "its 0/output:1 has dtype float64, expected float32"
