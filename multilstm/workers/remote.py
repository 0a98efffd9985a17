"""The other side of an executor: a message enters as bytes and is answered by a worker process of this machine.

An engine keeps its own process here too. The processes end when no message has come for some time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from multilstm.engines.registry import EngineRow
from multilstm.errors import EngineUnavailableError, MultilstmError, WorkerError
from multilstm.frameworks.machine import cores
from multilstm.frameworks.xla_flags import XlaFlag
from multilstm.version import __version__
from multilstm.workers.pool import WorkerPool
from multilstm.workers.protocol import packed, unpacked

__all__ = ["answer"]

IDLE_S = 60.0  # after which the processes of engines end


def answer(request: bytes) -> bytes:
    """Return the answer to a message, or its error, as `ExecutorPool` reads it.

    Args:
        request: a packed message with `multilstm` (the version), `row` (of the engine), `device`, `timeout_s`,
            `memory_gb` and `message`. Without a message the answer has only the versions of packages.
    """
    question = unpacked(request)
    try:
        row = _row(question)
        row.require()
        message = question["message"]
        result = None
        if message is not None:
            with _kept(question["timeout_s"], question["memory_gb"]) as pool:
                result = pool.ask(row, question["device"], message)
        return packed({"result": result, "versions": dict(row.packages)})
    except MultilstmError as error:
        details = {name: getattr(error, name) for name in ("kind", "stderr", "exception") if hasattr(error, name)}
        known = isinstance(error, WorkerError)
        return packed({"error": type(error).__name__, "text": str(error), "details": details if known else {}})


def _row(question: dict[str, Any]) -> EngineRow:
    """Return the row of the engine, for whose label this machine is the environment."""
    if question["multilstm"] != __version__:
        raise EngineUnavailableError(
            f"a worker has multilstm {__version__}, expected {question['multilstm']}, the version of this run; install "
            f"that version there"
        )
    row = question["row"]
    flags = tuple(XlaFlag(**{**flag, "jaxlibs": tuple(flag["jaxlibs"])}) for flag in row["flags"])
    return EngineRow(**{**row, "needs": tuple(row["needs"]), "flags": flags})


class _Processes:
    """The pools of this process by their limits, and the timer that closes them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pools: dict[tuple[float, float | None], WorkerPool] = {}
        self.busy = 0
        self.timer: threading.Timer | None = None

    def close(self) -> None:
        """Close all pools, unless one is in use."""
        with self.lock:
            if self.busy:
                return
            for pool in self.pools.values():
                pool.close()
            self.pools.clear()


_PROCESSES = _Processes()


@contextlib.contextmanager
def _kept(timeout_s: float, memory_gb: float | None) -> Iterator[WorkerPool]:
    """Return the pool of this process with some limits; it is closed when it was idle for `IDLE_S`."""
    kept = _PROCESSES
    with kept.lock:
        if kept.timer is not None:
            kept.timer.cancel()
        key = (timeout_s, memory_gb)
        if key not in kept.pools:
            kept.pools[key] = WorkerPool(timeout_s, None, cores(), memory_gb)
        pool = kept.pools[key]
        kept.busy += 1
    try:
        yield pool
    finally:
        with kept.lock:
            kept.busy -= 1
            if not kept.busy:
                kept.timer = threading.Timer(IDLE_S, kept.close)
                kept.timer.daemon = True
                kept.timer.start()
