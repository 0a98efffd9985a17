"""The worker: a process that holds one engine and answers one message at a time until its launcher goes away.

Whatever a framework prints goes to stderr, never between the messages. Start: `python -m multilstm.workers.worker
MODULE:CLASS`, an engine's target; messages are read from standard input and written to what was standard output.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from typing import Any, BinaryIO

from multilstm.engines.base import Executor
from multilstm.engines.registry import load
from multilstm.errors import MultilstmError
from multilstm.job import job_from_tree, result_to_tree
from multilstm.workers import protocol


def main(target: str) -> None:
    """Serves messages for the engine `module:Class`: `{"call": "execute", "job": ...}`, or `{"call": "doctor"}`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's affair
    source, sink = _private_streams()
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(source, inbox), daemon=True).start()
    executor: Executor | None = None
    while True:
        message = inbox.get()
        try:
            if executor is None:
                executor = Executor(load(target))
            answer = {"result": _answer(executor, message)}
        except Exception as error:  # everything goes back to the launcher, with its cause
            answer = {"error": _describe(error)}
        protocol.write(sink, answer)


def _answer(executor: Executor, message: dict[str, Any]) -> dict[str, Any]:
    if message["call"] == "doctor":
        return executor.engine.doctor()
    return result_to_tree(executor.execute(job_from_tree(message["job"])))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for messages alone; whoever prints afterwards prints to stderr."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return source, sink


def _receive(source: BinaryIO, inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    try:
        while True:
            inbox.put(protocol.read(source))
    except EOFError:
        os._exit(0)  # the launcher is gone, whatever is being computed


def _describe(error: Exception) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "ours": isinstance(error, MultilstmError),
        "memory": isinstance(error, MemoryError),
        "traceback": "".join(traceback.format_exception(error)),
    }


if __name__ == "__main__":
    main(sys.argv[1])
