"""Models made from a part of another model."""

from __future__ import annotations

import dataclasses
from typing import Any

from multilstm.errors import MultilstmError
from multilstm.spec import Call, Graph, Ref

__all__ = ["changed", "pruned"]


def changed(spec: Graph, **changes: Any) -> Graph | None:
    """Return the model with changed fields of `Graph`; None if they do not fit together."""
    layers = {layer.name: layer for layer in changes.get("layers", spec.layers)}
    calls, outputs = changes.get("calls", spec.calls), changes.get("outputs", spec.outputs)
    taken = [*outputs, *(ref for call in calls for ref in (*call.inputs, *call.initial_state))]
    if any(ref.output >= layers[calls[ref.call].layer].output_count for ref in taken):
        return None
    try:
        return dataclasses.replace(spec, **changes)
    except MultilstmError:
        return None


def pruned(spec: Graph, calls: tuple[Call, ...], outputs: tuple[Ref, ...]) -> Graph | None:
    """Return the model of the calls that the outputs need.

    Args:
        spec: a model.
        calls: its calls, some of them perhaps changed.
        outputs: the outputs of the new model.

    Returns:
        The new model; None if the calls do not fit together.
    """
    needed = {ref.call for ref in outputs}
    for index in reversed(range(len(calls))):
        if index in needed:
            needed |= {ref.call for ref in (*calls[index].inputs, *calls[index].initial_state)}
    place = {old: new for new, old in enumerate(sorted(needed))}

    def moved(refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        return tuple(Ref(place[ref.call], ref.output) for ref in refs)

    kept = tuple(Call(calls[i].layer, moved(calls[i].inputs), moved(calls[i].initial_state)) for i in sorted(needed))
    names = {call.layer for call in kept}
    return changed(
        spec,
        layers=tuple(layer for layer in spec.layers if layer.name in names),
        calls=kept,
        outputs=moved(outputs),
        sequential=False,
        input_order=tuple(name for name in spec.input_order if name in names),
    )
