"""Limits of activations that no number of a run reaches: an engine without the limit would give the same answers."""

from __future__ import annotations

from multilstm.cases.case import Case
from multilstm.spec import Layer, Ref, ReLU
from multilstm.spec.subgraph import pruned
from multilstm.suite.hidden_masks import output_of

__all__ = ["idle_limits"]

LIMITS = {"relu6": 6.0}  # of activations by name


def idle_limits(case: Case) -> tuple[str, ...]:
    """Return the layers of a user's model with a largest output that no batch reaches, by name.

    They are `ReLU` with a `max_value`, and layers with the activation `relu6`. Recurrent layers are left out: their
    outputs are products of activations.
    """
    if not case.example or case.spec.opaque:
        return ()
    idle: dict[str, None] = {}
    for index, call in enumerate(case.spec.calls):
        limit = _limit(case.spec.layer(call.layer))
        if limit is None:
            continue
        part = pruned(case.spec, case.spec.calls, (Ref(index),))
        batches = case.forward.batches()
        if part is None or all(output_of(part, case.initial_weights, b).max(initial=0.0) < limit for b in batches):
            idle[call.layer] = None
    return tuple(idle)


def _limit(layer: Layer) -> float | None:
    if isinstance(layer, ReLU):
        return layer.max_value
    return None if layer.recurrent else LIMITS.get(str(getattr(layer, "activation", "")))
