"""Checkpoints of PyTorch: the tensors of a state dict, by name.

`torch.save` has two formats. Since version 1.6 it is a zip archive with a pickle and one member for each storage. The
old format is five pickles in a row, and then the storages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.parsed import Budget, Parsed, as_plain, bfloat16_to_float32, check_name, words
from multilstm.files.parsers.pickled import Opaque, Storage, TensorView, interpreted
from multilstm.files.parsers.zip_members import Archive
from multilstm.spec.arrays import Array

__all__ = ["checkpoint", "is_checkpoint", "parse"]

MODULE_DEPTH_LIMIT = 32
DEPTH_LIMIT = 4  # dicts inside one another in which a state dict is looked for
OPTIMIZERS = re.compile(r"optim.*|sched.*|ema")  # a word in the names of entries that hold no weights of the model
REBUILT = re.compile(r"torch\._\w+\._rebuild_\w+|numpy\.\w+\.multiarray\.\w+")  # functions that make other arrays


def is_checkpoint(names: tuple[str, ...]) -> bool:
    """Whether members of an archive are those of a file of `torch.save`."""
    return any(name.endswith("/data.pkl") or name == "data.pkl" for name in names)


def checkpoint(archive: Archive) -> Parsed:
    """Return the tensors of an archive.

    The document has `tensors` (`[name, array]`), `entry` (their place), and `others` (the places of other tensors).
    """
    pickle = next(name for name in archive.names if name.endswith("data.pkl"))
    folder = pickle.removesuffix("data.pkl")
    if f"{folder}constants.pkl" in archive.names:
        raise InputError("this is a TorchScript program, which is not read; save model.state_dict() with torch.save")
    value, _ = interpreted(archive.read(pickle))
    order = "<"
    if f"{folder}byteorder" in archive.names and archive.text(f"{folder}byteorder").strip() == "big":
        order = ">"

    def read(storage: Storage) -> bytes:
        member = f"{folder}data/{storage.key}"
        if member not in archive.names:
            raise InputError(f"the numbers of a tensor are missing: the archive has no {shown(member)}")
        return archive.read(member)

    return _parsed(value, read, order, archive.budget)


def parse(content: bytes) -> Parsed:
    """Return the tensors of a file of the old format; the document is that of `checkpoint`."""
    budget = Budget(len(content))
    start, values = 0, []
    for _ in range(5):  # a magic number, the version of the format, the machine, the object, the keys of the storages
        value, size = interpreted(content[start:])
        values.append(value)
        start += size
    machine, value, keys = values[2:]
    order = "<" if not isinstance(machine, dict) or machine.get("little_endian", True) else ">"
    sizes = {storage.key: storage.size for storage in _storages(value)}
    places: dict[str, tuple[int, int]] = {}
    for key in keys if isinstance(keys, list) else ():
        if not isinstance(key, str) or key not in sizes:
            raise InputError(f"the file has a storage {shown(key)} that no tensor of it uses; it is broken")
        places[key] = (start + 8, start + 8 + sizes[key])  # behind the count of its numbers
        start = places[key][1]
    if start > len(content):
        raise InputError(f"the file has {len(content):,} bytes, its storages need {start:,}; copy or download it again")

    def read(storage: Storage) -> bytes:
        if storage.key not in places:
            raise InputError(f"the numbers of a tensor are missing: the file has no storage {shown(storage.key)}")
        return content[slice(*places[storage.key])]

    return _parsed(value, read, order, budget)


def _parsed(value: Any, read: Callable[[Storage], bytes], order: str, budget: Budget) -> Parsed:
    entry, tensors, others = _state_dict(value)
    storages: dict[str, Array] = {}
    arrays: list[Array] = []
    for name, tensor in tensors.items():
        where = f"tensor {shown(check_name(name, 'the checkpoint'))}"
        budget.count()
        if isinstance(tensor, Opaque):
            raise InputError(f"{where} is made by {shown(tensor.name)}; expected a dense tensor; save its to_dense()")
        storage = tensor.storage
        if storage.key not in storages:
            content = read(storage)
            if len(content) != storage.size:
                raise InputError(f"{where}: its storage has {len(content):,} bytes, expected {storage.size:,}")
            numbers = np.frombuffer(content, storage.numpy_dtype(order))
            storages[storage.key] = bfloat16_to_float32(numbers) if storage.dtype == "bf16" else numbers
        numbers = storages[storage.key]
        budget.take_array(where, tensor.shape, numbers.dtype)
        arrays.append(as_plain(_view(numbers, tensor)))
    numbered = [[name, number] for number, name in enumerate(tensors)]
    return Parsed({"tensors": numbered, "entry": entry, "others": others}, tuple(arrays))


def _storages(value: Any) -> Iterator[Storage]:
    """Yield the storages of all tensors inside of dicts, lists, tuples and objects, each of which is visited once."""
    left: list[Any] = [value]
    visited: set[int] = set()
    while left:
        item = left.pop()
        if isinstance(item, TensorView):
            yield item.storage
        if id(item) in visited or not isinstance(item, (dict, list, tuple, Opaque)):
            continue
        visited.add(id(item))
        left += [item.state] if isinstance(item, Opaque) else item.values() if isinstance(item, dict) else item


def _view(numbers: Array, tensor: TensorView) -> Array:
    """Return the numbers of a tensor; `pickled` has checked that the last of them lies in the storage."""
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    strides = tuple(stride * numbers.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)


def _state_dict(value: Any) -> tuple[str, dict[str, TensorView | Opaque], list[str]]:
    """Return the place of the largest dict of tensors in a checkpoint, the dict, and the places of the others."""
    if isinstance(value, Opaque) and not _is_module(value):
        raise InputError(
            f"this is a whole pickled object of class {shown(value.name)}, which only its own code can load; save "
            f"model.state_dict() instead"
        )
    dicts = dict(_dicts(value, "", DEPTH_LIMIT))
    models = {place: tensors for place, tensors in dicts.items() if not any(map(OPTIMIZERS.fullmatch, words(place)))}
    if not models:
        raise InputError("this checkpoint of PyTorch has no dict of tensors by name; save model.state_dict()")
    largest = max(models, key=lambda place: len(models[place]))
    rivals = [place for place in models if place != largest and len(models[place]) == len(models[largest])]
    if rivals:
        places = listed(shown(place) for place in (largest, *rivals))
        raise InputError(f"this checkpoint has several models, at {places}; save one model.state_dict()")
    return largest, models[largest], [place for place in models if place != largest]


def _dicts(value: Any, place: str, depth: int) -> Iterator[tuple[str, dict[str, TensorView | Opaque]]]:
    """Yield the dicts that hold tensors by name, with their place. A module counts as its state dict."""
    if _is_module(value):
        tensors = dict(_parameters(value, "", MODULE_DEPTH_LIMIT, Budget(0)))
        if tensors:
            yield place, tensors
        return
    if not isinstance(value, dict) or not depth:
        return
    tensors = {str(name): item for name, item in value.items() if _is_tensor(item) and isinstance(name, str)}
    if tensors:
        yield place, tensors
    for name, item in value.items():
        yield from _dicts(item, f"{place}/{name}".lstrip("/"), depth - 1)


def _is_tensor(value: Any) -> bool:
    """Whether a value is a tensor, or an array of a form that is not read, such as a sparse one."""
    return isinstance(value, TensorView) or (isinstance(value, Opaque) and bool(REBUILT.fullmatch(value.name)))


def _is_module(value: Any) -> bool:
    """Whether an object is a torch.nn.Module, by the attributes of every module."""
    return (
        isinstance(value, Opaque) and isinstance(value.state, dict) and {"_parameters", "_modules"} <= set(value.state)
    )


def _parameters(module: Opaque, prefix: str, depth: int, budget: Budget) -> Iterator[tuple[str, TensorView | Opaque]]:
    """Yield the tensors of a module and of those inside it, with the names of `state_dict()`."""
    if not depth:
        raise InputError(f"modules are nested more than {MODULE_DEPTH_LIMIT} deep; save model.state_dict()")
    left_out = module.state.get("_non_persistent_buffers_set")
    for part in ("_parameters", "_buffers"):
        tensors = module.state.get(part)
        for name, tensor in tensors.items() if isinstance(tensors, dict) else ():
            if _is_tensor(tensor) and not (isinstance(left_out, list) and name in left_out):
                yield f"{prefix}{name}", tensor
    modules = module.state["_modules"]
    for name, inner in modules.items() if isinstance(modules, dict) else ():
        budget.count()
        if _is_module(inner):
            yield from _parameters(inner, f"{prefix}{name}.", depth - 1, budget)
