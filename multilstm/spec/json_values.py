"""Values of a JSON file that a stranger wrote: checks that name the place, and errors of one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from multilstm.errors import SpecError, choice, listed, shown

__all__ = [
    "MASK_OPERATIONS",
    "MIXED_POLICIES",
    "MODELS",
    "TEXT_LIMIT",
    "as_dict",
    "as_scalar",
    "as_shape",
    "check_class",
    "check_registered",
    "class_of",
    "ends_in_order",
    "is_known_module",
    "is_operation",
    "objects",
    "refuse",
]

MODELS = ("Sequential", "Functional", "Model")  # classes of whole models
TEXT_LIMIT = 1000  # characters of one name
MIXED_POLICIES = ("mixed_float16", "mixed_bfloat16")  # dtype policies of Keras, and dtypes of a run
RANK_LIMIT = 32
MASK_OPERATIONS = (  # of `keras.ops`, which compute the masks of calls
    "NotEqual", "Any", "LogicalOr", "LogicalAnd", "ExpandDims", "ZerosLike", "OnesLike", "Concatenate",
    "ConvertToTensor",
)  # fmt: skip


def refuse(where: str, given: Any, expected: str) -> NoReturn:
    """Raise the SpecError of a value of the file.

    Args:
        where: the place of the value in the file.
        given: the value.
        expected: a description of the accepted values.
    """
    raise SpecError(f"{where}: given {shown(given)}; expected {expected}")


def as_dict(value: Any, where: str) -> Mapping[str, Any]:
    """Return `value`, which must be a JSON object."""
    return value if isinstance(value, Mapping) else refuse(where, value, "an object")


def objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object of JSON data once, also of data that contains itself."""
    seen: set[int] = set()
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, (Mapping, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            if isinstance(item, Mapping):
                yield item
            left += item.values() if isinstance(item, Mapping) else item


def as_scalar(value: Any, where: str) -> Any:
    """Return `value`, which must be a short text, a number, true, false or null."""
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        refuse(where, value, f"at most {TEXT_LIMIT} characters")
    if value is not None and not isinstance(value, (bool, int, float, str)):
        refuse(where, value, "a name, a number, true, false or null")
    return value


def as_shape(value: Any, where: str) -> list[int | None]:
    """Return a shape whose first size is the batch; null is a dimension that may vary."""
    if not isinstance(value, (list, tuple)) or not value or len(value) > RANK_LIMIT:
        refuse(where, value, "a list such as [null, null, 5]")
    for size in value:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 2**31):
            refuse(where, size, "positive integers below 2**31, or null")
    return list(value)


def ends_in_order(value: Any) -> Any:
    """Return the tensors of `input_layers` or `output_layers` that a file has by name as a list, else `value`.

    The order is that of the sorted names, as in Keras's `model.inputs` and `model.outputs`, whatever that of the file.
    """
    by_name = isinstance(value, Mapping) and value and all(isinstance(end, (list, tuple)) for end in value.values())
    return [value[name] for name in sorted(value)] if by_name else value


def is_known_module(module: Any) -> bool:
    """Whether a module is Keras's, or the portable layers', whose classes have Keras's names and arguments."""
    parts = module.split(".") if isinstance(module, str) else [""]
    return parts[0] in ("keras", "tf_keras") or parts[:2] == ["multilstm", "keras_layers"]


def is_operation(entry: Any) -> bool:
    """Whether an entry of Keras 3's JSON is an operation of `keras.ops`, not a layer."""
    module = entry.get("module") if isinstance(entry, Mapping) else None
    return isinstance(module, str) and module.startswith(("keras.ops.", "keras.src.ops."))


_CODE = ("Lambda", "TensorFlowOpLayer")
_OTHER_FILES = ("FlaxLayer", "JaxLayer", "StringLookup", "TFSMLayer", "TorchModuleWrapper")


def _reason(name: Any, module: Any) -> str:
    """Return the reason for which a class is never read, and the next step; empty for a class that may come."""
    if name in _CODE:
        return f"; {name} stands for code, and code in files is never executed; write it with layers of this list"
    if name in _OTHER_FILES:
        return f"; {name} stands for another file or program, which is never loaded; write it with layers of this list"
    if module is not None and not is_known_module(module):
        return f"; it is a class of the module {shown(module)}, whose code is never imported; use Keras's own layers"
    return ""


def class_of(entry: Mapping[str, Any], known: Sequence[str], where: str) -> str:
    """Return the class name of `entry`, which must be one of the names of Keras's classes in `known`."""
    name, module = entry.get("class_name"), entry.get("module")
    if is_operation(entry):
        refuse(
            f"{where}: class of the module {module}", name, "a layer; an operation stands in a functional model alone"
        )
    if not isinstance(name, str) or name not in known:
        raise SpecError(f"{where}: {choice('class', name, known)}{_reason(name, module)}")
    check_class(entry, name, where)
    return name


def check_class(entry: Mapping[str, Any], name: str, where: str) -> None:
    """Refuse a class of the user's own that has the name of one of Keras's classes."""
    module = entry.get("module")
    if module is not None and not is_known_module(module):
        refuse(f"{where}: module of class {name}", module, "a class of keras or of multilstm.keras_layers")
    check_registered(entry, (name, f"multilstm>{name}"), f"{where}: registered_name of class {name}")


def check_registered(entry: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    """Refuse a class or function of the user's own with one of Keras's names.

    Keras writes a module for each class of its own, and none for a class that a user registered, or defined in a
    program: `{"module": null, "class_name": "Dense", "registered_name": "Dense"}`.
    """
    registered = entry.get("registered_name")
    if entry.get("module") is None:
        names = [name for name in names if ">" in name or name == "function"]
    if registered is not None and registered not in names:
        refuse(where, registered, f"{listed([*names, 'null'])}; code of your own is never imported")
