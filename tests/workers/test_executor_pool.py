"""Engines behind executors: threads, processes, and executors that fail."""

import concurrent.futures
import multiprocessing
import os

import numpy as np
import pytest

import multilstm
from multilstm import LSTM, Sequential, parity
from multilstm.engines.registry import ENGINES
from multilstm.errors import EngineUnavailableError, UsageError, WorkerError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.weights import discriminating_weights
from multilstm.workers import remote
from multilstm.workers.executor_pool import behind

SPEC = Sequential([LSTM(3)], input_shape=(None, 2))
X = np.random.default_rng(0).normal(size=(2, 4, 2)).astype("float32")


class Here(concurrent.futures.Executor):
    """An executor that executes at once, but loses the first jobs."""

    def __init__(self, lost=0, change=lambda answer: answer):
        self.sent, self.lost, self.change = 0, lost, change

    def submit(self, call, request):
        self.sent += 1
        future = concurrent.futures.Future()
        if self.sent <= self.lost:
            future.set_exception(concurrent.futures.BrokenExecutor("a worker died"))
        else:
            future.set_result(self.change(call(request)))
        return future


@pytest.fixture(autouse=True)
def no_process_stays():
    yield
    remote._PROCESSES.close()


def job():
    batch = Batch({next(iter(SPEC.inputs)): X.astype("float64")})
    weights = {name: array.astype("float64") for name, array in discriminating_weights(SPEC).items()}
    return Job(SPEC, weights, (Step("forward", batch, keep=("outputs",)),), dtype="float64")


def test_parity_behind_an_executor_is_parity(pool):
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        report = parity(SPEC, X, engines=["reference"], executor=threads, dtypes=["float64"])
    expected = parity(SPEC, X, engines=["reference"], dtypes=["float64"], workers=pool)
    assert [cell.comparison for cell in report.cells] == [cell.comparison for cell in expected.cells]
    assert report.environment["engines"]["reference"]["versions"] == {"numpy": np.__version__}


def test_the_labels_of_executors_are_the_engines():
    executors = {"reference@here": Here(), "reference@there": Here()}
    report = parity(SPEC, X, executor=executors, without=["reference@there"], dtypes=["float64"])
    assert report.engines == ("reference@here",)
    assert report.agrees
    assert "reference@here" not in ENGINES


def test_a_lost_job_is_sent_once_more():
    executor = Here(lost=1)
    with behind(executor, ("reference",), 60.0) as pool:
        assert executor.sent == 2
        assert pool.execute("reference", job()).answers[0].outputs[0].shape == (2, 3)
        assert executor.sent == 3


def test_a_job_that_is_lost_twice_is_an_error_of_that_job():
    executor = Here()
    with behind(executor, ("reference",), 60.0) as pool:
        executor.sent, executor.lost = 0, 2
        with pytest.raises(WorkerError, match="BrokenExecutor: a worker died") as error:
            pool.execute("reference", job())
        assert (error.value.kind, executor.sent) == ("crash", 2)
        assert pool.execute("reference", job()).answers


def test_an_error_there_is_the_same_error_here(engine):
    name = engine("Raises")
    with behind(Here(), (name,), 60.0) as pool, pytest.raises(WorkerError, match="ZeroDivisionError") as error:
        pool.execute(name, job())
    assert (error.value.kind, error.value.exception) == ("exception", "ZeroDivisionError")
    assert "on purpose" in error.value.stderr


def test_processes_that_ended_for_ever_are_refused():
    # A forked process warns where another test has imported JAX.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        with pytest.raises(concurrent.futures.BrokenExecutor):
            processes.submit(os._exit, 3).result()
        with pytest.raises(EngineUnavailableError, match=r"its executor takes no jobs: BrokenProcessPool.*--resume"):
            behind(processes, ("reference",), 60.0).__enter__()


def with_version(monkeypatch, version):
    monkeypatch.setattr("multilstm.workers.executor_pool.__version__", version)


def test_another_version_of_multilstm_is_refused(monkeypatch):
    with_version(monkeypatch, "0.0.1")
    with pytest.raises(EngineUnavailableError, match=f"has multilstm {multilstm.__version__}, expected 0.0.1"):
        behind(Here(), ("reference",), 60.0).__enter__()


def test_workers_of_one_label_with_different_packages_are_refused(monkeypatch):
    with behind(Here(), ("reference",), 60.0) as pool:
        monkeypatch.setattr("multilstm.engines.registry.versions_for", lambda _: {"numpy": "0.1"})
        with pytest.raises(EngineUnavailableError, match="its workers have different packages"):
            pool.execute("reference", job())


REFUSED = {
    "no_executor": (
        {"engines": ["reference", "jax-scan"], "executor": {"reference": Here()}},
        "no executor for jax-scan",
    ),
    "label": ({"executor": {"moon": Here()}}, "unknown engine 'moon'"),
    "type": ({"engines": ["reference"], "executor": 3}, "given 3, expected a concurrent.futures.Executor"),
    "value": ({"executor": {"reference": "localhost"}}, "given 'localhost', expected a concurrent"),
}


@pytest.mark.unit
@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_wrong_executors_are_refused_before_anything_starts(arguments, message):
    with pytest.raises((UsageError, EngineUnavailableError)) as error:
        parity(SPEC, X, **arguments)
    assert message in str(error.value)
