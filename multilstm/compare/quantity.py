"""Quantities: the values that are compared, each with a kind and a place."""

from __future__ import annotations

from typing import NamedTuple

EXACT = ("parameter_count", "weight_shape")
FORWARD = ("output", "sequence", "last_output", "hidden", "cell")
CURVES_BUT_ACCURACY = ("loss", "trained_hidden", "trained_cell")
CURVES = (*CURVES_BUT_ACCURACY, "accuracy")
GRADIENTS = ("gradient", "input_gradient", "state_gradient")
TRAINED = ("weights", "slots")
KINDS = (*EXACT, *FORWARD, *CURVES, *GRADIENTS, *TRAINED)


class Quantity(NamedTuple):
    """One value that an engine computes and the reference judges.

    `str(quantity)` is `kind:where`, for example `hidden:lstm_1`, `gradient:lstm/kernel`, `loss:program`,
    `weights:updates_10/lstm/kernel`; it is the kind alone where there is no place.

    Attributes:
        kind: one of `KINDS`.
        where: the layer, weight, output or stage of training that the value belongs to; empty for the whole model.
    """

    kind: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.where}" if self.where else self.kind

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Return the quantity that `str(quantity)` wrote."""
        kind, _, where = text.partition(":")
        return cls(kind, where)
