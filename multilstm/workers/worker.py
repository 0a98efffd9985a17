"""Worker of one engine and device: its process starts at the first job, is kept, and starts again after its end.

An exception, a crash (exit, signal), a time-out or too much memory of the process raises in the caller. No other job is
lost: the next job starts a new process. No process outlives its launcher: when a launcher is killed, the standard input
of its workers closes, and they end.
"""

from __future__ import annotations

import math
import os
import pathlib
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from multilstm import errors
from multilstm.errors import MultilstmError, UsageError, WorkerError
from multilstm.frameworks.process_environment import for_process, python_path
from multilstm.workers.connection import ConnectionLostError, TimeLimitError
from multilstm.workers.process import Process

JOBS_PER_PROCESS = 4000  # frameworks keep something of every model: up to 0.5 MiB a job

# Share of the memory maps that Linux allows a process (vm.max_map_count), above which the process is replaced. A
# program that XLA compiled for a CPU takes about 70 maps, and a process that reaches the limit crashes.
MAPS_SHARE = 0.5
MEMORY_SHARE = 0.5  # of the memory allowed, above which the process is replaced before the next job begins

_ROOT = pathlib.Path(__file__).parents[2]
REASON_LIMIT = 400  # characters of the reason of an exception that follows a list of source lines
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")  # Keras sets parts of its errors in bold


class _MemoryLimitError(Exception):
    """The process holds more memory than it may.

    Attributes:
        bytes: the memory that it holds.
    """

    def __init__(self, used: int) -> None:
        super().__init__(used)
        self.bytes = used


