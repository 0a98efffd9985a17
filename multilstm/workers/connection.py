"""Connection of a launcher to one worker: a message, and its answer within limits."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from multilstm.workers import protocol

_T = TypeVar("_T")
WATCH_S = 0.25  # seconds between two looks at a worker that computes


class ConnectionLostError(Exception):
    """The streams ended before the answer was complete: the worker is dead."""


class TimeLimitError(Exception):
    """No answer came within the time limit."""


class Connection:
    """The two streams of a worker, for one call at a time.

    A thread writes and reads, and the caller only waits for that thread. An exception that a signal handler raises in
    the caller, such as a TimeoutError, is therefore never taken for an error of the streams.

    Args:
        sink: the worker's standard input.
        source: the worker's standard output.
    """

    def __init__(self, sink: BinaryIO, source: BinaryIO) -> None:
        self._sink, self._source = sink, source
        self._thread: threading.Thread | None = None

    def call(
        self, message: dict[str, Any], timeout_s: float, watch: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        """Send a message and return its answer.

        After any exception the connection is of no further use: the answer may still arrive.

        Args:
            message: what `protocol.write` accepts.
            timeout_s: seconds to wait, above zero; infinity waits as long as threads of this platform can wait.
            watch: called every `WATCH_S` seconds while no answer has come; what it raises reaches the caller.

        Raises:
            ConnectionLostError: if a stream ended or broke.
            TimeLimitError: if no answer came in time.
        """
        outcomes: queue.SimpleQueue[dict[str, Any] | Exception] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._exchange, args=(message, outcomes), daemon=True)
        self._thread.start()
        outcome = self._awaited(outcomes, time.monotonic() + min(timeout_s, threading.TIMEOUT_MAX), watch)
        if isinstance(outcome, (EOFError, OSError, ValueError)):  # ValueError: a closed stream, or a broken message
            raise ConnectionLostError from outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @staticmethod
    def _awaited(outcomes: queue.SimpleQueue[_T], end: float, watch: Callable[[], None]) -> _T:
        while True:
            remaining = end - time.monotonic()
            try:
                return outcomes.get(timeout=max(0.0, min(remaining, WATCH_S)))
            except queue.Empty:
                if remaining <= WATCH_S:
                    raise TimeLimitError from None
                watch()

    def _exchange(self, message: dict[str, Any], outcomes: queue.SimpleQueue[dict[str, Any] | Exception]) -> None:
        try:
            protocol.write(self._sink, message)
            outcomes.put(protocol.read(self._source))
        except Exception as error:  # raised again in the caller's thread
            outcomes.put(error)

    def close(self) -> None:
        """Close both streams; to be called after the worker's end, which also ends a call in another thread."""
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # a signal came before it was started
                self._thread.join()
        for stream in (self._sink, self._source):
            try:
                stream.close()
            except OSError:  # the buffer held a message for a worker that is dead
                continue
