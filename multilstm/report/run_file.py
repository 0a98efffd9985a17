"""The file of a run, written while the run goes on, so that a run that is killed keeps what it has."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import IO, Any

from multilstm.errors import InputError, shown
from multilstm.files.atomic import write_bytes
from multilstm.report.cells import Cell, JobKey
from multilstm.report.reading import Recorded
from multilstm.report.records import end_record, header_record, job_record, json_lines
from multilstm.report.report import Report
from multilstm.report.text import flat, json_line

__all__ = ["RunFile", "check_same_run"]

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: two runs with one file are not seen
    fcntl = None

# Facts of an environment that change no answer.
FREE = ("cores", "options: timeout_s", "options: memory_gb")
DIFFERENCES_SHOWN = 5


class RunFile:
    """The file to which a run appends each job as soon as it is judged; several threads may share it.

    A file of that name is replaced when the first job is judged, and stays as it is until then. After an error of the
    file system nothing more is appended, and `end` writes the whole file again. The file is locked while it is open, so
    that no other run replaces it.

    Args:
        path: the file.
        earlier: the file as an earlier run left it, which this run goes on with; None: a new file.

    Attributes:
        failure: the first error of the file system, in words; empty without one.
    """

    def __init__(self, path: str, earlier: Recorded | None = None) -> None:
        self.path = path
        self.earlier = earlier
        self.failure = ""
        self._header: Report | None = None
        self._is_written = False
        self._stream: IO[bytes] | None = None
        self._lock = threading.Lock()

    def begin(self, header: Report) -> None:
        """Take the description of the run: a report without cells.

        Raises:
            InputError: if the earlier run was another one: other versions, options or cases. Also for a file to which
                another run appends, and for one whose bytes are not those that the run wrote.
        """
        _check_free(self.path)
        if self.earlier is not None:
            check_same_run(self.path, self.earlier.report, header)
            _check_last_line(self.path, self.earlier.size)
        self._header = header

    def add(self, job: JobKey, digest: str, cells: Sequence[Cell], elapsed_s: float) -> None:
        """Append one judged job.

        Args:
            job: the job.
            digest: the digest of its inputs and weights.
            cells: its judged quantities.
            elapsed_s: the seconds since the run began, those of the runs that it continues included.
        """
        with self._lock:
            self._append(json_line(job_record(job, digest, cells, elapsed_s)))

    def end(self, report: Report) -> None:
        """Append the verdict of a run that has cells; without cells an earlier file stays.

        Raises:
            InputError: if the file could not be written, or another run appends to it; what was judged before the
                error is in it.
        """
        with self._lock:
            if report.cells:
                self._append(json_line(end_record(report)))
        self.close()
        if self.failure:
            _check_free(self.path)
            write_bytes(self.path, "".join(f"{line}\n" for line in json_lines(report)).encode())

    def close(self) -> None:
        """Close the file; `add` and `end` open it again."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def _append(self, line: str) -> None:
        if self.failure:
            return
        try:
            if self._stream is None:
                self._stream = self._opened()
            self._stream.write(f"{line}\n".encode())
            self._stream.flush()
        except (OSError, InputError) as error:
            self.failure = str(error)

    def _opened(self) -> IO[bytes]:
        """Return the file, open at its end: a new one with its first line, or the earlier one without a broken line."""
        assert self._header is not None
        _check_free(self.path)
        if not self._is_written and self.earlier is None:
            write_bytes(self.path, f"{json_line(header_record(self._header))}\n".encode())
        elif not self._is_written and self.earlier is not None:
            with open(self.path, "r+b") as file:
                file.truncate(self.earlier.size - 1)
                file.seek(0, os.SEEK_END)
                file.write(b"\n")  # which the last line may lack
        self._is_written = True
        stream = open(self.path, "ab")  # noqa: SIM115 - `close` closes it
        if fcntl is not None:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return stream


def _check_free(path: str) -> None:
    """Refuse a file to which another run appends."""
    if fcntl is None or not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"cannot write {path!r}: another run appends to it; wait for its end, or name another file"
            ) from None


def _check_last_line(path: str, size: int) -> None:
    """Refuse a file in which no line ends at a number of bytes: what is appended there would be lost."""
    with open(path, "rb") as file:
        file.seek(size - 1)
        if file.read(1) not in (b"\n", b""):
            raise InputError(
                f"cannot go on with {path!r}: another program has changed its bytes; write a new file with --json"
            )


def check_same_run(path: str, earlier: Report, now: Report) -> None:
    """Return if a run may go on with the file of an earlier one.

    Raises:
        InputError: for other versions, another machine, other options or other cases, with both values of each.
    """
    sides = [
        {**dict(flat(report.environment)), "cases": ", ".join(report.cases), "judge": report.judge}
        for report in (earlier, now)
    ]
    names = [name for name in dict.fromkeys((*sides[0], *sides[1])) if name not in FREE]
    pairs = [(name, *(side.get(name, "") for side in sides)) for name in names]
    differing = [f"{name} was {shown(old)}, is {shown(new)}" for name, old, new in pairs if old != new]
    if differing:
        more = len(differing) - DIFFERENCES_SHOWN
        listing = "; ".join(differing[:DIFFERENCES_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise InputError(
            f"cannot go on with {path!r}: it is of another run: {listing}; repeat that run's options, or write a new "
            f"file with --json"
        )
