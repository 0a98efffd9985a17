"""Temporary folder of one run, removed at the latest when a later run starts.

A run that is killed cannot remove its folder. Every run therefore locks a file in its folder as long as it lives. When
a run starts, it removes the folders of other runs whose lock is free.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
import weakref
from typing import IO, Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: the folders of killed runs stay
    fcntl = None

_PREFIX = "multilstm-"
_LOCK = "lock"


class RunFolder:
    """A folder of this run; a context manager, which gives the path and removes the folder at its end.

    Attributes:
        path: of the folder.
    """

    def __init__(self) -> None:
        remove_dead()
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._finalizer = weakref.finalize(self, _remove, self.path, _locked(self.path))

    def __enter__(self) -> pathlib.Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder with all that is in it; also done when this object or the interpreter ends."""
        self._finalizer()


def remove_dead() -> None:
    """Remove the folders of runs that no longer live; folders without a lock file and those of other users stay."""
    if fcntl is None:
        return
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another run removes it, or it is not ours
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with open(folder / _LOCK, "r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)


def _locked(folder: pathlib.Path) -> IO[bytes] | None:
    """Return the open lock file of a new folder, which is locked before it gets the name that other runs look for."""
    if fcntl is None:
        return None
    unnamed = folder / f"{_LOCK}.new"
    lock = open(unnamed, "wb")  # noqa: SIM115 - it is closed by `_remove`
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / _LOCK)
    return lock


def _remove(folder: pathlib.Path, lock: IO[bytes] | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if lock is not None:
        lock.close()
