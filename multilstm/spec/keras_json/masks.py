"""The masks in Keras 3's JSON of a functional model.

Keras 3 writes the mask of a call as a tensor that operations compute: `NotEqual` for an Embedding, `NotEqual` and `Any`
for a Masking. A spec derives masks from its layers. So the operations are taken out of the config, and each mask is
compared with the derived one. A mask of the user's own is refused.

Two masks are compared by their values for random values of their atoms. An atom is one comparison of one tensor with
one number, such as `tokens != 0`. A mask of sequences that were joined along the timesteps has a piece for each one.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from multilstm.errors import shown
from multilstm.spec.json_values import MASK_OPERATIONS, as_dict, is_operation, refuse
from multilstm.spec.keras_json.histories import as_history, names_in
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.layers import Concatenate
from multilstm.spec.shapes import Shape, show

__all__ = ["MaskClaims", "without_masks"]

History = tuple[str, int, int]  # a layer, the number of its call, and that of the output
_SAMPLES = 16_384  # random values of an atom
# The share of True is drawn for each sample: with one half for all, an "or" of 13 atoms would hardly ever be False.
_SHARES = np.random.default_rng(0).random(_SAMPLES)
_PIECES = 64  # of a mask
_DEPTH = 100  # of operations on operations


@dataclasses.dataclass(frozen=True)
class _Mask:
    """A boolean tensor: `[batch, timesteps]`, or with `features` the same with an axis of features behind it.

    Attributes:
        values: random values, boolean `[samples, pieces]`.
        pieces: the timesteps of each piece.
        features: whether the tensor has an axis of features.
    """

    values: Any
    pieces: tuple[int | None, ...]
    features: bool = False


class MaskClaims:
    """The masks that a config gives to calls, and the operations that compute them."""

    def __init__(self) -> None:
        self.operations: dict[str, tuple[str, Mapping[str, Any], Sequence[Any]]] = {}  # class, arguments, calls
        self.claims: dict[tuple[str, int], Any] = {}  # a mask, or a list with one or None for each input
        self._results: dict[tuple[str, int], _Mask] = {}
        self._atoms: dict[tuple[History, float], Any] = {}
        self._known: dict[tuple[int, int], _Mask | None] = {}
        self._shapes: dict[tuple[int, int], Shape] = {}

    def check(self, tensors: Mapping[tuple[str, int], Sequence[Tensor]]) -> None:
        """Compare every mask of the config with the one that the layers derive.

        Args:
            tensors: the symbolic outputs of every call, by the name of its layer and its number.

        Raises:
            SpecError: for a mask that differs, or that other operations compute.
        """
        self._tensors = tensors
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
                    claimed = self._claimed(mask, where)
                    agrees = claimed.pieces == derived.pieces and np.array_equal(claimed.values, derived.values)
                if not agrees:
                    refuse(where, mask, "the mask that its layers derive (give a mask of your own with the inputs)")

    # --- derived by the layers

    def _derived(self, tensor: Tensor) -> _Mask | None:
        """Return the mask of a tensor, or None; its shape is known then too."""
        pending = [tensor]
        while pending:  # without recursion: a model may be deep
            last = pending[-1]
            missing = [source for source in last.inputs if self._key(source) not in self._known]
            if missing:
                pending += missing
                continue
            pending.pop()
            shapes = [self._shapes[self._key(source)] for source in last.inputs]
            self._shapes[self._key(last)] = last.layer.output_shapes(*shapes)[last.index]
            self._known[self._key(last)] = self._output_mask(last)
        return self._known[self._key(tensor)]

    def _output_mask(self, tensor: Tensor) -> _Mask | None:
        if not tensor.inputs or tensor.index >= tensor.layer.masked_outputs:
            return None
        keys = [self._key(source) for source in tensor.inputs]
        probes = [_Probe(self, self._places.get(key, ("", *key)), len(self._shapes[key])) for key in keys]
        masks = [self._known[key] for key in keys]
        try:
            pieces = [mask.pieces if mask else (self._shapes[key][1],) for key, mask in zip(keys, masks, strict=True)]
            joins = _joins_timesteps(tensor.layer, len(self._shapes[keys[0]]))
            joined = _joined(pieces) if joins else _common(pieces)
            values = tensor.layer.output_mask(probes, [mask and mask.values for mask in masks])
        except (TypeError, ValueError, AttributeError, IndexError):  # the rule needs more than masks: no claim fits
            return _Mask(np.zeros(0, bool), ())
        return None if values is None else _Mask(np.asarray(values), joined)

    @staticmethod
    def _key(tensor: Tensor) -> tuple[int, int]:
        return id(tensor.call), tensor.index

    def atom(self, history: History, value: float) -> Any:
        """Return the values of `tensor != value`."""
        rng = np.random.default_rng(1 + len(self._atoms))
        return self._atoms.setdefault((history, value), (rng.random(_SAMPLES) < _SHARES)[:, None])

    # --- claimed by the config

    def _claimed(self, tensor: Any, where: str) -> _Mask:
        mask = self._evaluate(tensor, where, 0)
        return refuse(where, tensor, "a mask [batch, timesteps]") if mask.features else mask

    def _shape(self, tensor: Any, where: str) -> Shape:
        """Return the shape of a layer's output, `[batch, timesteps]` with or without features.

        A shape in the config must fit it.
        """
        name, number, output = _history(tensor, where)
        outputs = self._tensors.get((name, number), ())
        if not 0 <= output < len(outputs):
            refuse(where, tensor, "an output of a layer that exists")
        self._derived(outputs[output])
        shape = self._shapes[self._key(outputs[output])]
        written = as_dict(tensor["config"], where).get("shape")
        sizes = written if isinstance(written, (list, tuple)) and len(written) == len(shape) else [-1] * len(shape)
        if any(None not in pair and pair[0] != pair[1] for pair in zip(sizes, shape, strict=True)) or -1 in sizes:
            refuse(f"{where}: shape of a tensor", written, show(shape))
        return shape if len(shape) in (2, 3) else refuse(where, tensor, "a tensor of 2 or 3 axes")

    def _evaluate(self, tensor: Any, where: str, depth: int) -> _Mask:
        """Return the value of an operation's result."""
        name, number, _ = _history(tensor, where)
        if name not in self.operations or depth > _DEPTH:
            refuse(where, tensor, f"the result of {', '.join(MASK_OPERATIONS)}")
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
            like = self._like(args[0], where, depth)
            return dataclasses.replace(like, values=np.full((_SAMPLES, len(like.pieces)), kind == "OnesLike"))
        operands = args[0] if kind == "Concatenate" and isinstance(args[0], (list, tuple)) else args
        masks = [self._evaluate(operand, where, depth + 1) for operand in operands]
        features = {mask.features for mask in masks}
        last = config.get("axis") == -1
        values, pieces = [mask.values for mask in masks], [mask.pieces for mask in masks]
        if kind == "Any" and features == {True} and last and not config.get("keepdims", False):
            return dataclasses.replace(masks[0], features=False)
        if kind == "ExpandDims" and features == {False} and last:
            return dataclasses.replace(masks[0], features=True)
        if kind == "ConvertToTensor" and len(masks) == 1:
            return masks[0]
        joins = kind == "Concatenate" and features == {True} and config.get("axis") in (1, -2)
        if joins and sum(map(len, pieces)) <= _PIECES:
            return _Mask(np.concatenate(values, axis=1), _joined(pieces), True)
        if _alike(pieces):
            if kind == "LogicalOr" or (kind == "Concatenate" and features == {True} and last):
                return _Mask(functools.reduce(np.logical_or, values), _common(pieces), True in features)
            if kind == "LogicalAnd" and features == {False}:
                return _Mask(functools.reduce(np.logical_and, values), _common(pieces))
        return refuse(where, tensor, f"another use of {kind}")

    def _like(self, tensor: Any, where: str, depth: int) -> _Mask:
        """Return a mask of the shape of a layer's output or of an operation's result; its values mean nothing."""
        if _history(tensor, where)[0] in self.operations:
            return self._evaluate(tensor, where, depth + 1)
        shape = self._shape(tensor, where)
        return _Mask(np.zeros((_SAMPLES, 1), bool), (shape[1],), len(shape) == 3)

    def _not_equal(self, args: Sequence[Any], where: str) -> _Mask:
        if len(args) != 2 or isinstance(args[1], bool) or not isinstance(args[1], (int, float)):
            refuse(where, args, "a tensor and a number")
        shape = self._shape(args[0], where)
        return _Mask(self.atom(_history(args[0], where), args[1]), (shape[1],), len(shape) == 3)


