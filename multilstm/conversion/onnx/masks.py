"""Masks of recurrent nodes: the kept timesteps of each sequence first, and the way back.

An LSTM node of ONNX takes a length for each sequence (`sequence_lens`), and computes the timesteps before it. So the
timesteps that a mask keeps are moved to the front, in their order. This serves masks with padding at any place.
"""

from __future__ import annotations

from multilstm.conversion.onnx.nodes import Scope, Value

__all__ = ["KeptTimesteps"]


class KeptTimesteps:
    """The timesteps of a batch that a mask keeps.

    Args:
        scope: the nodes of the layer.
        mask: `[batch, timesteps]`.
    """

    def __init__(self, scope: Scope, mask: Value) -> None:
        self._scope, self._mask = scope, mask
        self._counts = scope("CumSum", scope("Cast", mask, to=7), scope.integer(1))  # of kept ones, up to each timestep
        total = scope.sliced(self._counts, 1, -1)  # [batch, 1]
        self._some = scope("Greater", total, scope.integer(0))
        self._total = total

    @property
    def lengths(self) -> str:
        """The length of each sequence, `[batch]`; 1 without a kept timestep, where it is unused."""
        scope = self._scope
        return scope("Cast", scope.squeezed(scope("Max", self._total, scope.integer(1)), 1), to=6)

    def first(self, x: object) -> str:
        """Return `[batch, timesteps, features]` with the kept timesteps first."""
        scope = self._scope
        timesteps = scope.size(self._mask, 1)
        places = scope("Range", scope.integer(0), timesteps, scope.integer(1))
        ranks = scope("Where", self._mask, scope("Sub", timesteps, places), scope("Neg", places))
        (_, order) = scope.nodes.node(
            "TopK", f"{scope.layer}/topk", [ranks, scope.expanded(timesteps, 0)], [f"{scope.layer}/{n}" for n in "ko"],
            axis=1,
        )  # fmt: skip
        return self._at(x, order)

    def in_place(self, outputs: str, *, backward: bool, zeros: bool) -> str:
        """Return the outputs `[batch, timesteps, units]` of kept timesteps at the places of their timesteps.

        Args:
            outputs: those of kept timesteps first.
            backward: whether the layer goes backwards: a masked timestep then repeats the output of the next one.
            zeros: whether a masked timestep has zeros instead.
        """
        scope, one = self._scope, self._scope.integer(1)
        before = scope("Sub", self._counts, one)  # the kept timestep at each place, or the last one before it
        if backward:
            places = scope("Sub", self._counts, scope("Cast", self._mask, to=7))
            exists = scope("Less", places, self._total)
            places = scope("Min", places, scope("Sub", scope.size(self._mask, 1), one))
        else:
            places = scope("Max", before, scope.integer(0))
            exists = scope("Greater", self._counts, scope.integer(0))
        keep = str(self._mask) if zeros else exists
        return scope("Where", scope.expanded(keep, 2), self._at(outputs, places), scope.number(0.0))

    def if_any(self, state: str, otherwise: str) -> str:
        """Return a state `[batch, units]`, or another one for sequences without a kept timestep."""
        return self._scope("Where", self._some, state, otherwise)

    def if_last(self, output: str, *, backward: bool) -> str:
        """Return an output `[batch, units]`, or zeros for sequences whose last processed timestep is masked."""
        scope = self._scope
        last = scope.sliced(self._mask, 1, 0, 1) if backward else scope.sliced(self._mask, 1, -1)
        return scope("Where", last, output, scope.number(0.0))

    def _at(self, x: object, places: str) -> str:
        return self._scope("GatherND", x, self._scope.expanded(places, 2), batch_dims=1)
