"""Mutations of valid files: bytes for every format, and changes inside of containers whose checksums are written anew.

A mutation takes the content, a generator of random numbers and a second valid file, the donor. It returns the content
of the mutant. Equal generators give equal mutants.
"""

from __future__ import annotations

import copy
import io
import itertools
import json
import pickletools
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np

from multilstm.errors import InputError
from multilstm.files.parsers.protobuf import fields

__all__ = ["MUTATIONS", "changed_bytes", "field"]

Mutation = Callable[[bytes, random.Random, bytes], bytes]
EXTREMES = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
DEEP: Any = json.loads("[" * 90 + "]" * 90)
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"),
    "", "a" * 2000, "\x1b[31m", "\ud800", "../../etc/passwd", "/etc/passwd", "<script>", "0", "None", "lambda x: x",
    [], {}, [[]], [None], [None, None, None], [2**40, 2**40], [0], [1, 2, 3], [-1, -1], ["a"], [[["a", 0, 0, {}]]],
    {"class_name": "Lambda", "config": {}}, {"class_name": "LSTM", "config": {}}, {"class_name": "LSTM"},
    {"class_name": "__tuple__", "items": [None]}, {"class_name": "__keras_tensor__", "config": {}}, {"config": {}},
    {"class_name": "Sequential", "config": {"layers": []}}, {"class_name": "Sequential", "config": []}, DEEP,
)  # fmt: skip


