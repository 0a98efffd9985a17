"""All members of a zip archive: zipfile alone reads an archive with a broken directory in part."""

from __future__ import annotations

import zipfile

__all__ = ["all_members"]

END, COUNT = b"PK\x05\x06", slice(10, 12)  # the record behind the directory, and the bytes of its count of members
IN_ZIP64 = 0xFFFF  # the count is in another record


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
