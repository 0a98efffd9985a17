"""Process of one worker: its start, its standard error and its end."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import BinaryIO, cast

from multilstm.frameworks.machine import session_memory
from multilstm.frameworks.other_python import command
from multilstm.workers.connection import Connection

_CHILD = "multilstm.workers.child"
_STDERR_BYTES = 4000


class Process:
    """One child process that answers messages. The start returns at once; the first answer waits for the imports.

    Args:
        service: arguments of `multilstm.workers.child`: `module:function`, and the arguments of the function.
        environment: all environment variables of the process.
        python: the interpreter of another environment; None: that of this process.

    Attributes:
        connection: to the process.
    """

    def __init__(self, service: Sequence[str], environment: Mapping[str, str], python: str | None = None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed by `kill`
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", _CHILD, *service] if python is None else command(python, _CHILD, *service),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # the terminal's Ctrl-C reaches the launcher alone, which ends the workers
            env=environment,
        )
        self.connection = Connection(cast(BinaryIO, self._popen.stdin), cast(BinaryIO, self._popen.stdout))
        self._lock = threading.Lock()  # held while the process is ended, or its standard error is read
        self._last_stderr: str | None = None  # once the process is ended

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._popen.pid

    def memory_maps(self) -> int:
        """Return the number of memory maps that the process holds; 0 after its end, and on other systems than Linux."""
        try:
            return pathlib.Path(f"/proc/{self.pid}/maps").read_bytes().count(b"\n")
        except OSError:
            return 0

    def memory(self) -> int:
        """Return the resident bytes of the process and of all that it started; 0 on other systems than Linux."""
        return session_memory(self.pid)

    def how_it_ended(self) -> str:
        """Return how a process ended that closed its streams, such as `ended with exit code 7`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=10)
        code = self._popen.returncode
        if code is None:
            return "closed its output without an end"
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name
        return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")

    def stderr(self) -> str:
        """Return the end of what the process wrote to standard error."""
        with self._lock:
            return self._tail() if self._last_stderr is None else self._last_stderr

    def kill(self) -> None:
        """End the process and all processes that it started, and close the connection."""
        with self._lock:
            if self._last_stderr is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self.pid, signal.SIGKILL)
                else:
                    self._popen.kill()
            self._popen.wait()
            self.connection.close()
            self._last_stderr = self._tail()
            self._stderr.close()

    def _tail(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_BYTES))
        return self._stderr.read().decode(errors="replace")
