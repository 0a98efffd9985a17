"""Program of a worker process: it answers one message after the other until its launcher ends.

Start: `python -m multilstm.workers.child MODULE:FUNCTION [ARGUMENT]...`. The function makes a service of the arguments:
a function from message to answer. Messages are read from standard input, and answers are written to standard output.
Everything that a framework prints goes to standard error, never between the answers.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from multilstm.errors import MultilstmError
from multilstm.frameworks.targets import import_target
from multilstm.workers import protocol

Service = Callable[[dict[str, Any]], dict[str, Any]]


def main(maker: str, *arguments: str) -> None:
    """Answer messages until there are no more, with the service that `module:function` makes of the arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at Ctrl-C the launcher ends its workers
    source, sink = _private_streams()
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(source, inbox), daemon=True).start()
    service: Service | None = None
    while True:
        message = inbox.get()
        try:
            if service is None:
                service = import_target(maker)(*arguments)
            answer = {"result": service(message)}
        except Exception as error:  # the launcher raises it again
            answer = {"error": _describe(error)}
        protocol.write(sink, answer)


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output, for messages alone; later prints to standard output go to standard error."""
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
        os._exit(0)  # the launcher has ended: the job under way has no reader


def _describe(error: Exception) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "ours": isinstance(error, MultilstmError),
        "memory": out_of_memory(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


_MEMORY_ERRORS = ("OutOfMemoryError", "ResourceExhaustedError")  # PyTorch's, TensorFlow's
# JAX's; CUDA's; cuDNN's and cuBLAS's; PyTorch's on a CPU.
_MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "out of memory", "_ALLOC_FAILED", "can't allocate memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of any framework means that the memory of the machine or of the GPU was not enough."""
    if isinstance(error, MemoryError) or any(kind.__name__ in _MEMORY_ERRORS for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _MEMORY_WORDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
