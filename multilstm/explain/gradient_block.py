"""Which part of a weight's gradient is wrong first: a gate's block of columns."""

from __future__ import annotations

import numpy as np

from multilstm.compare import Quantity, Tolerance
from multilstm.explain.gate import GATES
from multilstm.spec import LSTM, Graph
from multilstm.spec.arrays import Array


def first_block(spec: Graph, quantity: Quantity, actual: Array, desired: Array, row: Tolerance) -> str:
    """The gates whose block of an LSTM's gradient is wrong, in words; empty for what is no gradient of an LSTM.

    Args:
        spec: the model.
        quantity: `gradient:lstm/kernel`.
        actual: of the engine, with the four gates side by side on its last axis.
        desired: of the reference, of the same shape.
        row: the tolerance.
    """
    name = quantity.where
    if quantity.kind != "gradient" or name not in spec.weight_shapes or actual.shape != desired.shape:
        return ""
    if not isinstance(spec.owner(name)[0], LSTM):
        return ""
    scale = np.abs(desired).max() if row.measure == "tensor" else np.abs(desired)
    with np.errstate(invalid="ignore"):
        outside = ~(np.abs(actual - desired) <= row.atol + row.rtol * scale)
    blocks = np.split(outside, 4, axis=-1)
    wrong = [
        f"gate {gate} ({int(block.sum())} of {block.size} values)"
        for gate, block in zip(GATES, blocks, strict=True)
        if block.any()
    ]
    return f"the gradient of {name} is wrong in {', '.join(wrong)}" if wrong else ""
