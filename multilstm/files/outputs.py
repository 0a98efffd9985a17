"""Files of a result: none is written twice, and none in the place of a file that is read."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping

from multilstm.errors import UsageError, shown
from multilstm.files.atomic import check_replaceable, write_bytes

__all__ = ["PROOF", "check_outputs", "outputs_beside", "write_outputs"]

Path = str | os.PathLike[str]
PROOF = ".proof.json"  # the suffix of a comparison, which lies next to the file that it proves


def check_outputs(written: Mapping[str, Path], read: Iterable[tuple[str, Path]] = ()) -> None:
    """Refuse a file that cannot be written, is also read, or is written twice; links are followed.

    Args:
        written: the paths by their names in messages, such as `--json`.
        read: the name in messages and the path of each file that is read.

    Raises:
        UsageError: for a path that is read, or has two names.
        InputError: for a file that cannot be written.
    """
    for path in written.values():
        check_replaceable(path)
    places = {os.path.realpath(path): name for name, path in read}
    for name, path in written.items():
        place = os.path.realpath(path)
        if place in places:
            raise UsageError(f"{name} {shown(os.fspath(path))} is the file of {places[place]}; give another path")
        places[place] = name


def outputs_beside(main: Path, further: Iterable[str], name: str) -> dict[str, Path]:
    """Return a main file and the files next to it, by their names in messages.

    Args:
        main: the main file.
        further: the suffixes of the other files.
        name: the name of the main file.
    """
    return {name: main, **{f"{name}'s {suffix}": pathlib.Path(main).with_suffix(suffix) for suffix in further}}


def write_outputs(main: Path, content: bytes, further: Mapping[str, bytes]) -> tuple[pathlib.Path, ...]:
    """Write a main file and the files next to it.

    Args:
        main: the main file.
        content: everything that it will hold.
        further: the contents of the other files, by suffix.

    Returns:
        The paths of all files, the main file first.

    Raises:
        UsageError: if two of them are one file; none is then written.
        InputError: for a file that cannot be written; none is then written.
    """
    check_replaceable(main)
    outputs = outputs_beside(main, further, "path")
    check_outputs(outputs)
    for path, data in zip(outputs.values(), (content, *further.values()), strict=True):
        write_bytes(path, data)
    return tuple(map(pathlib.Path, outputs.values()))
