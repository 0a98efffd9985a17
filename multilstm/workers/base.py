"""Contract of a pool: jobs enter, results leave, in processes of this machine or of others."""

from __future__ import annotations

from typing import Any, Protocol

from multilstm.jobs.job import Job, Result

__all__ = ["Pool"]


class Pool(Protocol):
    """Something that executes jobs on engines. Threads may share it."""

    def execute(self, engine: str, job: Job) -> Result:
        """Execute a job on an engine, and wait for its result.

        Raises:
            UnsupportedError: where the engine does not execute this job.
            WorkerError: where the job is lost.
            EngineUnavailableError: where the engine cannot run, now or at all.
        """
        ...

    def facts(self, engine: str, device: str = "cpu") -> dict[str, Any]:
        """Return versions, devices and switches of an engine, as its own process sees them."""
        ...

    def lanes(self, engine: str) -> int:
        """Return the number of jobs that an engine executes at the same time."""
        ...

    def close(self) -> None:
        """End the jobs under way; later jobs are refused."""
        ...
