"""Pickles of PyTorch, interpreted without executing anything: tensors, dicts, lists and scalars are rebuilt.

The standard library takes a pickle apart into opcodes; this module gives a meaning to a list of them. A class or
function that a pickle names is never imported. A few of PyTorch's stand for tensors, and any other becomes an `Opaque`
value.
"""

from __future__ import annotations

import codecs
import dataclasses
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from multilstm.errors import InputError, shown

__all__ = ["Opaque", "Storage", "TensorView", "interpreted"]

codecs.lookup("raw-unicode-escape")  # pickletools decodes old text with it; later no file can be opened
OPCODE_LIMIT = 5_000_000
STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}


@dataclasses.dataclass(repr=False)
class Opaque:
    """A class, a function or an object that is not rebuilt.

    Attributes:
        name: its name, or that of its class.
        state: the attributes that the pickle gives an object, as data; None without.
    """

    name: str
    state: Any = None


@dataclasses.dataclass(frozen=True)
class Storage:
    """The memory of tensors: the key of its bytes in the file, and its numbers."""

    key: str
    dtype: str
    count: int

    def numpy_dtype(self, order: str) -> np.dtype[Any]:
        """Return the dtype of the numbers in NumPy; bfloat16 as its bits."""
        return np.dtype(order + ("u2" if self.dtype == "bf16" else self.dtype))

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.count * self.numpy_dtype("<").itemsize


@dataclasses.dataclass(frozen=True)
class TensorView:
    """A tensor: numbers of a storage, by offset, sizes and strides."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """The mark of the stack."""


_MARK = _Mark()


def interpreted(content: bytes) -> tuple[Any, int]:
    """Return the value of a pickle, and the number of bytes that it occupies.

    Raises:
        InputError: for a broken pickle, and for an opcode that no file of PyTorch needs.
    """
    machine = _Machine()
    try:
        for number, (opcode, argument, position) in enumerate(pickletools.genops(content)):
            if number > OPCODE_LIMIT:
                raise InputError(f"the pickle has more than {OPCODE_LIMIT:,} steps; expected the weights of one model")
            if opcode.name == "STOP":
                return machine.stack.pop(), (position or 0) + 1
            action = _ACTIONS.get(opcode.name)
            if action is None:
                raise InputError(f"the pickle uses {opcode.name}, which no state dict needs; save model.state_dict()")
            action(machine, argument)
    except InputError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(f"the pickle is broken or incomplete ({type(error).__name__}: {error})") from None
    raise InputError("the pickle has no end; copy or download the file again")


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def to_mark(self) -> list[Any]:
        """Pop and return the values above the last mark."""
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Opaque):
            return
        for key, value in zip(values[::2], values[1::2], strict=True):
            if isinstance(key, (str, int, float)):  # others lead to no tensor, and hashing a tuple may take forever
                target[key] = value

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.push(_called(function, arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Opaque):
            target.state = state
            return
        if isinstance(target, TensorView) or (isinstance(target, dict) and isinstance(state, dict)):
            return  # attributes of a tensor or a state dict, such as _metadata
        raise InputError(f"the pickle gives attributes to {shown(type(target).__name__)}; save model.state_dict()")

    def persistent(self) -> None:
        """Push the storage that a tuple names; in the old format, also the class of a whole module."""
        identity = self.stack.pop()
        if isinstance(identity, tuple) and identity[:1] == ("module",) and len(identity) == 4:
            self.push(identity[1])  # the others are the file and the source of the class
            return
        kind, storage, key, _, count, *_ = identity
        if kind != "storage" or not isinstance(storage, Opaque) or not isinstance(key, str) or not _is_size(count):
            raise InputError("the pickle names data in a way that PyTorch does not; save model.state_dict()")
        name = storage.name.removeprefix("torch.")
        if name not in STORAGES:
            raise InputError(f"the file has tensors of {shown(storage.name)}; expected real numbers, not quantised")
        self.push(Storage(key, STORAGES[name], count))


def _called(function: Any, arguments: Any) -> Any:
    """Return the value of a call, for the few functions that stand for tensors and dicts; else an Opaque."""
    if not isinstance(function, Opaque) or not isinstance(arguments, tuple):
        raise InputError("the pickle calls something that is no function; save model.state_dict()")
    name = function.name
    if name == "collections.OrderedDict" and not arguments:
        return {}
    if name == "torch._utils._rebuild_parameter":
        return arguments[0]
    if name in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
        if any(arguments[6:]):  # PyTorch negates or conjugates the numbers when it reads them
            raise InputError("the file has a tensor that is negated when it is read; save tensor.resolve_neg() instead")
        return _tensor(*arguments[:4])
    if name == "torch._tensor._rebuild_from_type_v2":
        return _called(arguments[0], arguments[2])
    if name in ("torch.Size", "builtins.tuple") and len(arguments) == 1:
        return tuple(arguments[0])
    if name in ("builtins.set", "__builtin__.set") and len(arguments) == 1 and isinstance(arguments[0], list):
        return arguments[0]
    return Opaque(name)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> TensorView:
    sizes = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    if not isinstance(storage, Storage) or not sizes or not all(map(_is_size, (offset, *shape, *strides))):
        raise InputError(f"the file has a tensor of shape {shown(shape)} and strides {shown(strides)}; it is broken")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.count:
        raise InputError(
            f"a tensor of shape {shape} reads number {last:,} of a storage of {storage.count:,}; the file is broken"
        )
    return TensorView(storage, offset, shape, strides)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48


def _global(machine: _Machine, argument: Any) -> None:
    machine.push(Opaque(".".join(argument.split(" ", 1))))


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise InputError("the pickle names a class that is no text; the file is broken")
    machine.push(Opaque(f"{module}.{name}"))


def _new(machine: _Machine, _: Any) -> None:
    machine.stack.pop()
    kind = machine.stack.pop()
    machine.push(Opaque(kind.name))


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    def action(machine: _Machine, _: Any) -> None:
        values = tuple(machine.stack[len(machine.stack) - count :])
        if len(values) != count:
            raise IndexError("the stack is too short")
        del machine.stack[len(machine.stack) - count :]
        machine.push(values)

    return action


def _memoize(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else argument] = machine.stack[-1]


_LITERALS = (
    "BINUNICODE SHORT_BINUNICODE BINUNICODE8 BININT BININT1 BININT2 LONG1 BINFLOAT BINBYTES SHORT_BINBYTES BINSTRING "
    "SHORT_BINSTRING"
)
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, argument: None,
    "FRAME": lambda machine, argument: None,
    **dict.fromkeys(_LITERALS.split(), _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": lambda machine, _: machine.push(_MARK),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.to_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.to_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.to_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "BINPUT": _memoize,
    "LONG_BINPUT": _memoize,
    "MEMOIZE": _memoize,
    "BINGET": lambda machine, argument: machine.push(machine.memo[argument]),
    "LONG_BINGET": lambda machine, argument: machine.push(machine.memo[argument]),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "BINPERSID": lambda machine, _: machine.persistent(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": _new,
    "BUILD": lambda machine, _: machine.build(),
}
