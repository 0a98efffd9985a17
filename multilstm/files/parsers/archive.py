"""Zip archives: Keras 3's `.keras` and PyTorch's checkpoints. Members are read with a cap, and never extracted."""

from __future__ import annotations

import encodings.cp437  # zipfile decodes names with it; later no file can be opened
import io
import stat
import zipfile
import zlib
from typing import Any

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.checkpoint import checkpoint, is_checkpoint
from multilstm.files.parsers.hdf5 import Hdf5
from multilstm.files.parsers.parsed import OBJECT_LIMIT, Budget, Parsed, check_name
from multilstm.files.parsers.zip_members import all_members

__all__ = ["Archive", "parse"]

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
TEXT_LIMIT = 32 * 2**20
CODEC = encodings.cp437.__name__


def parse(content: bytes) -> Parsed:
    """Return the content of a `.keras` file, or of a checkpoint of PyTorch.

    Of a `.keras` file, the document has `config` and `metadata` as text, and all that `hdf5.parse` returns for the
    weights. For a checkpoint, see `checkpoint.py`.
    """
    archive = Archive(content, Budget(len(content)))
    names = archive.names
    if "config.json" in names:
        return _keras(archive)
    if is_checkpoint(names):
        return checkpoint(archive)
    raise InputError(_other(names))


class Archive:
    """A zip archive in memory.

    Args:
        content: the bytes of the file.
        budget: the limits.

    Attributes:
        names: the names of the members.
    """

    def __init__(self, content: bytes, budget: Budget) -> None:
        self.budget = budget
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
            members = all_members(self._zip, content)
        except (zipfile.BadZipFile, ValueError, EOFError, OverflowError, NotImplementedError) as error:
            raise InputError(f"the zip archive is broken or incomplete ({error}); copy or download it again") from None
        if len(members) > OBJECT_LIMIT:
            raise InputError(f"the archive has {len(members):,} members, expected at most {OBJECT_LIMIT:,}")
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            if member.filename in self._members:
                raise InputError(f"the archive holds {shown(member.filename)} twice; expected every member once")
            _check_member(member)
            self._members[member.filename] = member
        if sum(member.compress_size for member in members) > len(content):
            raise InputError("members of the archive overlap; expected each byte in one member")
        self.names = tuple(self._members)

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return the content of a member, at most `limit` bytes."""
        member = self._members[name]
        if limit is not None and member.file_size > limit:
            raise InputError(f"member {shown(name)} has {member.file_size:,} bytes, expected at most {limit:,}")
        self.budget.take(f"member {shown(name)}", member.file_size)
        try:
            with self._zip.open(member) as stream:
                return stream.read(member.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError) as error:
            raise InputError(f"member {shown(name)} is broken ({error}); copy or download the file again") from None

    def text(self, name: str) -> str:
        """Return the content of a member as text."""
        try:
            return self.read(name, TEXT_LIMIT).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"member {shown(name)} is no UTF-8 text ({error}); the file is broken") from None


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    check_name(name, "archive")
    if member.flag_bits & 0x1:
        raise InputError(f"member {shown(name)} is encrypted; expected an archive without a password")
    if member.compress_type not in METHODS:
        raise InputError(
            f"member {shown(name)} is packed with method {member.compress_type}; expected stored or deflate"
        )
    if name.startswith("/") or "\\" in member.orig_filename or ".." in name.split("/") or name[1:2] == ":":
        raise InputError(f"member {shown(name)} has a path outside of the archive; expected plain names")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"member {shown(name)} is a link; expected files")


def _keras(archive: Archive) -> Parsed:
    document: dict[str, Any] = {"config": archive.text("config.json")}
    if "metadata.json" in archive.names:
        document["metadata"] = archive.text("metadata.json")
    if "model.weights.h5" in archive.names:
        weights = Hdf5(archive.read("model.weights.h5"), archive.budget).parsed()
        return Parsed({**weights.document, **document}, weights.arrays)
    others = [name for name in archive.names if name.startswith("model.weights")]
    if others:
        raise InputError(
            f"the weights are in {listed(map(shown, others))}; expected model.weights.h5; save it as one file"
        )
    return Parsed(document)


def _other(names: tuple[str, ...]) -> str:
    """Return the message for an archive that is no model of Keras."""
    if any(name.endswith(".npy") for name in names):
        return "this is a NumPy archive (.npz) of arrays; expected a model file; multilstm.load does not read it"
    return (
        f"this is a zip archive with {listed(map(shown, names[:5])) or 'no members'}; expected config.json and "
        f"model.weights.h5, as in Keras's .keras files"
    )
