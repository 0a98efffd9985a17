"""The places of a case at which a row of the ledger can apply: its layers, and the halves of a Bidirectional."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from multilstm.cases.case import Case, Fit
from multilstm.jobs.job import Batch
from multilstm.spec import (
    Activation,
    AdditiveAttention,
    Attention,
    Bidirectional,
    Dense,
    Graph,
    Layer,
    TimeDistributed,
)
from multilstm.spec.arrays import Array
from multilstm.spec.layers import Recurrent
from multilstm.spec.propagation import walk


@dataclasses.dataclass(frozen=True)
class Place:
    """One layer of a case in a dtype, or one half of a Bidirectional.

    Attributes:
        case: the case.
        dtype: the dtype of the computation.
        name: the layer's name; for half of a Bidirectional as in `Graph.recurrent`.
        layer: the layer; for half of a Bidirectional the layer of that direction.
        masks: the boolean masks `[batch, timesteps]` that reach the layer.
        batches: the batches of the case; of each training, the first.
        reaches_output: whether an output of the model depends on the layer.
    """

    case: Case
    dtype: str
    name: str
    layer: Layer
    masks: tuple[Array, ...]
    batches: tuple[Batch, ...]
    reaches_output: bool

    @property
    def recurrent(self) -> Recurrent | None:
        """The layer if it is recurrent."""
        return self.layer if isinstance(self.layer, Recurrent) else None

    @property
    def is_half(self) -> bool:
        """Whether the place is half of a Bidirectional."""
        return "/" in self.name

    @property
    def inner(self) -> Layer:
        """The layer, without a TimeDistributed around it."""
        return self.layer.layer if isinstance(self.layer, TimeDistributed) else self.layer

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of the layer's first input; empty for an input of the model."""
        return tuple(self.case.spec.layer_inputs.get(self.name.split("/")[0], ()))

    @property
    def has_given_state(self) -> bool:
        """Whether the model or a batch gives the layer an initial state."""
        name = self.name.split("/")[0]
        by_model = any(call.initial_state for call in self.case.spec.calls if call.layer == name)
        stateless = self.recurrent is not None and not self.recurrent.stateful
        return by_model or (stateless and any(self.name in batch.states for batch in self.batches))

    def ends_in(self, activation: str) -> bool:
        """Whether the layer returns an output of the model and has that activation."""
        spec = self.case.spec
        if self.name not in {spec.calls[ref.call].layer for ref in spec.outputs}:
            return False
        return isinstance(self.inner, (Dense, Activation)) and self.inner.activation == activation


def places(case: Case, dtype: str) -> Iterator[Place]:
    """Yield the places of a case, in the order of its layers."""
    spec, batches = case.spec, tuple(_batches(case))
    reaching = _reaching(spec)
    masks_of_batches = [_masks(spec, batch) for batch in batches]
    for layer in spec.layers:
        name = str(layer.name)
        masks = tuple(mask for masks in masks_of_batches if (mask := masks.get(name)) is not None)
        parts: dict[str, Layer] = {key: part for key, part in spec.recurrent.items() if key.split("/")[0] == name}
        for key, part in (parts or {name: layer}).items():
            yield Place(case, dtype, key, part, masks, batches, key in reaching)


def _batches(case: Case) -> Iterator[Batch]:
    yield from case.forward.batches()
    for part in case.training:
        if isinstance(part, Fit):
            yield next(part.data.batches())


def _reaching(spec: Graph) -> set[str]:
    """Return the layers, and the halves of a Bidirectional, on which an output of the model depends."""
    tensors, names = set(spec.outputs), set()
    for index, call in reversed(list(enumerate(spec.calls))):
        outputs = {ref.output for ref in tensors if ref.call == index}
        if not outputs:
            continue
        tensors |= {*call.inputs, *call.initial_state}
        layer = spec.layer(call.layer)
        if isinstance(layer, Bidirectional):
            names |= {f"{call.layer}/{half}" for number in outputs for half in _halves(layer, number)}
        else:
            names.add(call.layer)
    return names


def _halves(layer: Bidirectional, output: int) -> Sequence[str]:
    """Return the halves of a Bidirectional that compute its output with that number.

    The outputs are the sequences, merged or one for each half, and then the states of each half.
    """
    halves = ("forward", "backward")
    sequences = 2 if layer.merge_mode is None else 1
    if output == 0 and sequences == 1:
        return halves
    return (halves[output if output < sequences else (output - sequences) * 2 // layer.state_count],)


def _masks(spec: Graph, batch: Batch) -> dict[str, Array | None]:
    """Return the mask that reaches each layer at its first call; of an attention, that of the value.

    The mask of a Masking that follows another layer depends on computed numbers. It is therefore taken as all True.
    """
    masks: dict[str, Array | None] = {}
    timesteps = next((array.shape[1] for array in batch.inputs.values() if array.ndim > 1), 1)

    def apply(call, layer, inputs, masks_of_inputs, states):  # type: ignore[no-untyped-def]
        attends = isinstance(layer, Attention | AdditiveAttention)
        masks.setdefault(call.layer, masks_of_inputs[1 if attends else 0])
        shapes = [spec.tensor_shapes[ref] for ref in spec.tensor_shapes if spec.calls[ref.call] is call]
        sizes = [(batch.size, *(timesteps if size is None else size for size in shape[1:])) for shape in shapes]
        return [np.ones(size, bool) for size in sizes]

    walk(spec, batch.inputs, batch.masks, apply)
    return masks