class _Probe:
    """A tensor of which a mask rule may ask only its rank, its timesteps, and where it differs from a number."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, claims: MaskClaims, history: History, ndim: int) -> None:
        self._claims, self._history, self.ndim = claims, history, ndim

    def __getitem__(self, place: Any) -> Any:
        """Return one feature of every timestep, whose values mean nothing."""
        if place != (..., 0):
            raise TypeError(f"a mask rule reads {shown(place)}")
        return np.zeros((_SAMPLES, 1), bool)

    def __ne__(self, value: object) -> Any:
        assert isinstance(value, (int, float))
        return self._claims.atom(self._history, value).view(_Atom)


class _Atom(np.ndarray):
    """The values of an atom, which has no axis of features that `any` would reduce."""

    def any(self, *_: Any, **__: Any) -> Any:
        """Return the values."""
        return np.asarray(self)


def _joins_timesteps(layer: Layer, rank: int) -> bool:
    return isinstance(layer, Concatenate) and rank == 3 and layer.axis in (1, -2)


def _alike(pieces: Sequence[tuple[int | None, ...]]) -> bool:
    """Return whether all masks of several pieces have the same ones."""
    return len({each for each in pieces if len(each) > 1}) < 2


def _joined(pieces: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
    """Return the pieces of a mask that is joined of others along the timesteps.

    Raises:
        ValueError: for more than `_PIECES`, which joins of joins would double with every layer.
    """
    joined = tuple(itertools.chain.from_iterable(pieces))
    if len(joined) > _PIECES:
        raise ValueError(f"the mask has {len(joined)} pieces")
    return joined


def _common(pieces: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
    """Return the pieces of a mask that is computed of others, timestep by timestep.

    Raises:
        ValueError: if the masks have different pieces.
    """
    if not _alike(pieces):
        raise ValueError("the masks have different pieces")
    return max(pieces, key=len)


def without_masks(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], MaskClaims]:
    """Return the config of a functional model without operations and masks, and the masks.

    Args:
        config: the `config` of a functional model in Keras 3's form, as yet unchecked.

    Raises:
        SpecError: for operations that are no JSON objects.
    """
    claims = MaskClaims()
    layers = []
    values = _value_names(config)
    for entry in config.get("layers", ()):
        if not isinstance(entry, Mapping):
            layers.append(entry)
            continue
        if is_operation(entry) and entry.get("name") in values:
            layers.append(entry)  # an operation on values; a mask may be computed of its result too
        if is_operation(entry) and entry.get("class_name") in MASK_OPERATIONS:
            where = f"operation {shown(entry.get('name'))}"
            calls = [as_dict(node, where) for node in _nodes(entry)]
            if str(entry.get("name")) in claims.operations:
                refuse(where, entry.get("name"), "a name that no other operation has")
            claims.operations[str(entry.get("name"))] = (
                entry["class_name"],
                as_dict(entry.get("config"), where),
                calls,
            )
        elif not is_operation(entry):
            layers.append({**entry, "inbound_nodes": list(_unmasked(entry, claims))} if _nodes(entry) else entry)
    return {**config, "layers": layers}, claims


def _value_names(config: Mapping[str, Any]) -> set[str]:
    """Return the layers and operations of whose results the outputs of the model are made, masks aside."""
    entries = {str(entry.get("name")): entry for entry in config.get("layers", ()) if isinstance(entry, Mapping)}
    ends = config.get("output_layers")
    pending = [item for end in ends if isinstance(end, (list, tuple)) for item in end[:1]] if _is_list(ends) else []
    pending += ends[:1] if _is_list(ends) else []
    pending += [name for name, entry in entries.items() if not is_operation(entry)]
    values: set[str] = set()
    while pending:
        name = pending.pop()
        if not isinstance(name, str) or name in values:
            continue
        values.add(name)
        for node in _nodes(entries.get(name, {})):
            parts = node if isinstance(node, Mapping) else {}
            kwargs = parts.get("kwargs")
            others = (
                {key: value for key, value in kwargs.items() if key != "mask"} if isinstance(kwargs, Mapping) else {}
            )
            pending += names_in([parts.get("args"), others])
    return values


def _is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, (list, tuple))


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
    (name, call), output = as_history(config.get("keras_history"), where)
    return name, call, output
