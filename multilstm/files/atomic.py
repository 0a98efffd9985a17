"""Files written as a whole or not at all: the new content is written next to the file and renamed.

Only a regular file is ever replaced. A link stays, and the file behind it is replaced. A folder, a device, a named pipe
or a socket is refused: a rename would put a regular file in its place.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import stat

from multilstm.errors import InputError

__all__ = ["check_replaceable", "write_bytes"]


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file that is complete or, after an error, unchanged.

    Args:
        path: the file; replaced if it exists. It keeps its permissions; a new file has those that the umask allows.
        content: everything that the file will hold.

    Raises:
        InputError: for anything but a regular file at `path`, a missing folder, no permission, or no space left.
    """
    target = _target(path)
    beside = target.with_name(f".multilstm-{secrets.token_hex(8)}")
    try:
        mode = _mode(target)
        permissions = 0o666 if mode is None else stat.S_IMODE(mode)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
        with open(os.open(beside, flags, permissions), "wb") as stream:
            stream.write(content)
        if mode is not None:  # the umask may have taken some away
            os.chmod(beside, permissions)
        os.replace(beside, target)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Raise InputError if `write_bytes` could not write there, so that a long computation does not end in vain."""
    beside = _target(path).with_name(f".multilstm-{secrets.token_hex(8)}")
    try:
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        beside.unlink()
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None


_BINARY = getattr(os, "O_BINARY", 0)


def _target(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path behind all links, at which there is a regular file or nothing."""
    if os.path.basename(os.fspath(path)) in ("", ".", ".."):
        raise _unwritable(path, "it names a folder")
    try:
        target = pathlib.Path(os.path.realpath(path))
        mode = _mode(target)
    except (OSError, ValueError) as error:  # such as a null character in the path, or a current folder that is gone
        raise _unwritable(path, getattr(error, "strerror", None) or str(error)) from None
    if mode is not None and not stat.S_ISREG(mode):
        raise _unwritable(path, "it is a folder or a device, expected a file")
    return target


def _mode(target: pathlib.Path) -> int | None:
    """Return the kind and the permissions of an existing file, or None."""
    try:
        return os.lstat(target).st_mode
    except FileNotFoundError:
        return None


def _unwritable(path: str | os.PathLike[str], reason: str) -> InputError:
    return InputError(f"cannot write {os.fspath(path)!r}: {reason}; nothing was written; give the path of a file")
