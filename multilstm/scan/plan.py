"""How the loop over time is laid out: chosen by size when it is traced, and changed by no answer beyond rounding."""

from __future__ import annotations

import math
from typing import NamedTuple


class Layout(NamedTuple):
    """How the timesteps go through the loop.

    Attributes:
        chunk: timesteps that go together: backwards, their weight gradients are one product.
        unroll: whether a chunk's timesteps are written out one after another, and its inputs meet the kernel in one
            product; otherwise they are a loop of their own.
    """

    chunk: int
    unroll: bool = False

    def __str__(self) -> str:
        return f"chunks of {self.chunk} steps" + (", unrolled" if self.unroll else "")


class Plan(NamedTuple):
    """The layout of one loop over time.

    Attributes:
        forward: where no gradient is asked for.
        gradient: of the forward and the backward loop where one is.
        recompute: whether the gradient computes the gates again from the state before each chunk, or stores them.
    """

    forward: Layout
    gradient: Layout
    recompute: bool

    def __str__(self) -> str:
        gates = "recomputed" if self.recompute else "stored"
        return f"forward in {self.forward}; gradient in {self.gradient}, gates {gates}"


# Larger blocks of memory are given back to the system after every call and faulted in anew, which on a CPU costs more
# than computing what they would hold (glibc keeps up to 32 MiB).
_KEPT_BYTES = 24 << 20
_ROWS = 320  # of a chunk: enough that adding its weight gradients to their sum costs little beside their product


def choose(
    batch: int, timesteps: int, features: int, units: int, itemsize: int, unroll: bool, checkpoint: bool | int
) -> Plan:
    """The plan for these sizes; those of one device where several share the batch.

    Without `unroll` and `checkpoint`: where gates and dz (9 numbers a unit and step) fit in 24 MiB, they are one chunk.
    Otherwise dz lives a chunk at a time, and the gates are stored, or computed again where that is the smaller work:
    for narrow LSTMs, features + units up to 64.
    """
    whole = Layout(timesteps)
    if unroll:
        return Plan(Layout(timesteps, True), Layout(timesteps, True), False)
    if checkpoint:
        chunk = math.isqrt(max(timesteps - 1, 0)) + 1 if checkpoint is True else checkpoint
        return Plan(whole, Layout(min(chunk, timesteps)), True)
    numbers = batch * timesteps * units * itemsize
    if 9 * numbers <= _KEPT_BYTES:
        return Plan(whole, whole, False)
    return Plan(whole, chunked(batch, timesteps), 5 * numbers > _KEPT_BYTES and features + units <= 64)


def chunked(batch: int, timesteps: int) -> Layout:
    """Chunks of enough rows for the products of the weights' gradients."""
    return Layout(min(max(5, -(-_ROWS // max(batch, 1))), timesteps))
