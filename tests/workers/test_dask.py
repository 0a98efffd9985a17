"""Engines behind a real Dask scheduler with three workers on loopback, one of which is killed in the middle."""

import collections
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from multilstm.cases.catalogue import select
from multilstm.cli.app import app
from multilstm.engines.registry import ENGINES, EngineRow, registered
from multilstm.errors import EngineUnavailableError
from multilstm.execution.availability import available
from multilstm.execution.options import Options
from multilstm.report.reading import read_report
from multilstm.report.run_file import RunFile
from multilstm.suite.compare_cases import compare_cases
from multilstm.workers import WorkerPool

pytest.importorskip("distributed", reason="distributed is not installed")
from multilstm.workers import dask

HERE = pathlib.Path(__file__).parent
SLOW = EngineRow("slow", "engines:Slow", ("numpy",), None, {})
CASES = select(("seed4-*", "seed3-units"))
OPTIONS = Options(("slow", "slow@far"), ("float64",), quantities=("hidden", "gradient"))
RESOURCES = ("slow=1 slow@far=1", "slow=1", "slow=1 slow@far=1 gpu=1")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of all processes, which finds the engine."""
    path = os.pathsep.join(
        (str(HERE), str(HERE.parent / "helpers"), str(HERE.parents[1]), os.environ.get("PYTHONPATH", ""))
    )
    folder = str(tmp_path_factory.mktemp("dask"))
    with pytest.MonkeyPatch.context() as patch, registered([SLOW]):
        patch.setenv("PYTHONPATH", path)
        yield {**os.environ, "DASK_TEMPORARY_DIRECTORY": folder, "OMP_NUM_THREADS": "1"}, folder


@pytest.fixture(scope="module")
def cluster(environment):
    """The address of a scheduler, and its three workers."""
    variables, folder = environment
    file = pathlib.Path(folder) / "scheduler.json"
    processes = []

    def start(program, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--host", "127.0.0.1", "--no-dashboard"]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command += ["--scheduler-file", str(file), *arguments]
        processes.append(subprocess.Popen(command, env=variables, cwd=folder, **streams))
        return processes[-1]

    start("dask_scheduler", "--port", "0")
    while not file.exists():
        time.sleep(0.05)
    workers = [start("dask_worker", "--no-nanny", "--nthreads", "2", "--resources", text) for text in RESOURCES]
    from distributed import Client

    with Client(scheduler_file=str(file), timeout=30, set_as_default=False) as client:
        client.wait_for_workers(3, timeout=60)
        address = client.scheduler.address
    yield address, workers
    for process in processes:
        process.kill()
        process.wait()


def comparisons(report):
    return [(cell.job, cell.digest, cell.comparison) for cell in report.cells]


def test_a_killed_worker_loses_nothing_and_nothing_is_judged_twice(cluster, tmp_path):
    address, workers = cluster
    judged, lock = [], threading.Lock()

    def kill(progress):
        with lock:
            judged.append((progress.engine, progress.case, str(progress.part)))
            if len(judged) == 3:
                workers[0].kill()

    file = RunFile(str(tmp_path / "r.json"))
    with dask.dask_pool(address, OPTIONS.engines, 60.0) as (pool, engines), registered(pool.rows()):
        assert (pool.lanes("slow"), pool.lanes("slow@far")) == (3, 2)
        availability = available(engines, pool=pool)
        report = compare_cases(CASES, OPTIONS, kill, availability=availability, pool=pool, file=file)
        file.end(report)
    assert workers[0].wait(10) != 0
    assert max(collections.Counter(judged).values()) == 1
    assert len(judged) == report.jobs == 12
    assert report.environment["engines"]["slow@far"]["versions"]["numpy"]
    assert comparisons(read_report(file.path)) == comparisons(report)
    here = Options(("slow",), ("float64",), quantities=OPTIONS.quantities)
    with WorkerPool() as local:
        expected = comparisons(compare_cases(CASES, here, pool=local))
    assert [cell for cell in comparisons(report) if cell[0].engine == "slow"] == expected
    assert len(report.cells) == 2 * len(expected)


def test_all_labels_of_the_cluster_are_the_engines(cluster):
    with dask.dask_pool(cluster[0], (), 60.0) as (_, engines):
        assert set(engines) == {"slow", "slow@far"}


def test_a_label_that_no_worker_has_is_refused_at_the_start(cluster):
    begin = time.perf_counter()
    with pytest.raises(EngineUnavailableError, match="no worker offers slow@moon; the engines of its workers: slow"):
        dask.dask_pool(cluster[0], ("slow", "slow@moon"), 60.0).__enter__()
    assert time.perf_counter() - begin < 10


def test_a_label_that_the_last_worker_took_along_ends_the_waiting(cluster, monkeypatch):
    monkeypatch.setattr(dask, "LOOK_S", 0.0)
    monkeypatch.setattr(dask, "GRACE_S", 0.5)
    from distributed import Client

    with Client(cluster[0], set_as_default=False) as client:
        watch = dask._Watch(client, cluster[0])
        watch("slow")
        watch("slow@gone")
        time.sleep(0.6)
        watch("slow")
        with pytest.raises(EngineUnavailableError, match=r"no worker offers slow@gone any more.*--resume"):
            watch("slow@gone")


def test_a_dead_scheduler_is_refused_with_exit_code_3(tmp_path, monkeypatch):
    monkeypatch.setattr(dask, "CONNECT_S", 0.5)
    monkeypatch.chdir(tmp_path)
    arguments = ("parity", "--case", "seed4-one-feature", "--dask", "tcp://127.0.0.1:9", "--json", "r.json")
    with pytest.raises(EngineUnavailableError, match=r"--dask tcp://127\.0\.0\.1:9: no scheduler answers") as error:
        app(arguments, exit_on_error=False, result_action="return_value")
    assert error.value.exit_code == 3
    assert not os.path.exists("r.json")
    assert "slow" not in ENGINES or ENGINES["slow"] is SLOW
