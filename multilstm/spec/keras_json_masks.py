"""The masks in Keras 3's JSON of a functional model.

Keras 3 writes the mask of a call as a tensor that operations compute: `NotEqual` for an Embedding, `NotEqual` and `Any`
for a Masking. A spec derives masks from its layers. So the operations are taken out of the config, and each mask is
compared with the derived one. A mask of the user's own is refused.

Two masks are compared by their values for random values of their atoms. An atom is one comparison of one tensor with
one number, such as `tokens != 0`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.errors import shown
from multilstm.spec.json_values import as_dict, refuse
from multilstm.spec.layer_base import Tensor

__all__ = ["MaskClaims", "without_masks"]

History = tuple[str, int, int]  # a layer, the number of its call, and that of the output
_SAMPLES = 16_384  # random values of an atom
# The share of True is drawn for each sample: with one half for all, an "or" of 13 atoms would hardly ever be False.
_SHARES = np.random.default_rng(0).random(_SAMPLES)
_DEPTH = 100  # of operations on operations
_MODULE = "keras.src.ops."
_OPERATIONS = (
    "NotEqual", "Any", "LogicalOr", "LogicalAnd", "ExpandDims", "ZerosLike", "OnesLike", "Concatenate",
    "ConvertToTensor",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Mask:
    """A boolean tensor: `[batch, timesteps]`, or with `features` the same with an axis of features behind it."""

    values: Any
    features: bool = False


class MaskClaims:
    """The masks that a config gives to calls, and the operations that compute them."""

    def __init__(self) -> None:
        self.operations: dict[str, tuple[str, Mapping[str, Any], Sequence[Any]]] = {}  # class, arguments, calls
        self.claims: dict[tuple[str, int], Any] = {}  # a mask, or a list with one or None for each input
        self._results: dict[tuple[str, int], _Mask] = {}
        self._atoms: dict[tuple[History, float], Any] = {}

    def check(self, tensors: Mapping[tuple[str, int], Sequence[Tensor]]) -> None:
        """Compare every mask of the config with the one that the layers derive.

        Args:
            tensors: the symbolic outputs of every call, by the name of its layer and its number.

        Raises:
            SpecError: for a mask that differs, or that other operations compute.
        """
        self._places = {
            (id(tensor.call), tensor.index): (name, number, tensor.index)
            for (name, number), outputs in tensors.items()
            for tensor in outputs
        }
        for (name, number), masks in self.claims.items():
            where = f"layer {shown(name)}, call {number}: mask"
            call = tensors[name, number][0]
            if isinstance(masks, list) and len(masks) != len(call.inputs):
                refuse(where, masks, f"a mask or null for each of the {len(call.inputs)} inputs")
            for mask, source in zip(masks if isinstance(masks, list) else [masks], call.inputs, strict=False):
                derived = self._derived(source)
                agrees = mask is derived is None
                if mask is not None and derived is not None:
                    agrees = np.array_equal(self._claimed(mask, where), derived)
                if not agrees:
                    refuse(where, mask, "the mask that its layers derive (give a mask of your own with the inputs)")

    # --- derived by the layers

    @functools.cached_property
    def _known(self) -> dict[tuple[int, int], Any]:
        return {}

    def _derived(self, tensor: Tensor) -> Any:
        """Return the mask of a tensor, or None."""
        pending = [tensor]
        while pending:  # without recursion: a model may be deep
            last = pending[-1]
            missing = [source for source in last.inputs if self._key(source) not in self._known]
            if missing:
                pending += missing
                continue
            pending.pop()
            self._known[self._key(last)] = self._output_mask(last)
        return self._known[self._key(tensor)]

    def _output_mask(self, tensor: Tensor) -> Any:
        if not tensor.inputs or tensor.index >= tensor.layer.masked_outputs:
            return None
        probes = [_Probe(self, self._places[self._key(source)]) for source in tensor.inputs]
        masks = [self._known[self._key(source)] for source in tensor.inputs]
        try:
            mask = tensor.layer.output_mask(probes, masks)
        except (TypeError, ValueError, AttributeError, IndexError):  # the rule needs more than masks: no claim fits
            return np.zeros(0, bool)
        return None if mask is None else np.asarray(mask)

    @staticmethod
    def _key(tensor: Tensor) -> tuple[int, int]:
        return id(tensor.call), tensor.index

    def atom(self, history: History, value: float) -> Any:
        """Return the values of `tensor != value`."""
        rng = np.random.default_rng(1 + len(self._atoms))
        return self._atoms.setdefault((history, value), rng.random(_SAMPLES) < _SHARES)

    # --- claimed by the config

    def _claimed(self, tensor: Any, where: str) -> Any:
        mask = self._evaluate(tensor, where, 0)
        return refuse(where, tensor, "a mask [batch, timesteps]") if mask.features else mask.values

    def _evaluate(self, tensor: Any, where: str, depth: int) -> _Mask:
        """Return the value of an operation's result."""
        name, number, _ = _history(tensor, where)
        if name not in self.operations or depth > _DEPTH:
            refuse(where, tensor, f"the result of {', '.join(_OPERATIONS)}")
        if (name, number) not in self._results:
            self._results[name, number] = self._operation(tensor, name, number, where, depth)
        return self._results[name, number]

    def _operation(self, tensor: Any, name: str, number: int, where: str, depth: int) -> _Mask:
        kind, config, calls = self.operations[name]
        args = calls[number].get("args") if 0 <= number < len(calls) else None
        if not isinstance(args, (list, tuple)) or not args or calls[number].get("kwargs"):
            refuse(where, tensor, f"a call of {kind}")
        if kind == "NotEqual":
            return self._not_equal(args, where)
        if kind in ("ZerosLike", "OnesLike"):
            rank = len(as_dict(as_dict(args[0], where).get("config"), where).get("shape") or ())
            return _Mask(np.full(_SAMPLES, kind == "OnesLike"), rank == 3)
        operands = args[0] if kind == "Concatenate" and isinstance(args[0], (list, tuple)) else args
        masks = [self._evaluate(operand, where, depth + 1) for operand in operands]
        features = {mask.features for mask in masks}
        last = config.get("axis") == -1
        values = [mask.values for mask in masks]
        if kind == "Any" and features == {True} and last and not config.get("keepdims", False):
            return _Mask(values[0])
        if kind == "ExpandDims" and features == {False} and last:
            return _Mask(values[0], True)
        if kind == "ConvertToTensor" and len(masks) == 1:
            return masks[0]
        if kind == "LogicalOr" or (kind == "Concatenate" and features == {True} and last):
            return _Mask(functools.reduce(np.logical_or, values), True in features)
        if kind == "LogicalAnd" and features == {False}:
            return _Mask(functools.reduce(np.logical_and, values))
        return refuse(where, tensor, f"another use of {kind}")

    def _not_equal(self, args: Sequence[Any], where: str) -> _Mask:
        if len(args) != 2 or isinstance(args[1], bool) or not isinstance(args[1], (int, float)):
            refuse(where, args, "a tensor and a number")
        rank = len(as_dict(as_dict(args[0], where).get("config"), where).get("shape") or ())
        return _Mask(self.atom(_history(args[0], where), args[1]), rank == 3)


