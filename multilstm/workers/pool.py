"""Pool of workers: one for each engine and device, started by its first job."""

from __future__ import annotations

import pathlib
import threading
from typing import Any

from multilstm.engines.registry import EngineRow, engine_row
from multilstm.errors import WorkerError
from multilstm.frameworks.machine import free_memory
from multilstm.jobs.job import Job, Result
from multilstm.jobs.wire import job_to_tree, result_from_tree
from multilstm.workers.run_folder import RunFolder
from multilstm.workers.worker import Worker

TIMEOUT_S = 600.0
LEAST_MEMORY = 2e9  # bytes; a framework alone takes up to 1e9
FREE_SHARE = 0.9  # of the free memory is for the workers


class WorkerPool:
    """Workers by engine and device; a context manager. Threads may share a pool: each worker does one job at a time.

    Args:
        timeout_s: seconds after which a job is abandoned and its worker killed.
        threads: threads of each worker; None: the default of its framework.
        parallel: number of workers that may compute at the same time; the others wait.
        memory_gb: 1e9 bytes of memory, above which a worker is ended and its job lost; None: `fair_share(parallel)`.
    """

    def __init__(
        self,
        timeout_s: float = TIMEOUT_S,
        threads: int | None = None,
        parallel: int = 1,
        memory_gb: float | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._threads = _thread_variables(threads)
        self._turn = threading.BoundedSemaphore(parallel)
        self._memory = fair_share(parallel) if memory_gb is None else 1e9 * memory_gb
        self._folder = RunFolder()
        self._workers: dict[tuple[str, str], Worker] = {}
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def folder(self) -> pathlib.Path:
        """The temporary folder of this pool, with a folder for the files of each engine."""
        return self._folder.path

    @property
    def pids(self) -> dict[tuple[str, str], int | None]:
        """The number of each worker's process by engine and device; None where it has no process at present."""
        return {key: worker.pid for key, worker in self._workers.items()}

    @property
    def closed(self) -> bool:
        """Whether the pool was closed, by its user or after an error; it refuses jobs."""
        return self._closed

    def execute(self, engine: str, job: Job) -> Result:
        """Execute a job on an engine, in the engine's own process.

        Raises:
            UsageError: for an unknown engine.
            EngineUnavailableError: where the engine cannot run here.
            UnsupportedError: where the engine does not execute this job.
            WorkerError: for an exception, a crash, a time-out or too much memory, with the worker's stderr; where the
                pool is closed.
        """
        return result_from_tree(self._call(engine, job.device, {"call": "execute", "job": job_to_tree(job)}))

    def doctor(self, engine: str, device: str = "cpu") -> dict[str, Any]:
        """Return the facts of an engine, with its self-tests; raises the same errors as `facts`."""
        return self._call(engine, device, {"call": "doctor", "device": device})

    def facts(self, engine: str, device: str = "cpu") -> dict[str, Any]:
        """Return versions, devices and switches of an engine, as its own process sees them.

        Raises:
            EngineUnavailableError: where the engine is not installed, or finds no such device.
            WorkerError: as for `execute`.
        """
        return self._call(engine, device, {"call": "facts", "device": device})

    def lanes(self, engine: str) -> int:
        """Return 1: the one process of an engine does one job at a time."""
        return 1

    def close(self) -> None:
        """End all workers for good and remove their files; later jobs are refused."""
        with self._lock:
            self._closed = True
            for worker in self._workers.values():
                worker.close()
            self._folder.remove()

    def _call(self, engine: str, device: str, message: dict[str, Any]) -> dict[str, Any]:
        return self.ask(engine_row(engine), device, message)

    def ask(self, row: EngineRow, device: str, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message to the service of an engine, and return its answer; raises the errors of `execute`.

        Args:
            row: the engine.
            device: `cpu` or `gpu`.
            message: as `multilstm.engines.service` expects it.
        """
        row.require()
        engine = row.name
        with self._lock:
            if self._closed:
                raise WorkerError(f"engine {engine!r}: its pool of workers is closed; make a new one", kind="closed")
            worker = self._workers.get((engine, device))
            if worker is None:
                worker = self._workers[engine, device] = Worker(
                    f"engine {engine!r}",
                    ("multilstm.engines.service:serve", row.target),
                    device,
                    {**self._threads, **row.on(device)},
                    self.folder / engine,
                    memory=self._memory,
                    python=row.python,
                )
        with self._turn:
            return worker.call(message, self.timeout_s)


def fair_share(parallel: int) -> float:
    """Return the bytes of memory for each of several workers that compute at the same time.

    Returns:
        The free memory, shared equally, but at least `LEAST_MEMORY`; infinity on other systems than Linux.
    """
    return max(LEAST_MEMORY, FREE_SHARE * free_memory() / parallel)


def _thread_variables(count: int | None) -> dict[str, str]:
    """Return the variables that limit the threads of a framework, read when it starts."""
    if count is None:
        return {}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    return {**dict.fromkeys(names, str(count)), "TF_NUM_INTEROP_THREADS": "1"}
