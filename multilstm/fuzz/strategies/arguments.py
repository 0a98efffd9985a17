"""Strategies of arguments. An option has its default in about half of the models.

One or two options thus meet in a model, rather than all at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

from multilstm.spec import L1, L1L2, L2, Layer, OrthogonalRegularizer

__all__ = ["FLAG", "RATE", "Draw", "mostly", "training_arguments"]

Draw = Callable[[Any], Any]


def mostly(default: Any, others: Iterable[Any]) -> Any:
    """Return a strategy that draws `default` as often as all others together."""
    others = tuple(others)
    return st.sampled_from((default,) * len(others) + others)


FLAG = mostly(False, (True,))
RATE = mostly(0.0, (0.5, 0.25))
_REGULARIZERS = (L1(0.125), L2(0.25), L1L2(0.125, 0.25))
_COLUMNS = OrthogonalRegularizer(0.125, "columns")


def training_arguments(draw: Draw, kind: type[Layer]) -> dict[str, Any]:
    """Draw the arguments of a class that act in training alone: regularizers, rates of dropout, and `trainable`.

    The kernels of a layer with gates always have several columns, which an OrthogonalRegularizer needs.
    """
    chosen: dict[str, Any] = {"trainable": draw(mostly(True, (False,)))}
    for field in dataclasses.fields(kind):
        if field.name in kind.refused or field.name == "activity_regularizer":  # refused inside a TimeDistributed
            continue
        if field.name.endswith("_regularizer"):
            columns = (_COLUMNS,) if kind.gate_count > 1 and field.name != "bias_regularizer" else ()
            chosen[field.name] = draw(mostly(None, (*_REGULARIZERS, *columns)))
        elif field.name in ("dropout", "recurrent_dropout"):
            chosen[field.name] = draw(RATE)
    return chosen
