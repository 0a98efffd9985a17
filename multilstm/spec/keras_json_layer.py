"""One layer in Keras 3's JSON, to and from the spec, and the checks that make a file from a stranger safe to read.

Nothing that a file names is imported or called. Classes stand on an allowlist, arguments are checked one by one, and
whatever multilstm would not execute as Keras does is refused by name rather than dropped. Only seeds of initializers,
which decide no shape and no formula, are ignored.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping
from typing import Any, NoReturn

from multilstm.errors import SpecError, choice
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import INITIALIZERS, LAYERS, LSTM, Bidirectional, Dense, InputLayer
from multilstm.spec.penalties import KINDS, Penalty, Regularizer, named

POLICIES = ("float32", "float64")
INPUT_DTYPES = {"float32": "float32", "float64": "float32", "int32": "int32", "int64": "int32"}
# The arguments of Keras's initializers, beside seeds, with the only value under which they are those of the spec.
_AXES = {"input_axes": None, "output_axes": None}
INITIALIZER_ARGUMENTS: dict[str, dict[str, Any]] = {
    "zeros": {},
    "ones": {},
    "random_uniform": {"minval": -0.05, "maxval": 0.05},
    "random_normal": {"mean": 0.0, "stddev": 0.05},
    "glorot_uniform": _AXES,
    "glorot_normal": _AXES,
    "he_uniform": _AXES,
    "he_normal": _AXES,
    "lecun_uniform": _AXES,
    "lecun_normal": _AXES,
    "orthogonal": {"gain": 1.0},
}
INITIALIZER_CLASSES: dict[str, str] = {
    **{name.replace("_", " ").title().replace(" ", ""): name for name in INITIALIZER_ARGUMENTS},  # GlorotUniform
    **{name: name for name in INITIALIZER_ARGUMENTS},
    "OrthogonalInitializer": "orthogonal",
    "uniform": "random_uniform",
    "normal": "random_normal",
    "zero": "zeros",
    "one": "ones",
}
# Arguments that Keras writes and the spec lacks, with the only value that means what the spec means.
FIXED: dict[str, Any] = {
    "trainable": True, "activity_regularizer": None, "sparse": False, "ragged": False, "optional": False,
    "input_tensor": None, "time_major": False, "lora_rank": None, "lora_alpha": None, "quantization_config": None,
    "weights": None,
}  # fmt: skip
SHAPES = ("batch_shape", "batch_input_shape")
_INPUT = ("shape", "batch_size", "dtype")

TEXT_LIMIT = 1000  # characters of one name

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def write_layer(layer: Layer) -> dict[str, Any]:
    """The layer as Keras writes it: module, class and arguments; those that Keras would leave out are written too."""
    config: dict[str, Any]
    if isinstance(layer, InputLayer):
        config = {"batch_shape": [layer.batch_size, *layer.shape], "dtype": layer.dtype, "name": layer.name}
    else:
        fields = [field.name for field in dataclasses.fields(layer) if field.name not in layer.refused]
        config = {name: getattr(layer, name) for name in fields if name != "name" or layer.name is not None}
    inner = config.get("layer")
    if isinstance(inner, Layer):
        renamed = isinstance(layer, Bidirectional) and inner.name is not None  # as Keras does
        prefixed = dataclasses.replace(inner, name=f"forward_{inner.name}") if renamed else inner
        config["layer"] = write_layer(prefixed)
    config = {key: _write_penalty(value) if isinstance(value, Penalty) else value for key, value in config.items()}
    name = type(layer).__name__
    return {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None}


def _write_penalty(value: Penalty) -> dict[str, Any]:
    module = "keras.regularizers" if isinstance(value, Regularizer) else "keras.constraints"
    config = dataclasses.asdict(value)
    return {"module": module, "class_name": type(value).__name__, "config": config, "registered_name": None}


def read_layer(entry: Any, where: str, known: tuple[type[Layer], ...] = LAYERS) -> Layer:
    """The layer that `entry`, a dict with `class_name` and `config`, describes; `where` begins every error."""
    entry = as_dict(entry, where)
    config = as_dict(entry.get("config"), f"{where}: config")
    name = config.get("name", entry.get("name"))
    where = f"{where} {brief(name)}" if name is not None else where
    classes = {layer.__name__: layer for layer in known}
    layer = classes[class_of(entry, tuple(classes), where)]
    where = f"{where} ({layer.__name__})"
    if "name" in entry and entry["name"] != name:
        refuse(f"{where}: name", entry["name"], f"the name {brief(name)} of its config")
    fields = {field.name: field for field in dataclasses.fields(layer)}
    arguments: dict[str, Any] = {} if name is None else {"name": name}
    if layer is InputLayer:
        arguments.update(_input(config, where))
    for key, value in config.items():
        if key in ("name", "backward_layer", *SHAPES) or (layer is InputLayer and key in _INPUT):
            continue  # read elsewhere
        if isinstance(value, str) and len(value) > TEXT_LIMIT:
            refuse(f"{where}: {key}", value, f"at most {TEXT_LIMIT} characters")
        if key == "dtype":
            check_dtype(value, where)
        elif key in layer.refused or (key in FIXED and key not in fields):
            check_fixed(config, key, where)
        elif key not in fields:
            refuse(where, key, f"only the arguments {', '.join(fields)}")
        elif key == "layer":
            arguments[key] = read_layer(value, f"{where}: layer", (LSTM,) if layer is Bidirectional else (Dense,))
        elif key.endswith("_initializer"):
            arguments[key] = _initializer(value, f"{where}: {key}", fields[key].default)
        elif key.endswith(tuple(KINDS)):
            arguments[key] = _read_penalty(value, f"{where}: {key}", key.rpartition("_")[2])
        elif value is None or isinstance(value, (bool, int, float, str)):
            arguments[key] = value
        else:
            refuse(f"{where}: {key}", value, "a name, a number, true, false or null")
    for key, field in fields.items():
        if key not in arguments and field.default is dataclasses.MISSING:
            raise SpecError(f"{where}: {key} is missing; given {brief(list(config))}")
    if layer is Bidirectional:
        inner = arguments["layer"]
        _check_backward(config.get("backward_layer"), inner, where)
        if inner.name is not None:
            arguments["layer"] = dataclasses.replace(inner, name=inner.name.removeprefix("forward_") or None)
    elif config.get("backward_layer") is not None:
        refuse(where, "backward_layer", f"only the arguments {', '.join(fields)}")
    try:
        return layer(**arguments)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def _check_backward(entry: Any, forward: LSTM, where: str) -> None:
    """Accepts a backward layer that is the forward one's copy, as Keras writes it beside the forward layer."""
    if entry is None:
        return
    given = read_layer(entry, f"{where}: backward_layer", (LSTM,))
    expected = dataclasses.replace(forward, go_backwards=not forward.go_backwards)
    for field in dataclasses.fields(LSTM):
        value, wanted = getattr(given, field.name), getattr(expected, field.name)
        if field.name != "name" and value != wanted:
            expectation = f"{brief(wanted)}, which the forward layer asks for"
            refuse(f"{where}: backward_layer has its own {field.name}", value, expectation)


