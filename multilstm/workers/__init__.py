"""Workers: one process per engine, so that frameworks never meet and a crash loses one job."""

from multilstm.workers.pool import WorkerPool

__all__ = ["WorkerPool"]
