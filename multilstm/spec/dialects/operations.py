"""Operations between the layers of tf.keras 2.4 and later, as operations of Keras 3.

tf.keras writes a function of TensorFlow on symbolic tensors as a layer TFOpLambda, and a part of a tensor as a
SlicingOpLambda. Both hold the name of the function and its arguments, which are data. `multilstm.spec` then reads the
operation of Keras 3 as the layer that computes the same numbers. The source is tf_keras/src/layers/core/tf_op_layer.py
of tf-keras 2.21, and `Node.serialize` in tf_keras/src/engine/node.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from multilstm.errors import SpecError, listed, shown
from multilstm.spec.dialects.networks import History, Node
from multilstm.spec.json_values import as_dict, refuse

__all__ = ["OPERATIONS", "operation_entry", "operation_node"]

OPERATIONS = ("SlicingOpLambda", "TFOpLambda")
MODULE = "keras.src.ops.numpy"
CONSTANT = "_CONSTANT_VALUE"  # in the place of a layer's name, before -1 and the constant
_WITHOUT_EFFECT = ("name",)  # of every function


@dataclasses.dataclass(frozen=True)
class _Function:
    """A function of TensorFlow.

    Attributes:
        into: its operation in Keras 3.
        operands: its arguments behind the first one that are operands.
        renamed: its further arguments, with their names in Keras 3.
        fixed: its arguments that the operation lacks, with the only value that is read.
        defaults: the defaults of its arguments where Keras 3 has others, by their names in Keras 3.
    """

    into: str
    operands: tuple[str, ...] = ()
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _pair(into: str) -> _Function:
    return _Function(into, ("y",))


_AXIS = {"axis": "axis"}
_OVER = {"axis": "axis", "keepdims": "keepdims"}
_NO_TRANSPOSE = {
    **dict.fromkeys(("transpose_a", "adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"), False),
    **dict.fromkeys(("output_type", "grad_a", "grad_b")),
}
_TRANSPOSE = _Function("Transpose", renamed={"perm": "axes"}, fixed={"conjugate": False})
_SQUEEZE = _Function("Squeeze", renamed=_AXIS, fixed={"squeeze_dims": None})
_FUNCTIONS: Mapping[str, _Function] = {
    "__operators__.getitem": _Function("GetItem", ("slice_spec",), fixed={"var": None}),
    **dict.fromkeys(("__operators__.add", "math.add"), _pair("Add")),
    **dict.fromkeys(("__operators__.sub", "math.subtract"), _pair("Subtract")),
    **dict.fromkeys(("__operators__.mul", "math.multiply"), _pair("Multiply")),
    **dict.fromkeys(("__operators__.truediv", "math.divide", "math.truediv", "realdiv"), _pair("Divide")),
    "math.negative": _Function("Negative"),
    "math.maximum": _pair("Maximum"),
    "math.minimum": _pair("Minimum"),
    "linalg.matmul": _Function("Matmul", ("b",), {"transpose_b": "transpose_b"}, _NO_TRANSPOSE),
    "concat": _Function("Concatenate", renamed=_AXIS),
    "expand_dims": _Function("ExpandDims", renamed=_AXIS),
    **dict.fromkeys(("squeeze", "compat.v1.squeeze"), _SQUEEZE),
    "reshape": _Function("Reshape", renamed={"shape": "newshape"}),
    **dict.fromkeys(("transpose", "compat.v1.transpose"), _TRANSPOSE),
    **dict.fromkeys(("math.reduce_mean", "keras.backend.mean"), _Function("Mean", renamed=_OVER)),
    **dict.fromkeys(("math.reduce_sum", "keras.backend.sum"), _Function("Sum", renamed=_OVER)),
    **dict.fromkeys(("math.reduce_max", "keras.backend.max"), _Function("Max", renamed=_OVER)),
    "nn.softmax": _Function("Softmax", renamed=_AXIS),
    "nn.relu": _Function("Relu"),
    "nn.relu6": _Function("Relu6"),
    **dict.fromkeys(("math.sigmoid", "nn.sigmoid"), _Function("Sigmoid")),
    **dict.fromkeys(("math.tanh", "nn.tanh"), _Function("Tanh")),
    "nn.silu": _Function("Silu", fixed={"beta": 1.0}),
    "nn.selu": _Function("Selu"),
    **dict.fromkeys(("math.softplus", "nn.softplus"), _Function("Softplus")),
    "nn.softsign": _Function("Softsign"),
    "math.exp": _Function("Exp"),
    "nn.elu": _Function("Elu"),
    "nn.gelu": _Function("Gelu", renamed={"approximate": "approximate"}, defaults={"approximate": False}),
    "nn.leaky_relu": _Function("LeakyRelu", renamed={"alpha": "negative_slope"}),
}


def operation_entry(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the operation of Keras 3 for an entry of tf.keras, with the arguments of its calls but the operands.

    Args:
        entry: a layer of a class of `OPERATIONS`, with its calls.
        where: its place in the file, the beginning of every error.

    Raises:
        SpecError: for a function without an equal, and for arguments that differ from call to call.
    """
    function, where = _function(entry, where)
    calls = [dict(_arguments(call, function, where)) for call in _calls(entry, where)]
    if any(call != calls[0] for call in calls):
        refuse(f"{where}: arguments of its calls", calls[1:], f"those of the first call, {shown(calls[0])}")
    name = as_dict(entry.get("config"), where).get("name", entry.get("name"))
    return {"module": MODULE, "class_name": function.into, "config": {"name": name, **function.defaults, **calls[0]}}


