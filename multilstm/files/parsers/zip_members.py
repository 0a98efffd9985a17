"""The members of a zip archive, which are read with a cap, and never extracted."""

from __future__ import annotations

import encodings.cp437  # zipfile decodes names with it; later no file can be opened
import io
import stat
import zipfile
import zlib

from multilstm.errors import InputError, shown
from multilstm.files.parsers.parsed import OBJECT_LIMIT, Budget, check_name

__all__ = ["Archive", "all_members"]

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
TEXT_LIMIT = 32 * 2**20
CODEC = encodings.cp437.__name__
END, COUNT = b"PK\x05\x06", slice(10, 12)  # the record behind the directory, and the bytes of its count of members
IN_ZIP64 = 0xFFFF  # the count is in another record


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


def all_members(archive: zipfile.ZipFile, content: bytes) -> list[zipfile.ZipInfo]:
    """Return the members of an archive.

    Args:
        archive: the archive.
        content: its bytes.

    Raises:
        zipfile.BadZipFile: for a directory with another number of members than the end of the archive states.
    """
    members = archive.infolist()
    count = int.from_bytes(content[content.rfind(END) :][COUNT], "little")
    if count not in (len(members), IN_ZIP64):
        raise zipfile.BadZipFile(f"its directory has {len(members)} members, its end states {count}")
    return members
