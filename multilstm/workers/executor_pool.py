"""Pool of executors: the jobs of each engine go to an executor, and so to other processes or machines.

Jobs are pure: a lost one is sent again, once. Jobs of engines without an executor, such as those of the reference that
judges, are executed by worker processes of this machine.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from multilstm import errors
from multilstm.engines.registry import EngineRow, engine_row, registered
from multilstm.errors import EngineUnavailableError, MultilstmError, UsageError, WorkerError, listed, shown
from multilstm.jobs.job import Job, Result
from multilstm.jobs.wire import job_to_tree, result_from_tree
from multilstm.version import __version__
from multilstm.workers import remote
from multilstm.workers.connection import WATCH_S
from multilstm.workers.pool import WorkerPool
from multilstm.workers.protocol import packed, unpacked

__all__ = ["ExecutorPool", "Executors", "behind"]

Executors = Mapping[str, concurrent.futures.Executor]
GO_ON = "the jobs that are judged are in the file of --json, if there is one: go on with --resume"


class ExecutorPool:
    """A pool whose engines compute behind executors; a context manager. It does not shut the executors down.

    Args:
        executors: an executor for each engine.
        lanes: the number of jobs that each engine executes at the same time.
        timeout_s: seconds after which a job is abandoned, counted where it is executed.
        memory_gb: memory of a worker, in 1e9 bytes, as for `WorkerPool`.
        watch: called with the engine's name while a job waits; what it raises ends the job.
    """

    def __init__(
        self,
        executors: Executors,
        lanes: Mapping[str, int],
        timeout_s: float,
        memory_gb: float | None = None,
        watch: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._executors = dict(executors)
        self._lanes = lanes
        self._limits = {"timeout_s": timeout_s, "memory_gb": memory_gb}
        self._watch = watch
        self._local = WorkerPool(timeout_s, memory_gb=memory_gb)
        self._rows = {engine: _plain(engine_row(engine)) for engine in executors}
        self._versions: dict[str, dict[str, str]] = {}
        self._closed = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> ExecutorPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self) -> list[EngineRow]:
        """Return the row of each engine with the versions of its executor's environment, for the registry.

        Raises:
            EngineUnavailableError: for an executor that takes no jobs, or an environment that lacks multilstm, this
                version of it, or a package of the engine.
        """
        with concurrent.futures.ThreadPoolExecutor(max(1, len(self._executors))) as threads:
            list(threads.map(lambda engine: self._ask(engine, "cpu", None), self._executors))
        return [dataclasses.replace(engine_row(name), versions=found) for name, found in self._versions.items()]

    def lanes(self, engine: str) -> int:
        """Return the number of jobs that an engine executes at the same time."""
        return self._lanes.get(engine, 1)

    def execute(self, engine: str, job: Job) -> Result:
        """Execute a job; raises the errors of `WorkerPool.execute`."""
        if engine not in self._executors:
            return self._local.execute(engine, job)
        return result_from_tree(self._ask(engine, job.device, {"call": "execute", "job": job_to_tree(job)}))

    def facts(self, engine: str, device: str = "cpu") -> dict[str, Any]:
        """Return versions, devices and switches of an engine, as its own process sees them."""
        if engine not in self._executors:
            return self._local.facts(engine, device)
        facts: dict[str, Any] = self._ask(engine, device, {"call": "facts", "device": device})
        return facts

    def close(self) -> None:
        """End the waiting for all jobs, and the workers of this machine."""
        self._closed.set()
        self._local.close()

    def _ask(self, engine: str, device: str, message: dict[str, Any] | None) -> Any:
        question = {
            "multilstm": __version__,
            "row": self._rows[engine],
            "device": device,
            **self._limits,
            "message": message,
        }
        request = packed(question)
        try:
            answer = unpacked(self._sent(engine, request))
        except _LostError:
            try:
                answer = unpacked(self._sent(engine, request))
            except _LostError as error:
                raise self._lost(engine, message, error) from None
        if "error" in answer:
            raise _error(answer)
        self._check_versions(engine, answer["versions"])
        return answer["result"]

    def _sent(self, engine: str, request: bytes) -> bytes:
        """Send a request, and wait for its answer.

        Raises:
            _LostError: for a job whose worker died.
        """
        try:
            future = self._executors[engine].submit(remote.answer, request)
        except Exception as error:  # an executor that is shut down or broken
            raise EngineUnavailableError(
                f"engine {engine!r}: its executor takes no jobs: {_line(error)}; {GO_ON}"
            ) from None
        while True:
            concurrent.futures.wait([future], timeout=WATCH_S)
            if future.done():
                break
            try:
                if self._closed.is_set():
                    raise WorkerError(f"engine {engine!r}: its pool was closed during this job", kind="closed")
                self._watch(engine)
            except MultilstmError:
                future.cancel()
                raise
        try:
            return future.result()
        except (Exception, concurrent.futures.CancelledError) as error:
            raise _LostError(_line(error)) from None

    def _lost(self, engine: str, message: object, error: Exception) -> MultilstmError:
        text = f"engine {engine!r}: its worker was lost, and so was the second one: {error}"
        if message is None:
            return EngineUnavailableError(f"{text}; it needs the package multilstm {__version__}")
        return WorkerError(text, kind="crash")

    def _check_versions(self, engine: str, versions: dict[str, str]) -> None:
        with self._lock:
            first = self._versions.setdefault(engine, versions)
        if versions != first:
            raise EngineUnavailableError(
                f"engine {engine!r}: its workers have different packages, {versions} and {first}; give each "
                f"environment a label of its own, such as {engine}@new"
            )


@contextlib.contextmanager
def behind(
    executor: concurrent.futures.Executor | Executors, engines: Sequence[str], timeout_s: float
) -> Iterator[ExecutorPool]:
    """Yield a pool that sends the jobs of engines to executors; the engines are registered with their versions.

    Args:
        executor: one for all engines, or one for each by its name.
        engines: the names of the engines.
        timeout_s: see `ExecutorPool`.

    Raises:
        UsageError: for something that is no executor.
        EngineUnavailableError: for an engine without an executor, and the errors of `ExecutorPool.rows`.
    """
    given: dict[str, Any]
    given = dict(executor) if isinstance(executor, Mapping) else dict.fromkeys(engines, executor)
    for name, value in given.items():
        if not isinstance(value, concurrent.futures.Executor):
            raise UsageError(f"executor of {name!r}: given {shown(value)}, expected a concurrent.futures.Executor")
    missing = [name for name in engines if name not in given]
    if missing:
        raise EngineUnavailableError(
            f"no executor for {listed(missing)}; the labels of the executors are {listed(given)}; give one for each"
        )
    executors = {name: given[name] for name in engines}
    lanes = {name: getattr(value, "_max_workers", 1) for name, value in executors.items()}
    with ExecutorPool(executors, lanes, timeout_s) as pool, registered(pool.rows()):
        yield pool


class _LostError(Exception):
    """A job without an answer: its worker died, or could not even read it."""


def _plain(row: EngineRow) -> dict[str, Any]:
    """Return what a worker needs of a row, as data; it finds the environment and the versions itself."""
    names = ("name", "target", "extra", "partial", "beside_cpu")
    flags = [dataclasses.asdict(flag) for flag in row.flags]
    name = {field: getattr(row, field) for field in names}
    return {
        **name,
        "name": row.name.partition("@")[0],
        "needs": list(row.needs),
        "settings": dict(row.settings),
        "flags": flags,
    }


def _error(answer: dict[str, Any]) -> MultilstmError:
    kind = getattr(errors, answer["error"])
    error: MultilstmError = kind(answer["text"], **answer["details"])
    return error


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