def _input(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    given = next((config[key] for key in SHAPES if config.get(key) is not None), None)
    if given is None and isinstance(config.get("shape"), (list, tuple)):
        given = [config.get("batch_size"), *config["shape"]]
    batch, *shape = read_shape(given, f"{where}: batch_shape")
    dtype = config.get("dtype", "float32")
    dtype = as_dict(dtype.get("config"), f"{where}: dtype").get("name") if isinstance(dtype, Mapping) else dtype
    if not isinstance(dtype, str) or dtype not in INPUT_DTYPES:
        refuse(f"{where}: dtype", dtype, f"one of {', '.join(INPUT_DTYPES)}")
    return {"shape": tuple(shape), "batch_size": batch, "dtype": INPUT_DTYPES[dtype]}


def read_shape(value: Any, where: str) -> list[int | None]:
    """A shape with the batch in front; null is a dimension that may vary."""
    if not isinstance(value, (list, tuple)) or not value or len(value) > 32:
        refuse(where, value, "a list such as [null, null, 5]")
    for size in value:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 2**31):
            refuse(where, size, "positive integers below 2**31, or null")
    return list(value)


def _initializer(value: Any, where: str, default: Any) -> str:
    """The spec's name of an initializer, given by name or as a dict with its class and arguments."""
    if isinstance(value, str) and value in INITIALIZERS:
        return value
    entry = {"class_name": value} if isinstance(value, str) else as_dict(value, where)
    name = class_of(entry, tuple(INITIALIZER_CLASSES), where)
    found = INITIALIZER_CLASSES[name]
    allowed = INITIALIZER_ARGUMENTS[found]
    for key, given in as_dict(entry.get("config") or {}, f"{where}: config").items():
        if key in allowed and (isinstance(given, bool) or given != allowed[key]):
            refuse(f"{where}: {key} of {name}", given, brief(allowed[key]))
        if key not in allowed and key not in ("seed", "dtype"):
            refuse(f"{where}: {name}", key, f"only the arguments {', '.join((*allowed, 'seed'))}")
    return "uniform" if found == "random_uniform" and default == "uniform" else found  # one class, two names


