"""The launcher: starts one worker process per engine and device, keeps it, and survives its death.

A job that raises, crashes its worker (exit, signal, out of memory) or outlives its time-out raises in the caller and
loses nothing else: the next job starts a new worker. No process outlives the pool, and a worker whose launcher is
killed ends by itself, since its standard input closes.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any

from multilstm import errors
from multilstm.errors import MultilstmError, WorkerError
from multilstm.frameworks.process_environment import for_process
from multilstm.workers import protocol

JOBS_PER_WORKER = 4000  # frameworks keep something of every model: up to 0.5 MiB a job


# Of the memory maps that Linux allows a process (vm.max_map_count). A program that XLA compiled for a CPU takes about
# 70, and a process that may have no more of them crashes.
MAPS_SHARE = 0.5


_STDERR_BYTES = 4000


_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")  # Keras makes parts of its errors bold


class Worker:
    """One process, started when it is first called, and again after its end.

    Args:
        name: what it is called in errors.
        service: what `multilstm.workers.worker` is told: `module:function`, and its arguments.
        device: `cpu` or `gpu`.
        environment: variables that the process must have before it starts.
        home: a folder of its own, made if need be.
        renew: start a new process after many jobs, or for one that holds too many compiled programs; False for a
            service that remembers the jobs before.
    """

    def __init__(
        self,
        name: str,
        service: Sequence[str],
        device: str,
        environment: Mapping[str, str],
        home: pathlib.Path,
        renew: bool = True,
    ) -> None:
        self._name = name
        self._service = tuple(service)
        self._device = device
        self._environment = dict(environment)
        self._home = home
        self._renew = renew
        self._lock = threading.Lock()  # held for a job
        self._birth = threading.Lock()  # held for a start, or for the end of all starts
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._jobs = 0

    def call(self, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """What the service answers.

        Raises:
            WorkerError: for an exception, a crash or a time-out; with the worker's stderr.
            MultilstmError: what the service raised, where it is one of ours.
        """
        with self._lock:
            if self._renew and (self._jobs >= JOBS_PER_WORKER or self._is_crowded()):
                self.kill()
            process = self._process or self._start()
            self._jobs += 1
            expired = threading.Event()

            def expire() -> None:
                expired.set()
                _kill(process)

            timer = threading.Timer(timeout_s, expire)
            timer.daemon = True
            timer.start()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                protocol.write(process.stdin, message)  # type: ignore[arg-type]
                answer = protocol.read(process.stdout)  # type: ignore[arg-type]
            except (EOFError, OSError, ValueError):
                raise self._lost(process, timeout_s if expired.is_set() else None) from None
            except BaseException:
                self.kill()  # interrupted between the two: what the worker says next is the answer to nothing
                raise
            finally:
                timer.cancel()
            if "error" in answer:
                raise self._raised(answer["error"])
            result: dict[str, Any] = answer["result"]
            return result

    def _is_crowded(self) -> bool:
        """Whether the process holds more than `MAPS_SHARE` of the memory maps that it may have; Linux alone tells."""
        if self._process is None or sys.platform != "linux":
            return False
        allowed = int(pathlib.Path("/proc/sys/vm/max_map_count").read_text())
        try:
            held = pathlib.Path(f"/proc/{self._process.pid}/maps").read_bytes().count(b"\n")
        except (FileNotFoundError, ProcessLookupError):  # it has ended, which the call will tell of
            return False
        return held > MAPS_SHARE * allowed

    def _start(self) -> subprocess.Popen[bytes]:
        with self._birth:
            if self._closed:
                raise WorkerError(f"{self._name}: its worker was closed", kind="closed")
            self._process = self._spawn()
            return self._process

    def _spawn(self) -> subprocess.Popen[bytes]:
        root = str(pathlib.Path(__file__).parents[2])
        path = os.environ.get("PYTHONPATH")
        self._home.mkdir(exist_ok=True)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "multilstm.workers.worker", *self._service],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # the terminal's Ctrl-C reaches the launcher alone, which ends the workers
            env={
                **for_process(self._device, self._environment, os.environ),
                "PYTHONPATH": root if path is None else os.pathsep.join((root, path)),
                "KERAS_HOME": str(self._home),  # nobody's keras.json changes an answer
            },
        )

    def close(self) -> None:
        """Ends the process for good, also under a thread that is about to start it."""
        with self._birth:
            self._closed = True
            self.kill()

    def kill(self) -> None:
        """Ends the process, if there is one; the next job starts another."""
        process, self._process, self._jobs = self._process, None, 0
        if process is None:
            return
        _kill(process)
        process.wait()
        for stream in (process.stdin, process.stdout, self._stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was left in the buffer has no reader any more
                    stream.close()

    def _lost(self, process: subprocess.Popen[bytes], expired_s: float | None) -> WorkerError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        stderr = self._stderr_tail()
        code = process.returncode
        self.kill()
        if expired_s is not None:
            return WorkerError(
                f"{self._name}: no answer after {expired_s:g} s, its worker was ended; "
                f"give it longer with --timeout, or a smaller case",
                kind="timeout",
                stderr=stderr,
            )
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            end = f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        else:
            end = f"ended with exit code {code}"
        last = stderr.strip().splitlines()[-1:] or ["nothing on stderr"]
        return WorkerError(f"{self._name}: its worker {end}; last words: {last[0]}", kind="crash", stderr=stderr)

    def _raised(self, error: dict[str, Any]) -> MultilstmError:
        known = getattr(errors, error["type"], None) if error["ours"] else None
        if known is not None and known is not WorkerError:
            raised: MultilstmError = known(error["message"])
            return raised
        first = _gist(error["message"])
        message, kind = f"{self._name}: {error['type']}: {first}", "exception"
        if error["memory"]:
            message = f"{self._name}: out of memory on the {self._device}, with {error['type']}: {first}; "
            message, kind = message + "give it a smaller batch, fewer timesteps or fewer units", "memory"
        stderr = error["traceback"] + self._stderr_tail()
        lost = WorkerError(message, kind=kind, stderr=stderr, exception=error["type"])
        if error["memory"] or self._device == "gpu":  # what a failed kernel leaves behind fails the jobs after it
            self.kill()
        return lost

    def _stderr_tail(self) -> str:
        if self._stderr is None:
            return ""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_BYTES))
        return self._stderr.read().decode(errors="replace")


def _gist(message: str) -> str:
    """The first line of what was raised; where Keras says only in which layer, the reason too, which it says next."""
    first, *more = [line for each in message.splitlines() if (line := _ESCAPES.sub("", each).strip())] or [""]
    return f"{first} {more[0]}" if more and first.startswith("Exception encountered when calling") else first


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
