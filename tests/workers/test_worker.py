"""A worker loses no more than one job, whatever happens to its process, and leaves no process and no file behind."""

import dataclasses
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from multilstm.engines import registry
from multilstm.engines.registry import EngineRow
from multilstm.errors import EngineUnavailableError, UsageError, WorkerError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import LSTM, Sequential
from multilstm.weights.initializers import discriminating_weights
from multilstm.workers import WorkerPool
from multilstm.workers import worker as worker_module

SPEC = Sequential([LSTM(2)], input_shape=(3, 1))
JOB = Job(
    SPEC,
    discriminating_weights(SPEC),
    (Step("forward", Batch({"input_layer": np.ones((2, 3, 1), "f4")}), keep=("outputs",)),),
)
HERE = pathlib.Path(__file__).parent


@pytest.fixture
def pool():
    with WorkerPool() as pool:
        yield pool


def pid_of(pool, engine="reference", device="cpu"):
    return pool.pids[engine, device]


@pytest.mark.parametrize(
    ("name", "kind", "exception", "words"),
    [
        ("Raises", "exception", "ZeroDivisionError", "ZeroDivisionError: on purpose"),
        (
            "RaisesAsKeras",
            "exception",
            "ValueError",
            r"ValueError: Exception .* calling LSTM\.call\(\)\. too wide$",
        ),
        (
            "RaisesAsTensorFlow",
            "exception",
            "ValueError",
            r"ValueError: Graph execution error: too short \[\[node\]\]$",
        ),
        (
            "OutOfMemory",
            "memory",
            "MemoryError",
            r"out of memory on the cpu, with MemoryError: .*; give it",
        ),
        ("Exits", "crash", "", "exit code 7; last words: last words"),
        pytest.param(
            *("Killed", "crash", "", r"ended by SIGKILL \(out of memory\?\)"),
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL"),
        ),
    ],
)
def test_a_failure_loses_one_job_and_gives_its_reason(engine, pool, name, kind, exception, words):
    with pytest.raises(WorkerError, match=words) as caught:
        pool.execute(engine(name), JOB)
    assert (caught.value.kind, caught.value.exception) == (kind, exception)
    assert pool.execute("reference", JOB).answers[0].outputs[0].shape == (2, 2)


@pytest.mark.parametrize("timeout_s", [1e10, math.inf])
def test_a_time_limit_may_be_of_any_length(timeout_s):
    with WorkerPool(timeout_s) as pool:
        assert len(pool.execute("reference", JOB).answers) == 1


@pytest.mark.parametrize("timeout_s", [0, -1.0, math.nan])
def test_a_time_limit_that_is_not_above_zero_is_refused(timeout_s):
    with WorkerPool(timeout_s) as pool, pytest.raises(UsageError, match="seconds above zero, given"):
        pool.execute("reference", JOB)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no SIGALRM")
@pytest.mark.parametrize("raised", [TimeoutError, BrokenPipeError, EOFError, ValueError])
def test_an_exception_of_the_caller_reaches_the_caller(engine, pool, raised):
    """A handler of SIGALRM often raises TimeoutError, which is an OSError as the errors of a dead worker are."""

    def ring(*_):
        raise raised("of the caller")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(raised, match="of the caller"):
            pool.execute(engine("Hangs"), JOB)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert pid_of(pool, "test") is None


def test_a_pool_that_is_closed_during_a_job_says_so(engine):
    kinds = []
    with WorkerPool() as pool:

        def job():
            with pytest.raises(WorkerError, match="was closed during this job") as caught:
                pool.execute(engine("Hangs"), JOB)
            kinds.append(caught.value.kind)

        thread = threading.Thread(target=job)
        thread.start()
        time.sleep(1.0)
        pool.close()
        thread.join(timeout=30)
    assert kinds == ["closed"]


def test_timeout_ends_the_worker_and_the_job_only(engine):
    with WorkerPool(timeout_s=2.0) as pool:
        start = time.perf_counter()
        with pytest.raises(WorkerError, match="no answer after 2 s") as caught:
            pool.execute(engine("Hangs"), JOB)
        assert caught.value.kind == "timeout"
        assert time.perf_counter() - start < 30


def test_traceback_of_the_worker_is_attached(engine, pool):
    with pytest.raises(WorkerError) as caught:
        pool.execute(engine("Raises"), JOB)
    assert "engines.py" in caught.value.stderr
    assert "printed to standard output" in caught.value.stderr


def test_the_output_of_a_framework_never_reaches_the_messages(engine, pool):
    np.testing.assert_array_equal(
        pool.execute(engine("Noisy"), JOB).answers[0].outputs[0], pool.execute("reference", JOB).answers[0].outputs[0]
    )


def test_a_new_worker_starts_after_a_crash(engine, pool, tmp_path, monkeypatch):
    monkeypatch.setenv("MULTILSTM_TEST_MARKER", str(tmp_path / "crashed"))
    name = engine("CrashesOnce")
    with pytest.raises(WorkerError, match="exit code 1"):
        pool.execute(name, JOB)
    assert len(pool.execute(name, JOB).answers) == 1


def environment_of_a_worker(engine, pool):
    with pytest.raises(WorkerError) as caught:
        pool.execute(engine("Environment"), JOB)
    return json.loads(str(caught.value).split("RuntimeError: ", 1)[1])


