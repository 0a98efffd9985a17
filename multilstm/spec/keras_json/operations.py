"""Operations in Keras 3's JSON of a functional model, such as `h[:, -1]` and `a + b`, as layers of a spec.

Keras writes an operator on symbolic tensors, or a function of `keras.ops`, as an entry among the layers. Each one is
read as the layer that computes the same numbers. An operation ignores the masks of its inputs and returns none. Where
the layer would use a mask or pass it on, its input is `x[...,]`, which has no mask.

The sources are keras/src/ops/numpy.py and keras/src/ops/nn.py of Keras 3.0 to 3.15. `GetItem` is written again as the
operation; the other layers are written as layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from multilstm.errors import SpecError, listed, shown
from multilstm.spec.arguments import is_integer, is_real
from multilstm.spec.flow import Flow
from multilstm.spec.json_values import MASK_OPERATIONS, as_dict, check_registered, refuse
from multilstm.spec.keras_json.histories import History, history_of, is_tensor, tensors_of
from multilstm.spec.keys import KEY, Slice
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.layers import (
    ELU,
    Activation,
    Add,
    Concatenate,
    Dot,
    GetItem,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    LeakyReLU,
    Maximum,
    Minimum,
    Multiply,
    Permute,
    Rescaling,
    Reshape,
    Softmax,
    Subtract,
)
from multilstm.spec.shapes import Shape, show

__all__ = [
    "Operation",
    "read_operation",
    "with_modules",
    "written_operands",
]

MODULE = "keras.src.ops.numpy"
_ALL = Slice()
_WITHOUT_MASK = (GetItem, Reshape, Permute, Dot, GlobalMaxPooling1D)  # layers that neither use a mask nor pass it on


class Operation:
    """An operation of a file, with its calls.

    Args:
        name: its name, that of a layer.
        kind: its class in Keras, such as `GetItem`.
        config: its arguments.
        where: its place in the file, the beginning of every error.
    """

    def __init__(self, name: str, kind: str, config: Mapping[str, Any], where: str) -> None:
        self.name, self.kind, self.config, self.where = name, kind, config, where
        self._operands: list[Sequence[Any]] = []
        self._layers: tuple[Layer, ...] | None = None

    def add_call(self, node: Mapping[str, Any]) -> list[History]:
        """Take the next call, and return the tensors that it takes."""
        args, kwargs = node.get("args"), node.get("kwargs")
        if not isinstance(args, (list, tuple)):
            refuse(f"{self.where}: args", args, "a list")
        if kwargs and set(kwargs) != {"training"}:  # which a call of a model gives to all that is inside it
            refuse(f"{self.where}: kwargs", kwargs, "none, as Keras writes it")
        self._operands.append(args)
        return [history_of(item, self.where) for item in tensors_of(args)]

    def call(self, number: int, tensors: Sequence[Tensor], flow: Flow) -> Tensor:
        """Return the result of a call.

        Raises:
            SpecError: for operands that multilstm does not execute.
        """
        shapes = [flow.shape(tensor) for tensor in tensors]
        try:
            *before, last = _LAYERS[self.kind](self, self._operands[number], shapes)
        except SpecError as error:
            text = str(error)
            raise SpecError(text if text.startswith(self.where) else f"{self.where}: {text}") from None
        layers = (*before, dataclasses.replace(last, name=self.name))
        if self._layers is not None and self._layers != layers:
            refuse(f"{self.where}: call {number}", layers, f"the operands of its first call, {self._layers}")
        self._layers = self._layers or layers  # the same objects for all calls
        inputs = tensors if isinstance(layers[0], _WITHOUT_MASK) else [flow.unmasked(tensor) for tensor in tensors]
        result: Tensor = self._layers[0](inputs)
        for layer in self._layers[1:]:
            flow.add([result])
            result = layer(result)
        return result

    def arguments(self, *known: str) -> list[Any]:
        """Return the values of the arguments `known`, None for those that the file lacks; no other may be there."""
        unknown = [key for key in self.config if key not in ("name", *known)]
        if unknown:
            refuse(self.where, unknown[0], f"only the arguments {listed(('name', *known))}")
        return [self.config.get(key) for key in known]


def with_modules(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the config of a functional model with the modules of operations, which Keras leaves out in HDF5.

    A class that operations and layers share is an operation where it is called on two arguments.
    """
    layers = config.get("layers")
    if not isinstance(layers, (list, tuple)):
        return config
    return {**config, "layers": [{**entry, "module": MODULE} if _lacks_module(entry) else entry for entry in layers]}


