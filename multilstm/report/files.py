"""Result files, written whole or not at all."""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile

from multilstm.errors import InputError


def write_text(path: str, text: str) -> None:
    """Writes a file beside its place and renames it, so that no half of it is ever seen; `-` is standard output.

    Raises:
        InputError: where it cannot be written: no such folder, no permission, no space left.
    """
    if path == "-":
        sys.stdout.write(text + "\n")
        return
    target = pathlib.Path(os.path.realpath(path))  # what a link points to is written, the link stays
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as stream:
            temporary = stream.name
            stream.write(text + "\n")
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            pathlib.Path(temporary).unlink(missing_ok=True)
        raise _unwritable(path, error) from None


def check_writable(path: str) -> None:
    """Returns if a file can be made there, so that a long run does not end in vain.

    Raises:
        InputError: where it cannot.
    """
    if path != "-":
        try:
            target = pathlib.Path(os.path.realpath(path))
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except OSError as error:
            raise _unwritable(path, error) from None
        if target.exists() and not target.is_file():
            raise InputError(f"cannot write {path!r}: it is a folder or a device; give the path of a file, or -")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(path: str, error: OSError) -> InputError:
    return InputError(f"cannot write {path!r}: {error.strerror or error}; nothing was left there; give another path")
