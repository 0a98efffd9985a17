"""Worker processes, one for each engine and device.

Jobs enter and results leave. The frameworks of two engines never share a process, and a crash loses one job. This room
imports `engines`, `jobs` and the rooms below them.
"""

from multilstm.workers.base import Pool
from multilstm.workers.executor_pool import ExecutorPool
from multilstm.workers.pool import WorkerPool
from multilstm.workers.run_folder import RunFolder
from multilstm.workers.worker import Worker

__all__ = ["ExecutorPool", "Pool", "RunFolder", "Worker", "WorkerPool"]