def _lacks_module(entry: Any) -> bool:
    kind = entry.get("class_name") if isinstance(entry, Mapping) and entry.get("module") is None else None
    if not isinstance(kind, str) or kind not in (*_LAYERS, *MASK_OPERATIONS):
        return False
    nodes = entry.get("inbound_nodes")
    first = nodes[0] if isinstance(nodes, (list, tuple)) and nodes else None
    args = first.get("args") if isinstance(first, Mapping) else None
    pair = isinstance(args, (list, tuple)) and len(args) == 2 and any(map(is_tensor, args))
    return kind not in _SHARED or (kind in _PAIRS and pair)


def read_operation(entry: Mapping[str, Any], where: str) -> Operation:
    """Return the operation of an entry of a functional model.

    Raises:
        SpecError: for an operation that multilstm does not execute.
    """
    config = as_dict(entry.get("config"), f"{where}: config")
    name, kind = config.get("name", entry.get("name")), entry.get("class_name")
    if not isinstance(name, str) or entry.get("name", name) != name:
        refuse(f"name of {where}", entry.get("name"), f"the name {shown(name)} of its config")
    where = f"operation {shown(name)}"
    if not isinstance(kind, str) or kind not in _LAYERS:
        raise SpecError(
            f"{where}: given {shown(kind)}, an operation of keras.ops that multilstm does not execute; expected one of "
            f"{listed(_LAYERS)}; write it with layers of Keras"
        )
    where = f"{where} ({kind})"
    check_registered(entry, (kind,), f"{where}: registered_name")
    return Operation(name, kind, config, where)


def written_operands(layer: Layer) -> list[Any]:
    """Return the operands behind the inputs of a call as Keras writes them; empty for all layers but a GetItem."""
    return [KEY.write(layer.key)] if isinstance(layer, GetItem) else []


# --- the layers -----------------------------------------------------------------------------------------------------

_Layers = tuple[Layer, ...]  # each reads the one before; the first has the inputs of the operation
_Maker = Callable[[Operation, Sequence[Any], Sequence[Shape]], _Layers]


def _check_operands(operation: Operation, operands: Sequence[Any], count: int) -> None:
    """Refuse any operands but a number of tensors."""
    if len(operands) != count or not all(map(is_tensor, operands)):
        others = [operand for operand in operands if not is_tensor(operand)]
        expected = f"{count} tensors (write an array with a layer of Keras)" if count > 1 else "one tensor"
        refuse(f"{operation.where}: operands", others[0] if others else len(operands), expected)


