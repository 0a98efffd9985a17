"""Pool that gives an engine no further job after a time-out: an engine that hangs costs a round one time-out."""

from __future__ import annotations

from typing import Any

from multilstm.engines.registry import JUDGE
from multilstm.errors import UnsupportedError, WorkerError
from multilstm.jobs.job import Job, Result
from multilstm.workers import Pool

__all__ = ["ImpatientPool"]


class ImpatientPool:
    """The pool of one round.

    Args:
        pool: the workers, which live on after the round.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._hung: dict[str, WorkerError] = {}

    def execute(self, engine: str, job: Job) -> Result:
        """Execute a job on an engine.

        Raises:
            UnsupportedError: after a time-out of the engine; also as for every pool.
            WorkerError: as for every pool.
        """
        if engine in self._hung:
            raise UnsupportedError(f"left out after a time-out in this round: {self._hung[engine]}")
        try:
            return self._pool.execute(engine, job)
        except WorkerError as error:
            if error.kind == "timeout" and engine != JUDGE:
                self._hung[engine] = error
            raise

    def facts(self, engine: str, device: str = "cpu") -> dict[str, Any]:
        """Return versions, devices and switches of an engine."""
        return self._pool.facts(engine, device)

    def lanes(self, engine: str) -> int:
        """Return the number of jobs that an engine executes at the same time."""
        return self._pool.lanes(engine)

    def close(self) -> None:
        """End the jobs under way; later jobs are refused."""
        self._pool.close()
