"""The gates whose block of columns is wrong in the gradient of an LSTM's weight."""

from __future__ import annotations

import numpy as np

from multilstm.compare import Quantity, Tolerance
from multilstm.explain.gate import GATES
from multilstm.spec import LSTM, Graph
from multilstm.spec.arrays import Array


def first_block(spec: Graph, quantity: Quantity, actual: Array, desired: Array, row: Tolerance) -> str:
    """Return the gates whose block of an LSTM's gradient is wrong, in words; empty for every other quantity.

    Args:
        spec: the model.
        quantity: for example `gradient:lstm/kernel`.
        actual: the engine's gradient, with the blocks of the four gates along its last axis.
        desired: the reference's gradient, of the same shape.
        row: the tolerance.
    """
    name = quantity.where
    if quantity.kind != "gradient" or name not in spec.weight_shapes or actual.shape != desired.shape:
        return ""
    if not isinstance(spec.owner(name)[0], LSTM):
        return ""
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(actual - desired) <= row.allowed(desired))
    counts = [
        f"gate {gate} ({int(block.sum())} of {block.size} values)"
        for gate, block in zip(GATES, np.split(wrong, 4, axis=-1), strict=True)
        if block.any()
    ]
    return f"the gradient of {name} is wrong in {', '.join(counts)}" if counts else ""
