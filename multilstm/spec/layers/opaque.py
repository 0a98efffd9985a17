"""Built-in layers of Keras that the spec does not describe: Keras alone computes them.

A file holds the class and the arguments of such a layer. Its shapes and weights are what Keras answers for these
arguments. No reference computes the layer, so its engines are compared with each other (`multilstm.suite.unjudged`).
Classes that load files, hold code, or keep states from batch to batch are left out.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

from multilstm.errors import SpecError, listed, shown
from multilstm.spec.arguments import ACTIVATIONS, KERAS3_LACKS, Argument, ArgumentError, is_integer, is_size_or_none
from multilstm.spec.json_values import as_dict, refuse
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape, show

__all__ = ["OPAQUE_CLASSES", "Facts", "OpaqueLayer", "OpaqueWeight", "checked_config"]

OPAQUE_CLASSES = (
    *("SpatialDropout3D", "EinsumDense", "Identity", "GroupNormalization", "RMSNormalization"),
    *("GroupQueryAttention", "MultiHeadAttention"),
    *("Conv1DTranspose", "Conv2DTranspose", "Conv3D", "Conv3DTranspose"),
    *("ConvLSTM1D", "ConvLSTM3D", "DepthwiseConv1D", "SeparableConv1D", "SeparableConv2D"),
    *("AveragePooling3D", "GlobalAveragePooling3D", "GlobalMaxPooling3D", "MaxPooling3D"),
    *("Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D", "ZeroPadding3D"),
)
_OBJECTS = {  # arguments that Keras writes as objects: the module, and the classes with numbers as arguments
    "_regularizer": ("keras.regularizers", ("L1", "L2", "L1L2")),
    "_constraint": ("keras.constraints", ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm")),
}
_NOT_KEPT = ("name", "trainable", "dtype", "batch_shape", "batch_input_shape")  # read elsewhere, or the job's own
_TEXT = re.compile(r"[\w ,.>-]{0,200}", re.ASCII)
_ITEMS, _DEPTH, _LIMIT = 64, 4, 2**31


def checked_config(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the arguments of a layer that are plain data. Initializers are left out: a job has its own weights.

    Args:
        config: the arguments in Keras 3's JSON.
        where: the place in the file, the beginning of every error.

    Raises:
        SpecError: for code, objects of other classes, long or huge values, and states that stay from batch to batch.
    """
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if not isinstance(key, str) or not _TEXT.fullmatch(key):
            refuse(where, key, "the name of an argument")
        if key in _NOT_KEPT or key.endswith("_initializer"):
            continue
        place = f"{where}: {key}"
        ending = next((ending for ending in _OBJECTS if key.endswith(ending)), None)
        if ending is not None:
            kept[key] = _checked_object(value, ending, place)
        elif key.endswith("activation"):
            known = (None, *(name for name in ACTIVATIONS if name not in KERAS3_LACKS))
            kept[key] = (
                value if _is_one_of(value, known) else refuse(place, value, "the name of an activation of Keras")
            )
        elif key == "stateful" and value is not False:
            refuse(place, value, "False; its states are not carried from batch to batch")
        else:
            kept[key] = _checked_value(value, place, 0)
    return kept


def _is_one_of(value: Any, known: Sequence[Any]) -> bool:
    return isinstance(value, (str, type(None))) and value in known


