"""A pool with answers of the reference in a folder, so that the modules of all engines compute each of them once."""

from __future__ import annotations

import hashlib
import os
import pathlib
from typing import Any

from multilstm.engines.registry import JUDGE
from multilstm.jobs.job import Job, Result
from multilstm.jobs.wire import job_to_tree, result_from_tree, result_to_tree
from multilstm.workers import WorkerPool
from multilstm.workers.protocol import packed, unpacked


class SharedJudge:
    """The workers of one module, with the reference's answers of all modules.

    Args:
        pool: the workers.
        folder: an existing folder, of all processes of this run.
    """

    def __init__(self, pool: WorkerPool, folder: pathlib.Path) -> None:
        self._pool, self._folder = pool, folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def execute(self, engine: str, job: Job) -> Result:
        """Execute a job, or return the kept answer of the reference; see `WorkerPool.execute`."""
        if engine != JUDGE:
            return self._pool.execute(engine, job)
        kept = self._folder / hashlib.sha256(packed(job_to_tree(job))).hexdigest()
        if kept.exists():
            return result_from_tree(unpacked(kept.read_bytes()))
        result = self._pool.execute(engine, job)
        written = kept.with_suffix(f".{os.getpid()}")
        written.write_bytes(packed(result_to_tree(result)))
        written.replace(kept)  # at once, since another process may read it
        return result
