"""Workers by engine and device, started when they are first called."""

from __future__ import annotations

import pathlib
import tempfile
import threading
from typing import Any

from multilstm.engines.registry import engine_row
from multilstm.errors import WorkerError
from multilstm.jobs.job import Job, Result
from multilstm.jobs.wire import job_to_tree, result_from_tree
from multilstm.workers.process import Worker

TIMEOUT_S = 600.0


class WorkerPool:
    """Workers by engine and device; a context manager. Threads may share a pool: each worker does one job at a time.

    Args:
        timeout_s: seconds after which a job is given up and its worker killed.
        threads: threads of each worker; None: as many as its framework takes.
        parallel: how many workers may compute at the same time; the others wait.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S, threads: int | None = None, parallel: int = 1) -> None:
        self.timeout_s = timeout_s
        self._threads = _threads(threads)
        self._turn = threading.BoundedSemaphore(parallel)
        self._home = tempfile.TemporaryDirectory(prefix="multilstm-")
        self._workers: dict[tuple[str, str], Worker] = {}
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, engine: str, job: Job) -> Result:
        """Executes a job on an engine, in its own process.

        Raises:
            UsageError: for an unknown engine.
            EngineUnavailableError: where it cannot run here.
            UnsupportedError: where it does not execute this job.
            WorkerError: for an exception, a crash or a time-out, with the worker's stderr; where the pool is closed.
        """
        return result_from_tree(self._call(engine, job.device, {"call": "execute", "job": job_to_tree(job)}))

    def doctor(self, engine: str, device: str = "cpu") -> dict[str, Any]:
        """Versions, devices, switches and self-tests of an engine, as it sees them in its own process."""
        return self._call(engine, device, {"call": "doctor", "device": device})

    def facts(self, engine: str, device: str = "cpu") -> dict[str, Any]:
        """The same without its self-tests.

        Raises:
            EngineUnavailableError: where the engine is not installed, or finds no such device.
            WorkerError: as for `execute`.
        """
        return self._call(engine, device, {"call": "facts", "device": device})

    def close(self) -> None:
        """Ends all workers for good and removes their private files; a job given afterwards is refused."""
        with self._lock:
            self._closed = True
            for worker in self._workers.values():
                worker.close()
            self._home.cleanup()

    def _call(self, engine: str, device: str, message: dict[str, Any]) -> dict[str, Any]:
        row = engine_row(engine)
        row.require()
        with self._lock:
            if self._closed:
                raise WorkerError(f"engine {engine!r}: its pool of workers is closed; make a new one", kind="closed")
            new = Worker(
                f"engine {engine!r}",
                ("multilstm.engines.service:serve", row.target),
                device,
                {**self._threads, **row.on(device)},
                pathlib.Path(self._home.name) / engine,
            )
            worker = self._workers.setdefault((engine, device), new)
        with self._turn:
            return worker.call(message, self.timeout_s)


def _threads(count: int | None) -> dict[str, str]:
    """The variables that limit a framework's threads, before it starts."""
    if count is None:
        return {}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    return {**dict.fromkeys(names, str(count)), "TF_NUM_INTEROP_THREADS": "1"}
