"""The layout of the loop over time, chosen by size at trace time; it changes no answer beyond rounding.

`PLANS`, `SIDES` and `WIDTHS` are the choices as tables. The first row that applies decides. The rows of the
user's options hold everywhere. The others were measured on CPUs and apply there; see docs/explanation/speed.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Layout(NamedTuple):
    """The way of the timesteps through the loop.

    Attributes:
        chunk: number of timesteps that go together; in the backward pass, their weight gradients are one product.
        unroll: number of a chunk's timesteps that are written out one after another; their inputs meet the kernel in
            one product. A loop runs over as many of these groups as the chunk has.
        left: whether a timestep's hidden states are columns, with the recurrent kernel on their left.
        hoisted: whether the inputs of a whole chunk meet the kernel in one product, before the loop.
        width: the units of the loop, with those that `filling.py` adds; 0: the LSTM's own.
    """

    chunk: int
    unroll: int = 1
    left: bool = False
    hoisted: bool = False
    width: int = 0

    def __str__(self) -> str:
        parts = [f"chunks of {self.chunk} steps"]
        parts += [f"{self.unroll} written out"] * (self.unroll > 1)
        parts += ["inputs projected first"] * self.hoisted + ["the recurrent kernel on the left"] * self.left
        parts += [f"{self.width} units, to fill vectors"] * (self.width > 0)
        return ", ".join(parts)


class Plan(NamedTuple):
    """The layout of one loop over time.

    Attributes:
        forward: of the loop without a gradient.
        gradient: of the forward and the backward loop with a gradient.
        recompute: whether the gradient computes the gates again from the state before each chunk, or stores them.
        left_backward: as `left` in `Layout`, of the derivatives and the kernel's transpose.
        measured: the winners of a tournament, in words; empty for a plan of the rules.
    """

    forward: Layout
    gradient: Layout
    recompute: bool
    left_backward: bool = False
    measured: str = ""

    def __str__(self) -> str:
        gates = "recomputed" if self.recompute else "stored"
        measured = f"; measured here: {self.measured}" if self.measured else ""
        return f"forward in {self.forward}; gradient in {self.gradient}, gates {gates}{measured}"

    def on_sides(self, left: bool, left_backward: bool) -> Plan:
        """Return the plan with the recurrent kernel on these sides."""
        forward, gradient = self.forward._replace(left=left), self.gradient._replace(left=left)
        return self._replace(forward=forward, gradient=gradient, left_backward=left_backward)

    def with_widths(self, forward: int, gradient: int) -> Plan:
        """Return the plan with these numbers of units in the loops."""
        return self._replace(
            forward=self.forward._replace(width=forward), gradient=self.gradient._replace(width=gradient)
        )


class Sizes(NamedTuple):
    """The sizes of a problem; the batch is that of one device if several share it.

    Attributes:
        batch: number of sequences.
        timesteps: number of timesteps.
        features: size of the inputs.
        units: size of the state.
        itemsize: bytes of one number.
    """

    batch: int
    timesteps: int
    features: int
    units: int
    itemsize: int

    @property
    def products(self) -> int:
        """The number of multiplications of two numbers in the forward pass."""
        return self.batch * self.timesteps * self.units * (self.features + self.units)

    @property
    def outputs(self) -> int:
        """The number of outputs of all timesteps."""
        return self.batch * self.timesteps * self.units

    @property
    def state_bytes(self) -> int:
        """The memory of the hidden states of all timesteps; a gate takes as much."""
        return self.outputs * self.itemsize

    @property
    def kernel_bytes(self) -> int:
        """The memory of the recurrent kernel."""
        return 4 * self.units * self.units * self.itemsize


class Request(NamedTuple):
    """All that a plan depends on.

    Attributes:
        sizes: of the problem.
        unroll: as in `lstm`.
        checkpoint: as in `lstm`.
        ragged: whether the loops are those of `ragged.py`.
        platform: as `platform` returns it.
    """

    sizes: Sizes
    unroll: bool
    checkpoint: bool | int
    ragged: bool
    platform: str


class Row(NamedTuple):
    """One row of a table of choices.

    Attributes:
        name: of the row.
        applies: the condition.
        choice: the plan, or the sides, for a request to which the row applies.
        measured: the reason, and where it was measured: (batch, timesteps, features, units), milliseconds before and
            after.
    """

    name: str
    applies: Callable[[Request], bool]
    choice: Callable[[Request], Any]
    measured: str


# glibc gives larger blocks of memory back after every call. Faulting them in anew costs more on a CPU than computing
# their contents. It keeps up to 32 MiB, and there are other temporaries.
_KEPT_BYTES = 16 << 20
_CACHED_BYTES = 8 << 20  # values that are stored and read again some timesteps later are still in a cache
_NARROW = 64  # features + units up to which recomputing the gates is faster than fetching them from memory
_ROWS = 320  # of a chunk: adding its weight gradients to their sum costs little in comparison with their product
_WIDE_BYTES = 2 << 20  # of a recurrent kernel that exceeds a core's cache
_FETCHED_BYTES = 4 << 20  # of a recurrent kernel that every timestep fetches from memory
_FEW_ROWS = range(8, 33)  # with fewer and with more, such a kernel is slower on the left, at least forward
_FEW_STEPS = 8
_WRITTEN_OUT = 4  # timesteps of the gradient with a wide kernel
_VECTOR = 8  # units that a CPU computes at once
_MANY_OUTPUTS = 8_000
_MANY_UNITS = 256
_COPIED_BYTES = 6 << 20  # of the outputs, above which copying them takes longer than full vectors save
_FORWARD = Layout(8, 8)
_RAGGED_FORWARD = Layout(2, 2)  # each number of rows compiles this code once
_WORTH_UNROLLING = 4e7  # products: below, compiling the written-out timesteps takes longer than they save
_WORTH_PROJECTING = 200  # features + units: below, projecting the inputs of 8 timesteps at once is slower
_WORTH_LEAVING_LOOPS = 5e5  # products: the same if no loop remains, which saves a tenth of the gradient too


def _whole(request: Request) -> Layout:
    return Layout(request.sizes.timesteps)


def _forward(request: Request) -> Layout:
    sizes = request.sizes
    written = sizes.products >= _WORTH_UNROLLING and sizes.features + sizes.units >= _WORTH_PROJECTING
    projected = 4 * sizes.batch * _FORWARD.unroll * sizes.units * sizes.itemsize  # bytes of the gates' sums
    return _FORWARD if written and projected <= _KEPT_BYTES else _whole(request)


def _rows_chunk(request: Request) -> int:
    """Return the timesteps of a chunk of about `_ROWS` rows; of at least 5 timesteps."""
    return max(5, -(-_ROWS // max(request.sizes.batch, 1)))


def _narrow(request: Request) -> bool:
    sizes = request.sizes
    return 5 * sizes.state_bytes > _CACHED_BYTES and sizes.features + sizes.units <= _NARROW


def _fits(request: Request) -> bool:
    return 9 * request.sizes.state_bytes <= _KEPT_BYTES


def _few_steps(request: Request) -> bool:
    sizes = request.sizes
    return (
        not request.ragged
        and sizes.timesteps <= _FEW_STEPS
        and _WORTH_LEAVING_LOOPS <= sizes.products < _WORTH_UNROLLING
    )


def _written_out(request: Request) -> Plan:
    layout = Layout(request.sizes.timesteps, request.sizes.timesteps)
    return Plan(layout, layout, False)


def _few(request: Request) -> Plan:
    plan = _written_out(request)
    return plan if request.sizes.units <= _NARROW else plan._replace(forward=_whole(request))


def _one_loop(request: Request) -> Plan:
    return Plan(_whole(request), _whole(request), False)


def _checkpointed(request: Request) -> Plan:
    timesteps, checkpoint = request.sizes.timesteps, request.checkpoint
    chunk = math.isqrt(max(timesteps - 1, 0)) + 1 if checkpoint is True else checkpoint
    return Plan(_RAGGED_FORWARD if request.ragged else _whole(request), Layout(min(chunk, timesteps)), True)


def _ragged(request: Request) -> Plan:
    timesteps = max(request.sizes.timesteps, 1)
    chunk = min(1 << (_rows_chunk(request) - 1).bit_length(), timesteps)
    return Plan(_RAGGED_FORWARD, Layout(chunk), _narrow(request) and chunk < timesteps)


def _wide(request: Request) -> Plan:
    timesteps = request.sizes.timesteps
    chunk = timesteps if _fits(request) else _rows_chunk(request)
    chunk = min(-(-chunk // _WRITTEN_OUT) * _WRITTEN_OUT, max(timesteps, 1))
    return Plan(_forward(request), Layout(chunk, _WRITTEN_OUT), False)


def _full(request: Request) -> int:
    return full_width(request.sizes.units, _VECTOR)


def _one_chunk(request: Request) -> Plan:
    return Plan(_forward(request), _whole(request), False)


def _chunked(request: Request) -> Plan:
    timesteps = request.sizes.timesteps
    chunk = min(_rows_chunk(request), timesteps)
    return Plan(_forward(request), Layout(chunk), _narrow(request) and chunk < timesteps)


PLANS = (
    Row(
        "unroll", lambda request: request.unroll and not request.ragged, _written_out,
        "the user's option; the loops of ragged sequences end when the sequences do, so that it leaves them",
    ),
    Row(
        "checkpoint", lambda request: bool(request.checkpoint), _checkpointed,
        "the user's option; (8,100000,32,64) takes 9.7 MiB in place of 204",
    ),
    Row(
        "unmeasured_device", lambda request: request.platform != "cpu" and not request.ragged, _one_loop,
        "not measured outside of CPUs: the plainest loop is the default there",
    ),
    Row(
        "few_timesteps", _few_steps, _few,
        "three layers of (64,8,16,32): forward 0.39 to 0.32, gradient 1.56 to 1.37; with more units forward is a loop: "
        "(37,7,108,82) 0.46 to 0.36",
    ),
    Row(
        "ragged", lambda request: request.ragged, _ragged,
        "(32,500 to 1000,123,320): forward 1.29 to 1.18 of the time of unpadded sequences",
    ),
    Row(
        "wide_kernel", lambda request: request.sizes.kernel_bytes > _WIDE_BYTES, _wide,
        "gradient at (1,500,128,512) 65 to 50, at (64,25,512,512) 215 to 170",
    ),
    Row(
        "gates_fit_in_kept_memory", _fits, _one_chunk,
        "gradient at (200,50,100,100) 45 to 32, with a limit of 16 MiB in place of 24",
    ),
    Row(
        "chunks", lambda request: True, _chunked,
        "gradient at (64,100,123,320) 228 to 187; with recomputed gates of narrow LSTMs, (1000,64,5,32) 50 to 32",
    ),
)  # fmt: skip

SIDES = (
    Row(
        "unmeasured_device", lambda request: request.platform != "cpu", lambda request: (False, False),
        "not measured outside of CPUs",
    ),
    Row(
        "few_rows_and_fetched_kernel",
        lambda request: request.sizes.batch in _FEW_ROWS and request.sizes.kernel_bytes > _FETCHED_BYTES,
        lambda request: (True, True),
        "(16,128,768,768): forward 124 to 90, gradient 351 to 270; slower for 2 to 4 rows and for 64",
    ),
    Row(
        "one_row", lambda request: request.sizes.batch == 1, lambda request: (False, True),
        "gradient at (1,1000,128,512) 209 to 185, at (1,200,256,1024) 237 to 186; forward slower",
    ),
    Row("right", lambda request: True, lambda request: (False, False), "no gain elsewhere"),
)  # fmt: skip

WIDTHS = (
    Row(
        "unmeasured_device", lambda request: request.platform != "cpu", lambda request: (0, 0),
        "not measured outside of CPUs",
    ),
    Row(
        "short_rest", lambda request: request.sizes.units % _VECTOR in (0, 2, 4), lambda request: (0, 0),
        "2 and 4 units are short vectors; forward at (5,50,20,100) 0.28 to 0.33, at (40,181,1,18) 2.1 to 2.8",
    ),
    Row(
        "few_rows", lambda request: request.sizes.batch < 3, lambda request: (0, 0),
        "the product counts; forward at (1,100,20,50) 0.085 to 0.117",
    ),
    Row(
        "few_outputs", lambda request: request.sizes.outputs < _MANY_OUTPUTS, lambda request: (0, 0),
        "padding the weights counts; forward at (13,6,5,49) 0.048 to 0.062",
    ),
    Row(
        "many_units", lambda request: request.sizes.units > _MANY_UNITS, lambda request: (0, 0),
        "the rest of a row is a small part of it; forward at (64,50,30,300), (32,60,40,300): the same",
    ),
    Row(
        "large_outputs", lambda request: request.sizes.state_bytes > _COPIED_BYTES, lambda request: (0, 0),
        "the outputs are copied; forward at (545,148,29,26) 36 to 44",
    ),
    Row(
        "half_added", lambda request: 2 * _full(request) > 3 * request.sizes.units, lambda request: (0, 0),
        "forward at (351,39,39,9) 2.8 to 2.1, but gradient 5.2 to 7.2",
    ),
    Row(
        "some_added", lambda request: 12 * _full(request) > 13 * request.sizes.units,
        lambda request: (_full(request), 0),
        "forward at (683,18,5,11) 2.5 to 0.9, (4,209,3,11) 0.29 to 0.20; but gradient 4.4 to 5.2 and 0.74 to 0.82",
    ),
    Row(
        "few_added", lambda request: True, lambda request: (_full(request), _full(request)),
        "(28,193,6,221): forward 26 to 20, gradient 87 to 75; gradient at (100,30,50,30) 3.3 to 2.5",
    ),
)  # fmt: skip


def full_width(units: int, vector: int) -> int:
    """Return the next number of units that fills vectors of this size."""
    return -(-units // vector) * vector


def choose(sizes: Sizes, unroll: bool, checkpoint: bool | int, ragged: bool) -> Plan:
    """Return the plan for these sizes and options.

    Args:
        sizes: of the problem.
        unroll: as in `lstm`.
        checkpoint: as in `lstm`.
        ragged: whether the loops are those of `ragged.py`, whose chunks are powers of two.
    """
    request = Request(sizes, unroll, checkpoint, ragged, platform())
    plan: Plan = row_for(PLANS, request).choice(request)
    plan = plan.with_widths(*row_for(WIDTHS, request).choice(request))
    return plan.on_sides(*row_for(SIDES, request).choice(request))


def row_for(table: tuple[Row, ...], request: Request) -> Row:
    """Return the first row of a table that applies."""
    return next(row for row in table if row.applies(request))


def platform() -> str:
    """Return the platform that computes the traced program, unless its arrays are elsewhere: `cpu`, `gpu`, ..."""
    device = jax.config.jax_default_device
    return str(getattr(device, "platform", device) or jax.default_backend())
