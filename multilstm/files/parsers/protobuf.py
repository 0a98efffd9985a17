"""The wire format of protocol buffers: the fields of one message, without a schema.

The format: https://protobuf.dev/programming-guides/encoding/. Messages inside of a message stay bytes until their
fields are read, so the depth is that of the reader.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from multilstm.errors import InputError
from multilstm.files.parsers.parsed import OBJECT_LIMIT

__all__ = ["Message", "fields", "varints"]

Value = int | bytes
_FIXED = {1: 8, 5: 4}  # bytes of a value, by wire type


def fields(content: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the number and the value of every field: integers, and bytes for all others.

    Raises:
        InputError: for bytes that are no message, or too many fields.
    """
    position = count = 0
    while position < len(content):
        tag, position = _varint(content, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(content, position)
            yield tag >> 3, value
        else:
            if kind == 2:
                size, position = _varint(content, position)
            elif kind in _FIXED:
                size = _FIXED[kind]
            else:
                raise InputError(f"it is no protocol buffer: it has the wire type {kind}; copy or download it again")
            if position + size > len(content):
                raise InputError("the protocol buffer is cut or broken; copy or download it again")
            yield tag >> 3, content[position : position + size]
            position += size
        count += 1
        if count > OBJECT_LIMIT:
            raise InputError(f"a message has more than {OBJECT_LIMIT:,} fields; expected one model")


def varints(value: Value) -> list[int]:
    """Return the integers of a repeated field, which may be packed into bytes."""
    if isinstance(value, int):
        return [value]
    numbers, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        numbers.append(number)
    return numbers


class Message:
    """The fields of one message by number.

    Args:
        content: the bytes of the message.
    """

    def __init__(self, content: Value) -> None:
        if isinstance(content, int):
            raise InputError("the protocol buffer has a number in place of a message; it is broken")
        self._fields: dict[int, list[Value]] = {}
        for number, value in fields(content):
            self._fields.setdefault(number, []).append(value)

    def all(self, number: int) -> list[Value]:
        """Return all values of a field."""
        return self._fields.get(number, [])

    def messages(self, number: int) -> list[Message]:
        """Return all messages of a field."""
        return [Message(value) for value in self.all(number)]

    def integer(self, number: int, default: int = 0) -> int:
        """Return the last integer of a field."""
        values = [value for value in self.all(number) if isinstance(value, int)]
        return values[-1] if values else default

    def data(self, number: int) -> bytes:
        """Return the last bytes of a field; empty if absent."""
        values = [value for value in self.all(number) if isinstance(value, bytes)]
        return values[-1] if values else b""

    def text(self, number: int) -> str:
        """Return the last text of a field; empty if absent."""
        return self.data(number).decode("utf-8", "replace")

    def texts(self, number: int) -> list[str]:
        """Return all texts of a field."""
        return [value.decode("utf-8", "replace") for value in self.all(number) if isinstance(value, bytes)]

    def float(self, number: int, default: float) -> float:
        """Return the last 32-bit float of a field."""
        content = self.data(number)
        return float(struct.unpack("<f", content)[0]) if len(content) == 4 else default


def _varint(content: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            break
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise InputError("the protocol buffer is cut or broken; copy or download it again")