def _checked_object(value: Any, ending: str, where: str) -> Any:
    """Return a regularizer or a constraint; None for none."""
    module, classes = _OBJECTS[ending]
    if value is None:
        return None
    entry = as_dict(value, where)
    name, registered = entry.get("class_name"), entry.get("registered_name")
    if entry.get("module") != module or not _is_one_of(name, classes) or registered is not None:
        refuse(where, value, f"null, or one of {listed(classes)} of {module}")
    config = {key: _checked_value(item, where, _DEPTH) for key, item in as_dict(entry.get("config"), where).items()}
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def _checked_value(value: Any, where: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and _TEXT.fullmatch(value):
        return value
    if isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < _LIMIT:
        return value
    if isinstance(value, (list, tuple)) and len(value) <= _ITEMS and depth < _DEPTH:
        return [_checked_value(item, where, depth + 1) for item in value]
    return refuse(where, value, "null, true, false, a number below 2**31, a short text, or a list of these")


class OpaqueWeight(NamedTuple):
    """A weight of an opaque layer: its name, its shape, and whether training changes it."""

    name: str
    shape: tuple[int, ...]
    trained: bool


@dataclasses.dataclass(frozen=True)
class Facts:
    """The answers of Keras about a layer and its inputs.

    Attributes:
        inputs: the shapes of the inputs for which it was asked, the batch in front.
        outputs: the shapes of the outputs. A size is an integer, None for one that is unknown, or `(input, axis)` for
            the size of an axis of an input.
        weights: its weights in Keras's order.
        passes_mask: whether its output has the mask of its first input.
    """

    inputs: tuple[Shape, ...] = ()
    outputs: tuple[tuple[Any, ...], ...] = ()
    weights: tuple[OpaqueWeight, ...] = ()
    passes_mask: bool = False

    @classmethod
    def read(cls, data: Any, where: str) -> Facts:
        """Return the facts of plain JSON data; SpecError for data of another form."""
        entry = as_dict(data, where)
        try:
            inputs = tuple(tuple(_size(size) for size in shape) for shape in entry["inputs"])
            outputs = tuple(tuple(_output_size(size, inputs) for size in shape) for shape in entry["outputs"])
            weights = tuple(_weight(*weight) for weight in entry["weights"])
            passes_mask = entry["passes_mask"]
        except (KeyError, TypeError, ValueError, IndexError):
            refuse(where, data, "shapes and weights as Keras gives them")
        if not isinstance(passes_mask, bool) or not inputs or not outputs or not all((*inputs, *outputs)):
            refuse(where, data, "shapes and weights as Keras gives them")
        return cls(inputs, outputs, weights, passes_mask)

    def written(self) -> dict[str, Any]:
        """Return the facts as plain JSON data, which `read` reads."""
        data: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return data


def _size(size: Any) -> int | None:
    if not is_size_or_none(size):
        raise ValueError(size)
    return None if size is None else int(size)


def _output_size(size: Any, inputs: Sequence[Shape]) -> Any:
    if not isinstance(size, (list, tuple)):
        return _size(size)
    source, axis = size
    if not (is_integer(source) and is_integer(axis) and source >= 0 and axis >= 0):
        raise ValueError(size)
    _ = inputs[source][axis]
    return int(source), int(axis)


def _weight(name: Any, shape: Any, trained: Any) -> OpaqueWeight:
    sizes = tuple(_size(size) for size in shape)
    if not isinstance(name, str) or not name or "/" in name or None in sizes or not isinstance(trained, bool):
        raise ValueError(name)
    return OpaqueWeight(name, tuple(size for size in sizes if size is not None), trained)


def _check_class(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in OPAQUE_CLASSES:
        raise ArgumentError(f"{name} must be one of {listed(OPAQUE_CLASSES)}, got {shown(value)}")
    return value


def _check_config(name: str, value: Any) -> str:
    return json.dumps(checked_config(json.loads(value), name), sort_keys=True)


def _check_call(name: str, value: Any) -> str:
    call = json.loads(value)
    arguments = {key: _checked_value(item, name, _DEPTH) for key, item in call["arguments"].items()}
    return json.dumps({"positional": bool(call["positional"]), "arguments": arguments}, sort_keys=True)


@dataclasses.dataclass(frozen=True)
class OpaqueLayer(Layer):
    """A built-in layer of Keras without a spec; made by the reader of Keras's JSON.

    Attributes:
        keras_class: the name of its class in `keras.layers`.
        config: its arguments as JSON text, checked by `checked_config`.
        call: how it is called, as JSON text: `positional`, whether each input is an argument of its own, and further
            `arguments`.
        facts: what Keras answers about it.
    """

    weight_initializer: ClassVar[str] = "glorot_uniform"  # of all weights; `owner` names them `weight`
    weight_regularizer: ClassVar[None] = None  # Keras's layer has its own
    weight_constraint: ClassVar[None] = None

    keras_class: Annotated[str, Argument(_check_class)]
    config: Annotated[str, Argument(_check_config)]
    call: Annotated[str, Argument(_check_call)]
    facts: Facts

    @property
    def class_name(self) -> str:
        return self.keras_class

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of Keras's class."""
        arguments: dict[str, Any] = json.loads(self.config)
        return arguments

    @property
    def is_positional(self) -> bool:
        """Whether each input is an argument of its own, as in `layer(query, value)`."""
        return bool(json.loads(self.call)["positional"])

    @property
    def call_arguments(self) -> dict[str, Any]:
        """The further arguments of a call."""
        arguments: dict[str, Any] = json.loads(self.call)["arguments"]
        return arguments

    @property
    def output_count(self) -> int:
        return len(self.facts.outputs)

    @property
    def mixes_timesteps(self) -> bool:
        return True  # nothing else is known

    @property
    def statistics(self) -> tuple[str, ...]:
        return tuple(weight.name for weight in self.facts.weights if not weight.trained)

    @property
    def behaviour(self) -> tuple[str, ...]:
        return ("computed by Keras alone, without a judge",)

    def output_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        asked = self.facts.inputs
        fits = len(inputs) == len(asked) and all(
            len(shape) == len(other)
            and all(size is None or other_size in (None, size) for size, other_size in zip(other, shape, strict=True))
            for shape, other in zip(inputs, asked, strict=True)
        )
        if not fits:
            raise SpecError(
                f"{self.label}: its shapes are known for inputs {listed(map(show, asked))}, given "
                f"{listed(map(show, inputs))}; give a layer of its own to inputs of other shapes"
            )
        return tuple(
            tuple(inputs[size[0]][size[1]] if isinstance(size, tuple) else size for size in shape)
            for shape in self.facts.outputs
        )

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        return {weight.name: weight.shape for weight in self.facts.weights}

    def parameter_formula(self, inputs: Shape) -> str:
        sizes = [math.prod(weight.shape) for weight in self.facts.weights]
        return f"sum of the weights = {' + '.join(map(str, sizes))}" if sizes else ""

    def owner(self, weight: str) -> tuple[Layer, str]:
        return self, "weight"

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the first input where Keras passes it on; else None."""
        return masks[0] if self.facts.passes_mask else None
