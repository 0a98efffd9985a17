"""One layer of Keras 0.3 to 2, as an entry of Keras 3's JSON. The rows of `tables.py` say how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilstm.errors import SpecError, listed, shown
from multilstm.spec.arguments import is_real
from multilstm.spec.dialects.operations import OPERATIONS, operation_entry
from multilstm.spec.dialects.tables import ANY, EVERYWHERE, FLAGS, RECURRENT, REFUSED, ROWS, Row
from multilstm.spec.dialects.values import initializer, penalty, plain
from multilstm.spec.dialects.versions import Version
from multilstm.spec.json_values import MODELS, as_dict, class_of, refuse
from multilstm.spec.layers import LAYERS

__all__ = ["DEPTH_LIMIT", "KeptLayers", "LayerTranslator"]

DEPTH_LIMIT = 16  # models and wrappers inside one another
_KNOWN = tuple(layer.__name__ for layer in LAYERS)
_WRAPPED = ("layer", "backward_layer")
_ACTIVATIONS = {"swish": "silu", "time_distributed_softmax": "softmax"}  # the second one of Keras 0
_STEPS = ("LSTM", "GRU", "SimpleRNN", "Convolution1D", "TimeDistributedDense")  # `input_dim` is the last size of three


class KeptLayers:
    """Keeps the layers of a file of Keras 3 as they are; the attributes are those of `LayerTranslator`."""

    def __init__(self) -> None:
        self.notes: dict[str, None] = {}
        self.renamed: dict[str, str] = {}

    def layer(self, entry: Any, where: str, depth: int = 0) -> dict[str, Any]:
        """Return the entry, which has a config."""
        entry = as_dict(entry, where)
        kind = entry.get("class_name")
        if not isinstance(kind, str):
            refuse(f"{where}: class_name", kind, "text")
        return {**entry, "class_name": kind, "config": as_dict(entry.get("config"), where)}


class LayerTranslator:
    """Translates the layers of one file.

    Attributes:
        version: of the Keras that wrote the file.
        notes: what the file's layers mean, in the order of the file, each once.
        renamed: the arguments of Keras 3 that the file has under another name, with that name.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self.notes: dict[str, None] = {}
        self.renamed: dict[str, str] = {}

    def layer(self, entry: Any, where: str, depth: int = 0) -> dict[str, Any]:
        """Return the entry of Keras 3 for an entry of the file. Every error begins with `where`.

        Raises:
            SpecError: for an argument whose meaning Keras 3 lacks, and for a class that is not read.
        """
        entry = as_dict(entry, where)
        config = as_dict(entry.get("config"), f"{where}: config")
        name = config.get("name", entry.get("name"))
        if not isinstance(name, (str, type(None))) or entry.get("name", name) != name:
            refuse(f"{where}: name", entry.get("name", name), f"text, the name {shown(name)} of its config")
        where = f"{where} {shown(name)}" if name is not None else where
        class_name = entry.get("class_name")
        if isinstance(class_name, str) and class_name in OPERATIONS:
            return operation_entry(entry, where)
        if isinstance(class_name, str) and class_name in REFUSED:
            raise SpecError(f"{where}: class {class_name} is not executed by multilstm: {REFUSED[class_name]}")
        if isinstance(class_name, str) and class_name in MODELS:
            raise SpecError(
                f"{where}: class {class_name} is not executed by multilstm inside this wrapper; expected one layer; "
                f"wrap each layer of the model by itself"
            )
        if class_name == "Dropout" and _drops_features(plain(config.get("noise_shape"))):
            entry = {**entry, "class_name": "SpatialDropout1D"}
            config = {key: value for key, value in config.items() if key != "noise_shape"}
        class_name = class_of(entry, (*_KNOWN, *(row for row in ROWS if row not in _KNOWN)), where)
        if depth > DEPTH_LIMIT:
            refuse(where, depth, f"at most {DEPTH_LIMIT} layers and models inside one another")
        where, row = f"{where} ({class_name})", ROWS.get(class_name, Row(class_name))
        if row.note:
            self.notes[row.note] = None
        arguments = self._arguments(row, config, where, depth)
        inner = arguments.get("layer")
        if inner is not None and arguments.get("trainable", True) in (False, 0):  # Keras 1 and 2 freeze that layer too
            arguments["layer"] = {**inner, "config": {**inner["config"], "trainable": False}}
        if inner is not None and row.into == "TimeDistributed":
            arguments["layer"] = self._without_dropout(arguments["layer"], where)
        shape = _batch_shape(class_name, config)
        if (
            shape is None and class_name == "Bidirectional" and inner is not None
        ):  # given to the inner layer (keras#10626)
            shape = inner["config"].get("batch_shape")
        if shape is not None:
            arguments["batch_shape"] = shape
        kept = {key: value for key, value in entry.items() if key not in ("class_name", "config")}
        return {**kept, "class_name": row.into, "config": arguments}

    def _arguments(self, row: Row, config: Mapping[str, Any], where: str, depth: int) -> dict[str, Any]:
        dropped = {**EVERYWHERE, **row.dropped}
        joined = {part for parts in row.joined.values() for part in parts}
        arguments: dict[str, Any] = {}
        for key, value in config.items():
            if key in row.noted:
                self._note_training(key, value, where)
            elif key in row.renamed:
                self._rename(row, key, value, arguments, where)
            elif key in dropped:
                _check_dropped(key, penalty(value) if key.endswith("_regularizer") else value, dropped[key], where)
            elif key not in joined:
                _put(arguments, key, value, key, where)
        for key, parts in row.joined.items():
            if any(part in config for part in parts):
                arguments[key] = [config.get(part) for part in parts]
                self.renamed[key] = " and ".join(parts)
        self._add_defaults(row, arguments, where)
        return {key: self._value(key, value, row, where, depth) for key, value in arguments.items()} | dict(row.added)

    def _rename(self, row: Row, key: str, value: Any, arguments: dict[str, Any], where: str) -> None:
        renamed = row.renamed[key]
        if renamed.values is not None:
            matches = [new for old, new in renamed.values.items() if type(old) is type(value) and old == value]
            value = matches[0] if matches else refuse(f"{where}: {key}", value, f"one of {listed(renamed.values)}")
        if renamed.name != key:
            self.renamed[renamed.name] = key
        _put(arguments, renamed.name, value, key, where)

    def _note_training(self, key: str, value: Any, where: str) -> None:
        if value not in (0, None):
            self.notes[f"{where}: {key}={shown(value)} acts in training alone and is left out; Keras 3 lacks it"] = None

    def _without_dropout(self, entry: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return the entry of a layer inside of a TimeDistributed without the dropout of a recurrent layer."""
        config = dict(entry["config"])
        if entry["class_name"] == "Bidirectional" and isinstance(config.get("layer"), Mapping):
            config["layer"] = self._without_dropout(config["layer"], where)
        for key in ("dropout", "recurrent_dropout") if entry["class_name"] in RECURRENT else ():
            value: Any = config.get(key)
            if is_real(value) and 0 < value < 1:
                config[key] = 0.0
                self.notes[f"{where}: {key}={shown(value)} inside acts in training alone and is left out"] = None
        return {**entry, "config": config}

    def _add_defaults(self, row: Row, arguments: dict[str, Any], where: str) -> None:
        """Add the defaults of the version where they differ from Keras 3's."""
        if row.into == "ConvLSTM2D":  # of every version before Keras 3
            arguments.setdefault("recurrent_activation", "hard_sigmoid")
        if row.into not in ("LSTM", "GRU") or "recurrent_activation" in row.added:
            return
        if "recurrent_activation" not in arguments:
            default = self.version.recurrent_activation
            if default is None:
                raise SpecError(
                    f"{where}: recurrent_activation is missing, and its default depends on the version of Keras; "
                    f"given {shown(self.version.text)}; give the version that wrote the file, or recurrent_activation"
                )
            arguments["recurrent_activation"] = default
        if row.into == "LSTM":
            arguments.setdefault("implementation", self.version.implementation)
        else:
            arguments.setdefault("reset_after", self.version.tensorflow and self.version.number >= (2, 3))

    def _value(self, key: str, value: Any, row: Row, where: str, depth: int) -> Any:
        """Return the value of an argument in Keras 3's form."""
        value = plain(value)
        if key in _WRAPPED and value is not None:
            return self.layer(value, f"{where}: {key}", depth + 1)
        if key.endswith("activation"):
            return self._activation(value)
        if key.endswith("_initializer"):
            value, note = initializer(value, "zeros" if key.startswith("bias") else "glorot_uniform")
            if note:
                self.notes[f"{where}: {key}: {note}"] = None
            return value
        if key.endswith(("_regularizer", "_constraint")):
            return penalty(value)
        if key in FLAGS and type(value) is int and value in (0, 1):
            return bool(value)
        if key == "axis" and isinstance(value, list) and len(value) == 1:
            return value[0]
        if key == "dtype" and row.into == "Embedding" and value in ("int32", "int64"):
            return "float32"  # that of its input
        return value

    def _activation(self, value: Any) -> Any:
        if value != "hard_sigmoid":
            return _ACTIVATIONS.get(value, value) if isinstance(value, str) else value
        version = self.version.text
        note = f"hard_sigmoid of Keras {version} is clip(0.2 * x + 0.5, 0, 1); Keras 3 would use relu6(x + 3) / 6"
        self.notes[note] = None
        return "hard_sigmoid_keras2"


def _drops_features(noise_shape: Any) -> bool:
    """Whether the noise shape of a Dropout is that of a SpatialDropout1D: the same features at all timesteps."""
    sizes = noise_shape if isinstance(noise_shape, (list, tuple)) and len(noise_shape) == 3 else (1, 1, 1)
    return sizes[1] == 1 and 1 not in (sizes[0], sizes[2])


def _put(arguments: dict[str, Any], name: str, value: Any, key: str, where: str) -> None:
    """Store an argument that may come under two names."""
    if name in arguments and arguments[name] != value:
        refuse(f"{where}: {key}", value, f"{shown(arguments[name])}, which the layer has under another name of {name}")
    arguments[name] = value


def _check_dropped(key: str, value: Any, accepted: tuple[Any, ...], where: str) -> None:
    """Raise SpecError for an argument that Keras 3 lacks, at a value under which it acts."""
    if accepted != ANY and not any(value is one or (isinstance(value, int) and value == one) for one in accepted):
        refuse(f"{where}: {key} is not executed by multilstm", value, f"{shown(accepted[0])}; change it in the model")


def _batch_shape(class_name: str, config: Mapping[str, Any]) -> Any:
    """Return the shape of the input that a first layer brings with it, the batch in front, or None."""
    for key in ("batch_input_shape", "batch_shape"):
        if config.get(key) is not None:
            return plain(config[key])
    shape = plain(config.get("input_shape"))
    if isinstance(shape, (list, tuple)):
        return [None, *shape]
    size, length = config.get("input_dim"), config.get("input_length")
    if class_name == "Embedding":
        return [None, length]
    if size is None:
        return None
    return [None, length, size] if class_name in (*_STEPS, *RECURRENT) else [None, size]