def test_the_files_of_a_worker_go_into_its_own_folder(engine, pool, monkeypatch):
    names = ("KERAS_HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR")
    for name in names:
        monkeypatch.setenv(name, "/nowhere/of/the/user")
    environment = environment_of_a_worker(engine, pool)
    assert [environment.get(name) for name in names] == [str(pool.folder / "test")] * 2 + [None]


def test_a_worker_inherits_no_variable_that_changes_answers(engine, pool, monkeypatch):
    monkeypatch.setenv("JAX_DISABLE_JIT", "1")
    assert "JAX_DISABLE_JIT" not in environment_of_a_worker(engine, pool)


@pytest.mark.parametrize("python_path", ["", os.pathsep], ids=["empty", "empty_entries"])
def test_a_worker_executes_no_file_of_the_current_folder(pool, python_path, tmp_path, monkeypatch):
    for module in ("sitecustomize", "usercustomize", "numpy", "jax", "multilstm"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write({module!r})\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", python_path)
    assert len(pool.execute("reference", JOB).answers) == 1
    assert not (tmp_path / "executed").exists()


def test_a_worker_is_reused_and_then_renewed(pool, monkeypatch):
    monkeypatch.setattr(worker_module, "JOBS_PER_PROCESS", 2)
    pids = []
    for _ in range(4):
        pool.execute("reference", JOB)
        pids.append(pid_of(pool))
    assert pids[0] == pids[1] != pids[2] == pids[3]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts memory maps")
@pytest.mark.parametrize("share", [0.5, 0.0], ids=["few", "too_many"])
def test_a_worker_with_too_many_memory_maps_is_renewed(pool, monkeypatch, share):
    """A process that had compiled some 900 programs of XLA crashed: each takes about 70 of the 65,530 maps."""
    monkeypatch.setattr(worker_module, "MAPS_SHARE", share)
    pids = []
    for _ in range(2):
        pool.execute("reference", JOB)
        pids.append(pid_of(pool))
    assert (pids[0] == pids[1]) == (share > 0)


@pytest.mark.parametrize(
    ("name", "device", "same"),
    [("Raises", "cpu", True), ("Raises", "gpu", False), ("OutOfMemory", "cpu", False)],
)
def test_a_worker_is_renewed_after_an_error_that_may_fail_later_jobs(engine, pool, name, device, same):
    """After a failed kernel of a GPU, or without memory, the jobs that follow in the same process fail too."""
    job = dataclasses.replace(JOB, device=device)
    pids = []
    for _ in range(2):
        with pytest.raises(WorkerError):
            pool.execute(engine(name), job)
        pids.append(pid_of(pool, "test", device))
    assert (pids[0] is not None and pids[0] == pids[1]) == same
    assert same or pids == [None, None]


def test_no_process_outlives_the_pool():
    with WorkerPool() as pool:
        pool.execute("reference", JOB)
        pid = pid_of(pool)
    assert not _alive(pid)


def test_a_closed_pool_refuses_a_job_whose_thread_was_waiting_for_its_turn():
    with WorkerPool(parallel=1) as pool:
        pool.execute("reference", JOB)
        caught = []

        def next_job():
            try:
                pool.execute("reference", JOB)
            except WorkerError as error:
                caught.append(error.kind)

        with pool._turn:  # another engine seems to compute
            thread = threading.Thread(target=next_job)
            thread.start()
            time.sleep(0.2)
            pool.close()
        thread.join()
        with pytest.raises(WorkerError, match="'reference': its pool of workers is closed"):
            pool.execute("reference", JOB)
    assert caught == ["closed"]
    assert not pool.folder.exists()


def test_unknown_engine_is_refused(pool):
    with pytest.raises(UsageError, match="unknown engine 'kears-jax': expected one of reference"):
        pool.execute("kears-jax", JOB)


def test_the_error_of_a_missing_framework_names_the_command_to_install_it(pool, monkeypatch):
    row = EngineRow("test", "nothing:Nothing", ("no_such_module",), "torch", {})
    monkeypatch.setitem(registry.ENGINES, "test", row)
    with pytest.raises(EngineUnavailableError, match=r"needs no_such_module.*pip install 'multilstm\[torch\]'"):
        pool.execute("test", JOB)


def test_several_threads_share_a_pool(pool):
    results = []
    threads = [threading.Thread(target=lambda: results.append(pool.execute("reference", JOB))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_no_worker_is_left_when_the_launcher_ends(how, tmp_path):
    program = (
        "import sys, time, numpy\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import test_worker as t\n"
        "from multilstm.engines import registry\n"
        "registry.ENGINES['test'] = registry.EngineRow('test', 'engines:Hangs', (), None, {})\n"
        "with t.WorkerPool() as pool:\n"
        "    pool.execute('reference', t.JOB)\n"
        "    print(t.pid_of(pool), flush=True)\n"
        "    pool.execute('test', t.JOB)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), os.environ.get("PYTHONPATH", "")))}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(HERE)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True,
    ) as launcher_process:  # fmt: skip
        worker = int(launcher_process.stdout.readline())
        time.sleep(1.0)  # the second worker is on its way
        launcher_process.send_signal(getattr(signal, how))
        launcher_process.wait(timeout=30)
    deadline = time.monotonic() + 10
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(worker)


def _alive(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
