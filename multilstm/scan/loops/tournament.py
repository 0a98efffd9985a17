"""A plan that is measured: contestants for the loop of one class of sizes are timed once, the fastest is recorded.

`CONTESTANTS` is the table. A class has all sizes that round to the same powers of two. The forward pass and the
gradient have a winner each. The rules of `plan.py` win unless another contestant takes at most 0.95 of their time.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.scan.cell import LSTMParams, Names
from multilstm.scan.loops import records
from multilstm.scan.loops.plan import Layout, Plan, Sizes, choose, full_width, platform
from multilstm.scan.loops.problem import LoopOptions, Problem
from multilstm.scan.loops.recurrence import run_with_custom_gradient
from multilstm.scan.loops.shards import over_devices
from multilstm.scan.loops.split import Split
from multilstm.spec.arrays import State

RULES, SPLIT = "rules", "split"
_BETTER = 0.95  # of the time of the rules, below which another contestant wins
_HOPELESS = 1.5  # times the fastest first call, above which a contestant is not called again
_ROUNDS, _MOST_ROUNDS, _MEASURED_S = 3, 15, 0.5
_ROWS = 320  # of a chunk, as in `plan.py`
_DTYPES = {2: "bfloat16", 4: "float32", 8: "float64"}


class Contestant(NamedTuple):
    """One way through the loop.

    Attributes:
        name: as it is recorded.
        plan: returns the plan for sizes.
    """

    name: str
    plan: Callable[[Sizes], Plan]


def _rules(sizes: Sizes) -> Plan:
    return choose(sizes, unroll=False, checkpoint=False, ragged=False)


def _both(layout: Layout, recompute: bool = False, left_backward: bool = False) -> Plan:
    return Plan(layout, layout, recompute, left_backward)


def _full(sizes: Sizes, vector: int) -> Plan:
    width = full_width(sizes.units, vector)
    return _rules(sizes).with_widths(width, width)


def _chunk(sizes: Sizes) -> int:
    return min(max(4, -(-_ROWS // sizes.batch)), sizes.timesteps)


def _written_out(sizes: Sizes, left: bool = False) -> Plan:
    steps = sizes.timesteps
    return Plan(Layout(min(8, steps), min(8, steps), left), Layout(steps, min(4, steps), left), False, left)


CONTESTANTS = (
    Contestant(RULES, _rules),
    Contestant("loop", lambda sizes: _both(Layout(sizes.timesteps))),
    Contestant("projection_hoisted", lambda sizes: _both(Layout(sizes.timesteps, hoisted=True))),
    Contestant("chunks", lambda sizes: _both(Layout(_chunk(sizes)))),
    Contestant("chunks_hoisted", lambda sizes: _both(Layout(_chunk(sizes), hoisted=True))),
    Contestant("chunks_recomputed", lambda sizes: _both(Layout(_chunk(sizes)), recompute=True)),
    Contestant("written_out", _written_out),
    Contestant("left", lambda sizes: _both(Layout(sizes.timesteps, left=True), left_backward=True)),
    Contestant("left_backward", lambda sizes: _both(Layout(sizes.timesteps), left_backward=True)),
    Contestant("written_out_left", lambda sizes: _written_out(sizes, left=True)),
    Contestant("vectors_of_8", lambda sizes: _full(sizes, 8)),
    Contestant("vectors_of_16", lambda sizes: _full(sizes, 16)),
    Contestant("own_units", lambda sizes: _rules(sizes).with_widths(0, 0)),
)
_PLANS = {contestant.name: contestant.plan for contestant in CONTESTANTS}


def size_class(sizes: Sizes) -> str:
    """Return the class of sizes: each rounded to a power of two, and the bytes of a number."""
    rounded = (2 ** round(math.log2(size)) for size in sizes[:4])
    return "x".join(map(str, (*rounded, sizes.itemsize)))


def planned(sizes: Sizes, unroll: bool, checkpoint: bool | int, ragged: bool) -> Plan:
    """Return the plan for these sizes and options: the measured one if that is switched on, else that of the rules.

    Only loops on a CPU, without `unroll`, `checkpoint` and `lengths`, are measured.

    Args:
        sizes: of the problem.
        unroll: as in `lstm`.
        checkpoint: as in `lstm`.
        ragged: as in `choose`.
    """
    if not _is_measured(sizes) or unroll or checkpoint or ragged or platform() != "cpu":
        return choose(sizes, unroll, checkpoint, ragged)
    record = records.recorded(size_class(sizes), lambda: _plan_record(sizes), _PLANS)
    forward, gradient = (_PLANS[record[mode]](sizes) for mode in ("forward", "gradient"))
    source = f"forward {record['forward']}, gradient {record['gradient']}"
    return gradient._replace(forward=forward.forward, measured=source)


def measured_split(sizes: Sizes, split: Split) -> bool | None:
    """Return whether the devices compute the batch faster together; None if measuring is switched off.

    Args:
        sizes: of the whole batch.
        split: the devices.
    """
    if not _is_measured(sizes):
        return None
    key = f"{size_class(sizes)} on {split.mesh.size} devices"
    record = records.recorded(key, lambda: _split_record(sizes, split), (RULES, SPLIT))
    return bool(record["forward"] == record["gradient"] == SPLIT)


def _is_measured(sizes: Sizes) -> bool:
    """Return whether loops of these sizes are measured: not those of float8, and none under `jax.disable_jit`."""
    return records.is_measuring() and 0 not in sizes and sizes.itemsize in _DTYPES and not jax.config.jax_disable_jit


def _plan_record(sizes: Sizes) -> dict[str, Any]:
    plans = {contestant.name: contestant.plan(sizes) for contestant in CONTESTANTS}
    forwards = _distinct({name: plan.forward for name, plan in plans.items()})
    gradients = _distinct({name: plan._replace(forward=Layout(1)) for name, plan in plans.items()})
    return _record(
        {name: LoopOptions(_NAMES, plans[name]) for name in forwards},
        {name: LoopOptions(_NAMES, plans[name]) for name in gradients},
        sizes,
    )


def _split_record(sizes: Sizes, split: Split) -> dict[str, Any]:
    shared = sizes._replace(batch=-(-sizes.batch // split.mesh.size))
    options = {
        RULES: LoopOptions(_NAMES, planned(sizes, False, False, False)),
        SPLIT: LoopOptions(_NAMES, planned(shared, False, False, False), split=split),
    }
    return _record(options, options, sizes)


_NAMES = Names("tanh", "sigmoid")


def _distinct(values: Mapping[str, Any]) -> list[str]:
    """Return the first name of each value."""
    firsts: dict[Any, str] = {}
    for name, value in values.items():
        firsts.setdefault(value, name)
    return list(firsts.values())


def _record(forward: Mapping[str, LoopOptions], gradient: Mapping[str, LoopOptions], sizes: Sizes) -> dict[str, Any]:
    """Return the winners by mode, and the milliseconds of all contestants; computed at once, also while JAX traces."""
    with jax.ensure_compile_time_eval(), jax.transfer_guard("allow"):
        problem, cotangent = _problem(sizes)
        times = {
            "forward": _times({name: _program(_forward, options) for name, options in forward.items()}, (problem,)),
            "gradient": _times(
                {name: _program(_gradient, options) for name, options in gradient.items()}, (problem, cotangent)
            ),
        }
    return {**{mode: winner(of_mode) for mode, of_mode in times.items()}, "milliseconds": times}


def winner(times: Mapping[str, float]) -> str:
    """Return the fastest contestant, or the rules if it does not take at most 0.95 of their time."""
    best = min(times, key=lambda name: times[name])
    return best if times[best] <= _BETTER * times[RULES] else RULES


def _problem(sizes: Sizes) -> tuple[Problem, jax.Array]:
    batch, timesteps, features, units, itemsize = sizes
    rng, dtype = np.random.default_rng(0), _DTYPES[itemsize]

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.uniform(-1, 1, shape) / math.sqrt(shape[0]), dtype)

    params = LSTMParams(draw(features, 4 * units), draw(units, 4 * units), draw(4 * units))
    zeros = jnp.zeros((batch, units), dtype)
    return Problem(params, draw(batch, timesteps, features), State(zeros, zeros)), draw(batch, timesteps, units)


def _forward(options: LoopOptions, problem: Problem) -> Any:
    return over_devices(options, run_with_custom_gradient, problem)


def _gradient(options: LoopOptions, problem: Problem, cotangent: jax.Array) -> Any:
    def loss(params: LSTMParams) -> jax.Array:
        return (_forward(options, problem._replace(params=params))[0] * cotangent).sum()

    return jax.grad(loss)(problem.params)


def _program(function: Callable[..., Any], options: LoopOptions) -> Any:
    def program(*arguments: Any) -> Any:
        return function(options, *arguments)

    return jax.jit(program)


def _times(programs: Mapping[str, Any], arguments: tuple[Any, ...]) -> dict[str, float]:
    """Return the median milliseconds of each program, called in rounds of random order; the hopeless are left out."""
    calls = {name: _call(program, arguments) for name, program in programs.items()}
    for call in calls.values():
        call()
    first = {name: _seconds(call) for name, call in calls.items()}
    limit = _HOPELESS * min(first.values())
    racing = [name for name in calls if first[name] <= limit or name == RULES]
    samples: dict[str, list[float]] = {name: [] for name in racing}
    begin, order = time.perf_counter(), random.Random(0)
    while len(samples[RULES]) < _ROUNDS or (
        time.perf_counter() - begin < _MEASURED_S and len(samples[RULES]) < _MOST_ROUNDS
    ):
        for name in order.sample(racing, len(racing)):
            samples[name].append(_best(calls[name]))
    return {name: round(1e3 * statistics.median(seconds), 4) for name, seconds in samples.items()}


def _call(program: Any, arguments: tuple[Any, ...]) -> Callable[[], Any]:
    """Return the call of a compiled program, with its arguments on the devices where it reads them."""
    compiled = program.lower(*arguments).compile()
    placed = jax.device_put(arguments, compiled.input_shardings[0])
    return lambda: jax.block_until_ready(compiled(*placed))


def _best(call: Callable[[], Any]) -> float:
    """Return the shorter of two calls: the first one warms the caches after another program."""
    return min(_seconds(call), _seconds(call))


def _seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