def operation_node(call: Any, entry: Mapping[str, Any], where: str, read: Callable[[Any, str], History]) -> Node:
    """Return one call of an operation, with its operands.

    Args:
        call: the call in the file: `[layer, call, output, arguments]`, or a list of these.
        entry: the entry of the operation.
        where: its place in the file.
        read: returns the tensor of `[layer, call, output]`.
    """
    function, _ = _function(entry, f"{where} of {shown(entry.get('name'))}")
    arguments = _kwargs(call, where)
    operands = [arguments[name] for name in function.operands if name in arguments]
    if function.into == "GetItem":
        operands = [_key(value) for value in operands]
    first = _operand(call[:3], where, read) if _is_one(call) else [_operand(item[:3], where, read) for item in call]
    return Node([first, *(_operand(value, where, read) for value in operands)])


def _function(entry: Mapping[str, Any], where: str) -> tuple[_Function, str]:
    """Return the function of an entry, and the entry's place with the function's name."""
    name = as_dict(entry.get("config"), f"{where}: config").get("function")
    function = _FUNCTIONS.get(name) if isinstance(name, str) else None
    if function is None:
        raise SpecError(
            f"{where}: given the function tf.{name if isinstance(name, str) else shown(name)}, which multilstm does "
            f"not execute; expected one of {listed(_FUNCTIONS)}; write it with layers of Keras"
        )
    return function, f"{where} (tf.{name})"


def _calls(entry: Mapping[str, Any], where: str) -> Sequence[Any]:
    calls = entry.get("inbound_nodes")
    if not isinstance(calls, list) or not calls:
        refuse(f"{where}: inbound_nodes", calls, "a list of its calls, in a functional model")
    return calls


def _is_one(call: Any) -> bool:
    """Whether a call has one first operand, and not a list of them."""
    return isinstance(call, (list, tuple)) and bool(call) and isinstance(call[0], str)


def _kwargs(call: Any, where: str) -> Mapping[str, Any]:
    """Return the arguments of a call, which every item of its first operand has."""
    items = [call] if _is_one(call) else call
    for item in items if isinstance(items, (list, tuple)) and items else [None]:
        if not isinstance(item, (list, tuple)) or len(item) not in (3, 4) or not isinstance(item[0], str):
            refuse(where, call, 'a list such as ["lstm", 0, 0, {"y": 0.5}]')
    return as_dict(items[0][3], f"{where}: arguments") if len(items[0]) == 4 else {}


def _arguments(call: Any, function: _Function, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a call that are no operands, with their names in Keras 3."""
    for name, value in _kwargs(call, where).items():
        if name in function.operands or name in _WITHOUT_EFFECT:
            continue
        if name in function.renamed:
            yield function.renamed[name], value
        elif name not in function.fixed or not (value is None or value == function.fixed[name]):
            known = [*function.operands, *function.renamed]
            expected = repr(function.fixed[name]) if name in function.fixed else f"only {listed(known)}"
            refuse(f"{where}: {name}", value, f"{expected}; write it with layers of Keras")


def _operand(value: Any, where: str, read: Callable[[Any, str], History]) -> Any:
    """Return a tensor, or the constant in its place."""
    if not isinstance(value, (list, tuple)) or [type(item) for item in value[:2]] != [str, int] or len(value) != 3:
        return value
    return value[2] if value[0] == CONSTANT else read(value, where)


def _key(value: Any) -> Any:
    """Return the key of a part in Keras 3's form, with an object for each slice."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return [
        {"class_name": "__slice__", "config": item} if isinstance(item, Mapping) and "class_name" not in item else item
        for item in items
    ]
