"""The answer of a run in words: the fastest contestant, by how much, and why others are slow."""

from __future__ import annotations

from collections.abc import Iterator

from multilstm.bench.modes import MODES
from multilstm.bench.results import Benchmark, Row
from multilstm.bench.standing import Place, standing

__all__ = ["digits", "reasons", "sentence"]

OTHERS = 4  # contestants that the sentence names besides the fastest
SLOW = 1.5  # times the fastest, from which a reason is given


def sentence(result: Benchmark) -> str:
    """Return the answer in one sentence."""
    subject = "this model" if result.model else f"{len(result.workloads)} workloads"
    modes = [mode for mode in result.modes if standing(result, mode)]
    if not modes:
        return f"For {subject} on this machine: nothing was timed."
    parts = [_part(standing(result, mode), MODES[mode].words) for mode in modes]
    early = " The run was interrupted." if result.interrupted else ""
    return f"For {subject} on this machine: {'; '.join([*parts, *_agreement(result)])}.{early}"


def reasons(result: Benchmark) -> list[str]:
    """Return why contestants are slow, a line for each contestant and reason that are known."""
    lines: dict[str, None] = {}
    for mode in result.modes:
        slow = {place.engine for place in standing(result, mode) if place.ratio >= SLOW}
        for row in result.timed:
            if row.mode == mode and row.engine in slow:
                lines.update(dict.fromkeys(f"{row.engine}: {reason}" for reason in _of_row(result, row)))
    return list(lines)


def digits(value: float) -> str:
    """Return a number with two or three digits, such as `1.6`, `12` or `350`."""
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def _part(places: list[Place], words: str) -> str:
    first, *others = places
    text = f"{first.engine} in {words}"
    named = others if len(others) <= OTHERS else [*others[: OTHERS - 1], others[-1]]
    return ", ".join([text, *(f"{digits(place.ratio)}x {place.engine}" for place in named)])


def _agreement(result: Benchmark) -> Iterator[str]:
    """Yield the largest error of answers, and that of trained weights, which training amplifies."""
    for label, keeps in (("answers", ("outputs", "gradients")), ("trained weights", ("weights",))):
        errors = [row.error or 0.0 for row in result.timed if MODES[row.mode].keep in keeps]
        if errors:
            yield f"{label} agree to {max(errors):.0e}".replace("e-0", "e-")


def _of_row(result: Benchmark, row: Row) -> Iterator[str]:
    kernel = row.implementation or ""
    if "python loop" in kernel:
        yield "a Python loop over the timesteps; each timestep dispatches its operators one by one"
    if "not cuDNN (" in kernel:
        yield kernel[kernel.index("not cuDNN (") :].split("), ")[0].rstrip(")") + ")"
    elif result.device == "gpu" and "cuDNN" not in kernel and result.workloads[row.workload].masked:
        yield "no cuDNN, because a mask reaches its recurrent layers"
    if kernel.startswith("tf.while_loop") and "XLA" not in kernel:
        yield "a TensorFlow graph runs the operators of a timestep one by one; XLA (keras-tensorflow-xla) fuses them"
    if MODES[row.mode].whole:
        call = next((other for other in result.timed if other.place == _compiled(row)), None)
        count = result.workloads[row.workload].batches[row.mode]
        if call is not None and call.median_s and row.median_s and row.median_s > 2 * count * call.median_s:
            share = 1 - count * call.median_s / row.median_s
            yield f"{share:.0%} of {row.mode} is outside of the compiled call {call.mode}".replace("%", " %")


def _compiled(row: Row) -> tuple[str, str, str]:
    """Return the place of the compiled call that a mode makes for each batch."""
    return row.workload, "forward" if row.mode == "predict" else "train", row.engine