def _pair(layer: Layer) -> _Maker:
    """Return the maker of a layer of two tensors; of a tensor and a number, that of a Rescaling."""
    scaled = _SCALED.get(type(layer).__name__)

    def make(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
        operation.arguments()
        if scaled is not None and len(operands) == 2 and any(map(is_real, operands)) and any(map(is_tensor, operands)):
            is_first = is_real(operands[0])
            return (Rescaling(*scaled(operands[0 if is_first else 1], is_first)),)
        _check_operands(operation, operands, 2)
        return (layer,)

    return make


def _divide(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    operation.arguments()
    if len(operands) != 2 or not is_tensor(operands[0]) or not is_real(operands[1]) or not operands[1]:
        refuse(f"{operation.where}: operands", list(operands), "a tensor and a number other than 0")
    return (Rescaling(1.0 / operands[1]),)


def _alone(layer: Layer) -> _Maker:
    """Return the maker of a layer of one tensor without arguments."""

    def make(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
        _check_operands(operation, operands, 1)
        operation.arguments()
        return (layer,)

    return make


def _softmax(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    _check_operands(operation, operands, 1)
    (axis,) = operation.arguments("axis")
    if axis in (None, -1, len(shapes[0]) - 1):
        return (Activation("softmax"),)
    return (Softmax(_axis(operation, axis, len(shapes[0]))),)


def _sloped(kind: type[ELU | LeakyReLU], argument: str, default: float) -> _Maker:
    """Return the maker of an activation with a slope; the defaults are those of Keras and of TensorFlow."""

    def make(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
        _check_operands(operation, operands, 1)
        (slope,) = operation.arguments(argument)
        return (kind(default if slope is None else slope),)

    return make


def _gelu(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    _check_operands(operation, operands, 1)
    (approximate,) = operation.arguments("approximate")
    if approximate is not False:
        refuse(f"{operation.where}: approximate", approximate, "False, the exact formula")
    return (Activation("gelu"),)


def _matmul(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    _check_operands(operation, operands, 2)
    (is_transposed,) = operation.arguments("transpose_b")  # of TensorFlow
    for shape in shapes:
        if len(shape) != 3:
            refuse(f"{operation.where}: shape of an operand", show(shape), "three axes")
    return (Dot((2, 2 if is_transposed else 1)),)


def _concatenate(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    _check_operands(operation, tensors, max(2, len(tensors)))
    (axis,) = operation.arguments("axis")
    return (Concatenate(axis),)


def _get_item(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    if len(operands) != 2 or not is_tensor(operands[0]):
        refuse(f"{operation.where}: operands", list(operands), "a tensor and a key")
    operation.arguments()
    return (GetItem(KEY.read(operands[1], f"{operation.where}: key")),)


def _reshape(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    _check_operands(operation, operands, 1)
    (sizes,) = operation.arguments("newshape")
    if not isinstance(sizes, (list, tuple)) or len(sizes) < 2 or sizes[0] not in (-1, None):
        refuse(f"{operation.where}: newshape", sizes, "a list that begins with -1, the batch, such as [-1, 4, 5]")
    return (Reshape(tuple(sizes[1:])),)


def _transpose(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    _check_operands(operation, operands, 1)
    (axes,) = operation.arguments("axes")
    if not isinstance(axes, (list, tuple)) or not axes or axes[0] != 0:
        refuse(f"{operation.where}: axes", axes, "a list that begins with 0, the batch, such as [0, 2, 1]")
    return (Permute(tuple(axes[1:])),)


def _axis(operation: Operation, axis: Any, rank: int) -> int:
    """Return the only axis of an operation, counted from the front; the batch is refused."""
    axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    if not is_integer(axis) or not -rank <= axis < rank or axis % rank == 0:
        refuse(f"{operation.where}: axis", axis, f"one axis, from 1 to {rank - 1}")
    return int(axis) % rank


def _expand_dims(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    _check_operands(operation, operands, 1)
    (axis,) = operation.arguments("axis")
    return (GetItem((*[_ALL] * _axis(operation, axis, len(shapes[0]) + 1), None)),)


def _squeeze(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    _check_operands(operation, operands, 1)
    (axis,) = operation.arguments("axis")
    place = _axis(operation, axis, len(shapes[0]))
    if shapes[0][place] != 1:
        refuse(f"{operation.where}: axis {place} of an input {show(shapes[0])}", shapes[0][place], "an axis of size 1")
    return (GetItem((*[_ALL] * place, 0)),)


def _over_timesteps(pooling: type[GlobalAveragePooling1D | GlobalMaxPooling1D]) -> _Maker:
    """Return the maker of a layer that reduces the timesteps of `[batch, timesteps, features]`."""

    def make(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
        _check_operands(operation, operands, 1)
        axis, keepdims, initial = operation.arguments("axis", "keepdims", "initial")
        if len(shapes[0]) != 3 or _axis(operation, axis, 3) != 1 or initial is not None:
            refuse(
                f"{operation.where}: axis {shown(axis)} of an input {show(shapes[0])}", initial or axis,
                "the timesteps, axis 1 of [batch, timesteps, features], without an initial value",
            )  # fmt: skip
        return (pooling(keepdims=False if keepdims is None else keepdims),)

    return make


# The scale and the offset of a tensor by its number, and whether the number is the first operand.
_SCALED: Mapping[str, Callable[[float, bool], tuple[float, float]]] = {
    "Add": lambda number, _: (1.0, number),
    "Subtract": lambda number, is_first: (-1.0, number) if is_first else (1.0, -number),
    "Multiply": lambda number, _: (number, 0.0),
}
_MEAN = _over_timesteps(GlobalAveragePooling1D)


def _sum(operation: Operation, operands: Sequence[Any], shapes: Sequence[Shape]) -> _Layers:
    """Return the mean over the timesteps, times their number."""
    layers = _MEAN(operation, operands, shapes)
    if shapes[0][1] is None:
        refuse(f"{operation.where}: timesteps of an input {show(shapes[0])}", None, "a fixed number of them")
    return (*layers, Rescaling(float(shapes[0][1])))


_PAIRS = {cls.__name__: _pair(cls()) for cls in (Add, Subtract, Multiply, Maximum, Minimum)}
_ACTIVATIONS = ("Relu", "Relu6", "Sigmoid", "Tanh", "Silu", "Selu", "Softplus", "Softsign")
_SHARED = (*_PAIRS, "Concatenate", "Reshape", "Softmax")  # the names of layers too
_LAYERS: Mapping[str, _Maker] = {
    "GetItem": _get_item,
    **_PAIRS,
    "Divide": _divide,
    "TrueDivide": _divide,
    "Negative": _alone(Rescaling(-1.0)),
    "Matmul": _matmul,
    "Concatenate": _concatenate,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "Mean": _MEAN,
    "Sum": _sum,
    "Max": _over_timesteps(GlobalMaxPooling1D),
    "Softmax": _softmax,
    **{name: _alone(Activation(name.lower())) for name in _ACTIVATIONS},
    "Exp": _alone(Activation("exponential")),
    "Elu": _sloped(ELU, "alpha", 1.0),
    "Gelu": _gelu,
    "LeakyRelu": _sloped(LeakyReLU, "negative_slope", 0.2),
}