class Worker:
    """One worker; threads may share it, and each call waits for the one before.

    Args:
        name: its name in error messages.
        service: arguments of `multilstm.workers.child`: `module:function`, and the arguments of the function.
        device: `cpu` or `gpu`.
        environment: variables that the process must have before it starts.
        home: a folder for the files of this worker, made if need be.
        renew: replace the process after many jobs, or when it holds too many compiled programs or too much memory.
            False for a service that remembers earlier jobs.
        memory: resident bytes of the process and its children, above which it is ended; watched on Linux alone.
        python: the interpreter of the process; None: that of this process.
    """

    def __init__(
        self,
        name: str,
        service: Sequence[str],
        device: str,
        environment: Mapping[str, str],
        home: pathlib.Path,
        renew: bool = True,
        memory: float = math.inf,
        python: str | None = None,
    ) -> None:
        self._name = name
        self._service = tuple(service)
        self._device = device
        self._environment = dict(environment)
        self._home = home
        self._renew = renew
        self._memory = memory
        self._python = python
        self._turn = threading.Lock()  # held for a whole job
        self._state = threading.Lock()  # held while `_process` or `_closed` changes
        self._closed = False
        self._process: Process | None = None
        self._jobs = 0  # of this process

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def call(self, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a message to the service and return its answer.

        Args:
            message: what the service expects.
            timeout_s: seconds after which the process is killed; any number above zero.

        Raises:
            UsageError: for a time limit that is not above zero.
            WorkerError: for an exception, a crash, a time-out or too much memory, with the worker's stderr; for a
                worker that is closed.
            MultilstmError: the exception of the service, where its class is in `multilstm.errors`.
        """
        if not timeout_s > 0:
            raise UsageError(f"the time limit of a job must be a number of seconds above zero, given {timeout_s}")
        with self._turn:
            process = self._ready()
            try:
                answer = process.connection.call(message, timeout_s, lambda: self._watch(process))
                self._watch(process)  # a quick job ends before it is watched
            except ConnectionLostError:
                raise self._lost(process) from None
            except TimeLimitError:
                raise self._expired(process, timeout_s) from None
            except _MemoryLimitError as error:
                raise self._too_large(process, error.bytes) from None
            except BaseException:
                self.kill()  # interrupted: the next message from this process would answer the abandoned call
                raise
            if "error" in answer:
                raise self._raised(process, answer["error"])
            result: dict[str, Any] = answer["result"]
            return result

    def close(self) -> None:
        """End the process for good, also while another thread is about to start it."""
        with self._state:
            self._closed = True
        self.kill()

    def kill(self) -> None:
        """End the process, if there is one; the next job starts another."""
        with self._state:
            process, self._process, self._jobs = self._process, None, 0
        if process is not None:
            process.kill()

    def _ready(self) -> Process:
        """Return the process for the next job: the one of the job before, or a new one."""
        if self._renew and (self._jobs >= JOBS_PER_PROCESS or self._is_crowded()):
            self.kill()
        with self._state:
            if self._closed:
                raise WorkerError(f"{self._name}: its worker was closed", kind="closed")
            if self._process is None:
                self._home.mkdir(exist_ok=True)
                self._process = Process(self._service, self._variables(), self._python)
            self._jobs += 1
            return self._process

    def _variables(self) -> dict[str, str]:
        """Return the environment of the process: all its files go into its home."""
        home = str(self._home)
        inherited = os.environ.get("PYTHONPATH", "")
        return {
            **for_process(self._device, self._environment, os.environ),
            "PYTHONPATH": python_path(_ROOT if self._python is None else None, inherited),
            "KERAS_HOME": home,  # the user's keras.json must not change an answer
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), home),
        }

    def _watch(self, process: Process) -> None:
        used = process.memory()
        if used > self._memory:
            raise _MemoryLimitError(used)

    def _is_crowded(self) -> bool:
        """Whether the process holds too much memory, or too many of its maps, for another job; False but on Linux."""
        if self._process is None or sys.platform != "linux":
            return False
        if self._process.memory() > MEMORY_SHARE * self._memory:
            return True
        allowed = int(pathlib.Path("/proc/sys/vm/max_map_count").read_text())
        return self._process.memory_maps() > MAPS_SHARE * allowed

    def _expired(self, process: Process, timeout_s: float) -> WorkerError:
        self.kill()
        return WorkerError(
            f"{self._name}: no answer after {timeout_s:g} s, its worker was ended; "
            f"give it longer with --timeout, or a smaller case",
            kind="timeout",
            stderr=process.stderr(),
        )

    def _too_large(self, process: Process, used: int) -> WorkerError:
        self.kill()
        return WorkerError(
            f"{self._name}: out of memory: {used / 1e9:.3g} GB of {self._memory / 1e9:.3g} GB allowed, its worker was "
            f"ended; allow more with --memory, or give it a smaller batch, fewer timesteps or fewer units",
            kind="memory",
            stderr=process.stderr(),
        )

    def _lost(self, process: Process) -> WorkerError:
        end = process.how_it_ended()
        self.kill()
        stderr = process.stderr()
        if self._closed:
            return WorkerError(f"{self._name}: its worker was closed during this job", kind="closed", stderr=stderr)
        last = stderr.strip().splitlines()[-1:] or ["nothing on stderr"]
        return WorkerError(f"{self._name}: its worker {end}; last words: {last[0]}", kind="crash", stderr=stderr)

    def _raised(self, process: Process, error: dict[str, Any]) -> MultilstmError:
        known = getattr(errors, error["type"], None) if error["ours"] else None
        if known is not None and known is not WorkerError:
            raised: MultilstmError = known(error["message"])
            return raised
        summary = f"{error['type']}: {_summary(error['message'])}"
        message, kind = f"{self._name}: {summary}", "exception"
        if error["memory"]:
            message = f"{self._name}: out of memory on the {self._device}, with {summary}; "
            message, kind = message + "give it a smaller batch, fewer timesteps or fewer units", "memory"
        if error["memory"] or self._device == "gpu":  # the jobs after it would fail with the remains of this failure
            self.kill()
        return WorkerError(message, kind=kind, stderr=error["traceback"] + process.stderr(), exception=error["type"])


def _summary(message: str) -> str:
    """Return the reason in an exception's message: its first line, or the first two if Keras's only names the layer.

    The reason of TensorFlow's "Graph execution error:" follows a long list of source lines.
    """
    first, *more = [line for text in message.splitlines() if (line := _ESCAPES.sub("", text).strip())] or [""]
    if first.startswith("Exception encountered when calling"):
        return " ".join([first, *more[:1]])
    if first == "Graph execution error:":
        sources = [number for number, line in enumerate(more) if line.startswith('File "')]
        return " ".join([first, *more[sources[-1] + 1 if sources else 0 :]])[:REASON_LIMIT]
    return first
