"""How the loop over time is laid out: chosen by size when it is traced, and changed by no answer beyond rounding."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax


class Layout(NamedTuple):
    """How the timesteps go through the loop.

    Attributes:
        chunk: timesteps that go together: backwards, their weight gradients are one product.
        unroll: how many of a chunk's timesteps are written out one after another, their inputs meeting the kernel in
            one product; a loop goes over as many of these as the chunk has.
    """

    chunk: int
    unroll: int = 1

    def __str__(self) -> str:
        return f"chunks of {self.chunk} steps" + (f", {self.unroll} written out" if self.unroll > 1 else "")


class Plan(NamedTuple):
    """The layout of one loop over time.

    Attributes:
        forward: where no gradient is asked for.
        gradient: of the forward and the backward loop where one is.
        recompute: whether the gradient computes the gates again from the state before each chunk, or stores them.
        left: whether a step's hidden states meet the recurrent kernel as columns, with the kernel on their left.
        left_backward: the same of the derivatives and the kernel's transpose.
    """

    forward: Layout
    gradient: Layout
    recompute: bool
    left: bool = False
    left_backward: bool = False

    def __str__(self) -> str:
        gates = "recomputed" if self.recompute else "stored"
        left = ", the recurrent kernel on the left" if self.left else ""
        return f"forward in {self.forward}; gradient in {self.gradient}, gates {gates}{left}"


class Sizes(NamedTuple):
    """What a plan is chosen by; the batch is that of one device where several share it."""

    batch: int
    timesteps: int
    features: int
    units: int
    itemsize: int


# Larger blocks of memory are given back to the system after every call and faulted in anew, which on a CPU costs more
# than computing what they would hold (glibc keeps up to 32 MiB, and there are other temporaries).
_KEPT_BYTES = 16 << 20
_CACHED_BYTES = 8 << 20  # what is stored and read again some steps later is still near
_NARROW = 64  # features + units up to which the gates are computed again in less time than they are fetched from memory
_ROWS = 320  # of a chunk: enough that adding its weight gradients to their sum costs little beside their product
_WIDE_BYTES = 2 << 20  # of a recurrent kernel that does not stay in a core's cache
_FETCHED_BYTES = 4 << 20  # of one that no core's cache holds, so that every step fetches it
_FEW_ROWS = range(8, 33)  # with fewer and with more, such a kernel is slower on the left, forward at least
_FORWARD = Layout(8, 8)
_RAGGED_FORWARD = Layout(2, 2)  # what is written out is compiled once for every number of rows
_WORTH_SPLITTING = 100_000  # outputs: below, starting the loops on two devices takes longer than the loop
_WORTH_UNROLLING = 5e7  # products of numbers: below, compiling a loop that is written out takes longer than it saves
_WORTH_LEAVING_LOOPS = 5e5  # the same where no loop is left at all, which saves a tenth of the gradient too


def choose(sizes: Sizes, unroll: bool, checkpoint: bool | int, ragged: bool) -> Plan:
    """The plan for these sizes, or the one that is asked for.

    Forward: one loop; or, from 50 million products on, chunks of 8 timesteps, written out. Gradient: where gates and
    dz (9 numbers a unit and step) fit in 16 MiB, they are one chunk; otherwise dz lives a chunk at a time. The gates
    (5 numbers) are stored, but computed again where they take more than 8 MiB and features + units are at most 64.
    Where the recurrent kernel takes more than 2 MiB, four steps at a time are written out. Up to 8 timesteps in all, of
    500 thousand products or more, are written out both ways. Ragged sequences go forward two steps at a time, written
    out, at every size. The recurrent kernel stands on the left where it takes more than 4 MiB and the batch is of 8 to
    32 rows, and backwards for a single row.

    All of this was measured on CPUs. Elsewhere it is one loop that stores its gates, and one product for the weights'
    gradient, unless `unroll` or `checkpoint` asks for more: what was not measured is nobody's default.

    Args:
        sizes: of the problem.
        unroll: as in `lstm`.
        checkpoint: as in `lstm`.
        ragged: whether the loops are those of `ragged.py`, whose chunks are powers of two; `unroll` leaves them as
            they are, since they end when the sequences do.
    """
    batch, _, _, units, itemsize = sizes
    plan = _without_sides(sizes, unroll, checkpoint, ragged)
    if platform() != "cpu":
        return plan
    left = batch in _FEW_ROWS and _kernel_bytes(units, itemsize) > _FETCHED_BYTES
    return plan._replace(left=left, left_backward=left or batch == 1)


def _without_sides(sizes: Sizes, unroll: bool, checkpoint: bool | int, ragged: bool) -> Plan:
    """What `choose` gives, but for the sides of the products."""
    batch, timesteps, features, units, itemsize = sizes
    whole = Layout(timesteps)
    forward = _RAGGED_FORWARD if ragged else whole
    if unroll and not ragged:
        return Plan(Layout(timesteps, timesteps), Layout(timesteps, timesteps), False)
    if checkpoint:
        chunk = math.isqrt(max(timesteps - 1, 0)) + 1 if checkpoint is True else checkpoint
        return Plan(forward, Layout(min(chunk, timesteps)), True)
    if platform() != "cpu" and not ragged:
        return Plan(whole, whole, False)
    numbers = batch * timesteps * units * itemsize
    products = batch * timesteps * units * (features + units)
    large = products >= _WORTH_UNROLLING
    if timesteps <= _FORWARD.unroll and products >= _WORTH_LEAVING_LOOPS and not (large or ragged):
        return Plan(Layout(timesteps, timesteps), Layout(timesteps, timesteps), False)
    chunk = max(5, -(-_ROWS // max(batch, 1)))
    if ragged:
        chunk = 1 << (chunk - 1).bit_length()
    elif 9 * numbers <= _KEPT_BYTES:
        chunk = timesteps
    steps = 4 if wide(units, itemsize) and not ragged else 1
    chunk = min(-(-chunk // steps) * steps, max(timesteps, 1))
    recompute = 5 * numbers > _CACHED_BYTES and features + units <= _NARROW
    return Plan(_FORWARD if large and not ragged else forward, Layout(chunk, steps), recompute and chunk < timesteps)


def platform() -> str:
    """Where JAX computes what is traced now, unless its arrays lie elsewhere: `cpu`, `gpu`, ..."""
    device = jax.config.jax_default_device
    return str(getattr(device, "platform", device) or jax.default_backend())


def wide(units: int, itemsize: int) -> bool:
    """Whether the recurrent kernel is too large for a core's cache."""
    return _kernel_bytes(units, itemsize) > _WIDE_BYTES


def _kernel_bytes(units: int, itemsize: int) -> int:
    return 4 * units * units * itemsize


def worth_splitting(sizes: Sizes, devices: int) -> bool:
    """Whether several CPU devices that share the batch are faster than one: `mesh` of `lstm` is left to the user.

    There must be enough work for each, and a recurrent kernel that each device's cores can keep.
    """
    numbers = sizes.batch * sizes.timesteps * sizes.units
    shared = devices > 1 and sizes.batch % devices == 0
    return shared and numbers > _WORTH_SPLITTING and not wide(sizes.units, sizes.itemsize)