def _read_penalty(value: Any, where: str, kind: str) -> Penalty | None:
    """A regularizer or a constraint, given by name or as a dict with its class and arguments; None for null."""
    if value is None:
        return None
    known = named(kind)
    entry = {"class_name": value} if isinstance(value, str) else as_dict(value, where)
    name = class_of(entry, tuple(known), where)
    fields = tuple(field.name for field in dataclasses.fields(known[name]))
    arguments = as_dict(entry.get("config") or {}, f"{where}: config")
    for key, given in arguments.items():
        if key not in fields:
            refuse(f"{where}: {name}", key, f"only the arguments {', '.join(fields) or 'none'}")
        if isinstance(given, str) and len(given) > TEXT_LIMIT:
            refuse(f"{where}: {key} of {name}", given, f"at most {TEXT_LIMIT} characters")
        if not isinstance(given, (int, float, str)):
            refuse(f"{where}: {key} of {name}", given, "a number or a name")
    try:
        return known[name](**arguments)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def brief(value: Any) -> str:
    """`value` in an error: however large or deep it is, a line."""
    return _short.repr(value)


def refuse(where: str, given: Any, expected: str) -> NoReturn:
    """Raises the SpecError of a value that is not what it should be."""
    raise SpecError(f"{where}: given {brief(given)}; expected {expected}")


def as_dict(value: Any, where: str) -> Mapping[str, Any]:
    """`value`, which must be a JSON object."""
    return value if isinstance(value, Mapping) else refuse(where, value, "an object")


def class_of(entry: Mapping[str, Any], known: tuple[str, ...], where: str) -> str:
    """The class of `entry`, one of Keras's own of that name."""
    name, module = entry.get("class_name"), entry.get("module")
    if not isinstance(name, str) or name not in known:
        raise SpecError(f"{where}: {choice('class', name if _is_short(name) else brief(name), known)}")
    if module is not None and (not isinstance(module, str) or module.split(".")[0] not in ("keras", "tf_keras")):
        refuse(f"{where}: module of class {name}", module, "Keras's own class, whose module is within keras")
    return name


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 80


def check_fixed(config: Mapping[str, Any], key: str, where: str) -> None:
    """Refuses an argument that multilstm does not execute at any value but one (see `FIXED`)."""
    expected = FIXED.get(key)
    if config.get(key, expected) is not expected:
        refuse(f"{where}: {key} is not executed by multilstm", config[key], f"{expected!r}; change it in the model")


def check_dtype(value: Any, where: str) -> None:
    """Refuses what computes in parts in another dtype; multilstm computes everything in the job's own."""
    name = as_dict(value.get("config"), f"{where}: dtype").get("name") if isinstance(value, Mapping) else value
    if name is not None and (not isinstance(name, str) or name not in POLICIES):
        refuse(f"{where}: dtype policy", name, f"one of {', '.join(POLICIES)} (a job has its own dtype)")
