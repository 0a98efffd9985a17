"""Result files, written as a whole or not at all; `-` is standard output."""

from __future__ import annotations

import sys

from multilstm.files.atomic import check_replaceable, write_bytes

__all__ = ["check_writable", "write_text"]


def write_text(path: str, text: str) -> None:
    """Write text and a line feed to a file that is complete or unchanged, or to standard output.

    Args:
        path: the file, or `-`.
        text: the content.

    Raises:
        InputError: if the file cannot be written.
    """
    if path == "-":
        sys.stdout.write(text + "\n")
    else:
        write_bytes(path, f"{text}\n".encode())


def check_writable(path: str) -> None:
    """Raise InputError if `write_text` could not write there, so that a long run does not end in vain."""
    if path != "-":
        check_replaceable(path)