class _Probe:
    """A tensor of which a mask rule may ask only where it differs from a number."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, claims: MaskClaims, history: History) -> None:
        self._claims, self._history = claims, history

    def __ne__(self, value: object) -> Any:
        assert isinstance(value, (int, float))
        return self._claims.atom(self._history, value).view(_Atom)


class _Atom(np.ndarray):
    """The values of an atom, which has no axis of features that `any` would reduce."""

    def any(self, *_: Any, **__: Any) -> Any:
        """Return the values."""
        return np.asarray(self)


def without_masks(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], MaskClaims]:
    """Return the config of a functional model without operations and masks, and the masks.

    Args:
        config: the `config` of a functional model in Keras 3's form, as yet unchecked.

    Raises:
        SpecError: for operations that are no JSON objects.
    """
    claims = MaskClaims()
    layers = []
    for entry in config.get("layers", ()):
        if not isinstance(entry, Mapping):
            layers.append(entry)
        elif _is_operation(entry):
            where = f"operation {shown(entry.get('name'))}"
            calls = [as_dict(node, where) for node in _nodes(entry)]
            if str(entry.get("name")) in claims.operations:
                refuse(where, entry.get("name"), "a name that no other operation has")
            claims.operations[str(entry.get("name"))] = (
                entry["class_name"],
                as_dict(entry.get("config"), where),
                calls,
            )
        else:
            layers.append({**entry, "inbound_nodes": list(_unmasked(entry, claims))} if _nodes(entry) else entry)
    return {**config, "layers": layers}, claims


def _is_operation(entry: Mapping[str, Any]) -> bool:
    module = entry.get("module")
    return isinstance(module, str) and module.startswith(_MODULE) and entry.get("class_name") in _OPERATIONS


def _nodes(entry: Mapping[str, Any]) -> Sequence[Any]:
    nodes = entry.get("inbound_nodes")
    return nodes if isinstance(nodes, (list, tuple)) else ()


def _unmasked(entry: Mapping[str, Any], claims: MaskClaims) -> Iterable[Any]:
    """Yield the calls of a layer without their masks, which become claims."""
    for number, node in enumerate(_nodes(entry)):
        kwargs = node.get("kwargs") if isinstance(node, Mapping) else None
        if not isinstance(kwargs, Mapping) or kwargs.get("mask") is None:
            yield node
            continue
        mask = kwargs["mask"]
        claims.claims[str(entry.get("name")), number] = list(mask) if isinstance(mask, (list, tuple)) else mask
        yield {**node, "kwargs": {key: value for key, value in kwargs.items() if key != "mask"}}


def _history(tensor: Any, where: str) -> History:
    config = as_dict(as_dict(tensor, where).get("config"), where)
    history = config.get("keras_history")
    if not isinstance(history, (list, tuple)) or [type(item) for item in history] != [str, int, int]:
        refuse(where, history, 'a layer, a call and an output such as ["lstm", 0, 0]')
    name, call, output = history
    return name, call, output
