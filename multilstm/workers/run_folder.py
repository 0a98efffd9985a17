"""Temporary folder of one run, removed at the latest when a later run starts.

A run that is killed cannot remove its folder. Every run therefore locks a file in its folder as long as it lives. When
a run starts, it removes the folders of other runs whose lock is free. The lock file names its folder, so that no
folder of another program, and no copy, is taken for one of ours.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import stat
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
_MARKER_BYTES = 1024
_FOLDER_MODE = stat.S_IFDIR | 0o700
_LOCK_MODE = stat.S_IFREG | 0o600


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
    """Remove the folders of runs that no longer live.

    A folder is one of ours if this user owns it, with the rights that `mkdtemp` gives. Its lock file also holds the
    folder's own name. Every other folder stays, and no link is followed.
    """
    if fcntl is None:
        return
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _opened_lock(folder) as lock:  # such as a folder that another run removes
            if lock.read(_MARKER_BYTES) == _marker(folder):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)


def _opened_lock(folder: pathlib.Path) -> IO[bytes]:
    """Open the lock file of a folder of this user.

    Raises:
        OSError: if the folder or the file is a link, or of another kind, owner or mode.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _require(os.fstat(opened), _FOLDER_MODE)
        lock = os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened)  # a FIFO would block
    finally:
        os.close(opened)
    file = open(lock, "r+b", buffering=0)  # noqa: SIM115 - the caller closes it
    try:
        _require(os.fstat(lock), _LOCK_MODE)
    except OSError:
        file.close()
        raise
    return file


def _require(status: os.stat_result, mode: int) -> None:
    if status.st_uid != os.getuid() or status.st_mode != mode:
        raise PermissionError("not made by multilstm for this user")


def _marker(folder: pathlib.Path) -> bytes:
    return f"multilstm run {folder.name}\n".encode(errors="surrogateescape")


def _locked(folder: pathlib.Path) -> IO[bytes] | None:
    """Return the open lock file of a new folder, which is locked before it gets the name that other runs look for."""
    if fcntl is None:
        return None
    unnamed = folder / f"{_LOCK}.new"
    lock = open(unnamed, "xb", buffering=0)  # noqa: SIM115 - `_remove` closes it
    os.fchmod(lock.fileno(), stat.S_IMODE(_LOCK_MODE))
    lock.write(_marker(folder))
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / _LOCK)
    return lock


def _remove(folder: pathlib.Path, lock: IO[bytes] | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if lock is not None:
        lock.close()