def changed_bytes(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    """Return the content after one to four changes of bytes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        rng.choice((_flip, _flip, _byte, _number, _number, _digits, _insert, _remove, _repeat, _splice, _cut))(
            data, rng, donor
        )
    return bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    """Return a position: half of them lie in the first 2 KB, where formats have their structure."""
    return rng.randrange(min(len(data), 2048) if rng.random() < 0.5 else len(data)) if data else 0


def _size(rng: random.Random) -> int:
    return rng.choice((1, 1, 2, 4, 8, 16, 64, 512, 4096))


def _flip(data: bytearray, rng: random.Random, _: bytes) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: random.Random, _: bytes) -> None:
    if data:
        data[_place(data, rng)] = rng.choice((0, 1, 127, 128, 254, 255, rng.randrange(256)))


def _number(data: bytearray, rng: random.Random, _: bytes) -> None:
    size = rng.choice((2, 4, 8))
    start = _place(data, rng) // size * size
    number = rng.choice(EXTREMES) % 256**size
    data[start : start + size] = number.to_bytes(size, rng.choice(("little", "little", "big")))


def _digits(data: bytearray, rng: random.Random, _: bytes) -> None:
    """Replace a number that is written as text."""
    matches = list(re.finditer(rb"-?[0-9.]+", bytes(data[:65536])))
    if matches:
        match = rng.choice(matches)
        values = (*map(str, EXTREMES), "-1", "1e999", "NaN", "null", "1" * 5000, "0.5")
        data[match.start() : match.end()] = rng.choice(values).encode()


def _insert(data: bytearray, rng: random.Random, _: bytes) -> None:
    start = _place(data, rng)
    data[start:start] = rng.choice((rng.randbytes(_size(rng)), bytes(_size(rng)), b"\xff" * _size(rng)))


def _remove(data: bytearray, rng: random.Random, _: bytes) -> None:
    start = _place(data, rng)
    del data[start : start + _size(rng)]


def _repeat(data: bytearray, rng: random.Random, _: bytes) -> None:
    start, size = _place(data, rng), _size(rng)
    data[start:start] = data[start : start + size] * rng.choice((1, 2, 50))


def _splice(data: bytearray, rng: random.Random, donor: bytes) -> None:
    size = _size(rng)
    start, source = _place(data, rng), _place(bytearray(donor), rng)
    data[start : start + rng.choice((0, size))] = donor[source : source + size]


def _cut(data: bytearray, rng: random.Random, _: bytes) -> None:
    del data[_place(data, rng) :]


# JSON ------------------------------------------------------------------------------------------------------------


def changed_json(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    """Return JSON with one to three values replaced, removed, renamed, repeated or exchanged."""
    value = json.loads(content)
    other = json.loads(donor) if donor[:1] == b"{" else value
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _edit(value, rng, other)
    return json.dumps(value).encode()


def _edit(value: Any, rng: random.Random, donor: Any) -> None:
    container, key = rng.choice(list(_nodes(value)) or [({"": 0}, "")])
    action = rng.random()
    if action < 0.6:
        container[key] = copy.deepcopy(rng.choice(HOSTILE))
    elif action < 0.7:
        del container[key]
    elif action < 0.8:
        source, name = rng.choice(list(_nodes(donor)) or [({"": 0}, "")])
        container[key] = copy.deepcopy(source[name])
    elif isinstance(container, dict):
        container[rng.choice((*container, "class_name", "", "__metadata__", "name"))] = container.pop(key)
    else:
        container.insert(rng.randrange(len(container) + 1), copy.deepcopy(container[key]))


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container of JSON with each of its keys."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _nodes(item)


def changed_safetensors(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    """Return a file with another header, whose length is written anew."""
    size = int.from_bytes(content[:8], "little")
    header = changed_json(content[8 : 8 + size], rng, b"")
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


# Zip archives ----------------------------------------------------------------------------------------------------


def changed_member(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    """Return an archive with one member changed, removed or renamed, and with the checksums of the new members."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice(list(members))
    action = rng.random()
    if action < 0.9:
        members[name] = _changed(name, members[name], rng, donor)
    elif action < 0.95:
        del members[name]
    else:
        other = rng.choice((*members, "../outside", "/etc/passwd", "config.json", "x/data.pkl", "model.weights.h5"))
        members[other] = members.pop(name)
    stream = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return stream.getvalue()


def _changed(name: str, member: bytes, rng: random.Random, donor: bytes) -> bytes:
    inner = {".json": changed_json, ".h5": changed_hdf5, ".pkl": changed_pickle}
    special = next((change for ending, change in inner.items() if name.endswith(ending)), changed_bytes)
    return rng.choice((special, special, changed_bytes))(member, rng, donor)


# Pickles, protocol buffers, HDF5 ---------------------------------------------------------------------------------


def changed_pickle(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    """Return pickles of which one opcode is removed, repeated, moved, or takes another integer."""
    parts, start = [], 0
    while content[start : start + 1] == b"\x80":
        places = [position for _, _, position in pickletools.genops(content[start:]) if position is not None]
        end = content.index(b".", start + places[-1]) + 1
        bounds = [*(start + place for place in places), end]
        parts += [content[first:last] for first, last in itertools.pairwise(bounds)]
        start = end
    for _ in range(rng.choice((1, 1, 2, 3))):
        number = rng.randrange(len(parts))
        part = parts.pop(number)
        integer = b"J" + rng.choice(EXTREMES[:10]).to_bytes(4, "little") if rng.random() < 0.5 else b"K\x00"
        big = b"\x8a\x09" + rng.choice(EXTREMES).to_bytes(9, "little")
        new = rng.choice(([], [part, part], [integer], [big], [rng.choice(parts)], [part, b"}"], [b"]", part], [b"N"]))
        position = number if rng.random() < 0.8 else rng.randrange(len(parts) + 1)
        parts[position:position] = new
    return b"".join(parts) + content[start:]


def changed_protobuf(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    """Return a message with one field changed at any depth, and with the lengths of the new messages."""
    try:
        parts = [[number, value] for number, value in fields(content)]
    except InputError:
        parts = []
    if not parts or any(not number for number, _ in parts):
        change = changed_json if content[:1] == b"{" else changed_bytes
        return change(content, rng, donor)
    place = rng.randrange(len(parts))
    number, value = parts[place]
    if isinstance(value, bytes) and value and rng.random() < 0.8:
        parts[place][1] = changed_protobuf(value, rng, donor)
    else:
        other = rng.choice(parts)
        hostile = rng.choice((*EXTREMES, b"", b"\xff" * 10, "../a", "\x1b[31m", "a" * 2000, other[1]))
        values = [[number, hostile]] * rng.choice((0, 1, 1, 1, 2, 30)) if rng.random() < 0.7 else [[other[0], value]]
        parts[place : place + 1] = values
    return b"".join(field(number, value) for number, value in parts)


def field(number: int, value: int | bytes | str) -> bytes:
    """Return a field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    value = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    content = b""
    while number > 127:
        content += bytes([number & 127 | 128])
        number >>= 7
    return content + bytes([number])


def changed_hdf5(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    """Return a valid HDF5 file with one attribute, object or array replaced, removed or moved."""
    stream = io.BytesIO(content)
    try:
        with h5py.File(stream, "r+") as root:
            objects: list[Any] = [root]
            root.visititems(lambda _, item: objects.append(item))
            attributes = [(item, name) for item in objects for name in item.attrs]
            if attributes and rng.random() < 0.5:
                _change_attribute(*rng.choice(attributes), rng, donor)
            elif len(objects) > 1:
                _change_object(root, rng.choice(objects[1:]).name, rng)
    except (ValueError, OSError, RuntimeError, TypeError):  # a change that h5py refuses
        return changed_bytes(content, rng, donor)
    return stream.getvalue()


def _change_attribute(item: Any, name: str, rng: random.Random, donor: bytes) -> None:
    value = item.attrs[name]
    text = value.encode() if isinstance(value, str) else value
    if isinstance(text, bytes) and text[:1] == b"{" and rng.random() < 0.8:
        item.attrs[name] = changed_json(text, rng, donor).decode()
        return
    hostile: tuple[Any, ...] = (
        0,
        1.5,
        "",
        "a" * 2000,
        b"\xff\xfe",
        [b"a", b"a"],
        [b"..", b"."],
        [b"/"],
        h5py.Empty("f"),
    )
    names = list(np.ravel(value))
    rng.shuffle(names)
    new = rng.choice((*hostile, names or "", names[1:] or "", [*names, b"other"] if names else ""))
    del item.attrs[name]
    if rng.random() < 0.8:
        item.attrs[name] = np.asarray(new, "S") if isinstance(new, list) else new


def _change_object(root: h5py.File, name: str, rng: random.Random) -> None:
    item, action = root[name], rng.random()
    if action < 0.2 or (isinstance(item, h5py.Group) and action < 0.5):
        del root[name]
    elif action < 0.4:
        root.move(name, rng.choice((f"{name}x", "/layers/vars/0", "/other", f"{name}{'a' * 2000}")))
    elif action < 0.5:
        root[f"{name}_more"] = rng.choice((item, root["/"], h5py.SoftLink("/"), h5py.ExternalLink("/etc/passwd", "/")))
    elif isinstance(item, h5py.Dataset):
        values = np.asarray(item[()], np.float64) if item.dtype.kind in "fiub" else np.zeros(3)
        shape = rng.choice(
            ((), (0,), (1,), values.shape[::-1], (*values.shape, 1), (1, *values.shape), (3, 5), (1,) * 9)
        )
        dtype = rng.choice(("<f4", ">f8", "<f2", "<i8", "|b1", "<c8", "S3", "|V2"))
        hostile = rng.choice((np.resize(values, shape).astype(dtype), np.full_like(values, np.nan), values * 1e300))
        del root[name]
        root[name] = hostile
    else:
        item["deep"] = item


MUTATIONS: dict[str, tuple[Mutation, ...]] = {
    "keras": (changed_member, changed_member, changed_bytes),
    "hdf5": (changed_hdf5, changed_bytes),
    "weights.h5": (changed_hdf5, changed_bytes),
    "json": (changed_json, changed_json, changed_bytes),
    "tensorflow_js": (changed_json, changed_bytes),
    "keras_metadata": (changed_protobuf, changed_bytes),
    "torch": (changed_member, changed_member, changed_bytes),
    "torch_old": (changed_pickle, changed_bytes),
    "safetensors": (changed_safetensors, changed_bytes),
    "onnx": (changed_protobuf, changed_protobuf, changed_bytes),
    "npy": (changed_bytes,),
    "npz": (changed_member, changed_bytes),
}
