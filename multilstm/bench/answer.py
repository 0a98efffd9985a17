"""The answer of a run in words: the fastest contestant, by how much, and why others are slow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from multilstm.bench.modes import MODES
from multilstm.bench.results import Benchmark, Row
from multilstm.bench.standing import incomplete, is_clear, standing

__all__ = ["digits", "reasons", "remarks", "sentence"]

OTHERS = 4  # contestants that the sentence names besides the fastest
SLOW = 1.5  # times the fastest, from which a reason is given


def sentence(result: Benchmark) -> str:
    """Return the answer in one sentence."""
    subject = "this model" if result.model else f"{len(result.workloads)} workloads"
    modes = [mode for mode in result.modes if standing(result, mode)]
    if not modes:
        return f"For {subject} on this machine: nothing was timed."
    parts = [_part(result, mode) for mode in modes]
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


def _part(result: Benchmark, mode: str) -> str:
    """Return the fastest contestant of a mode, or those whose spreads leave the winner open, and its lead."""
    first, *others = standing(result, mode)
    behind = [place for place in others if is_clear(result, mode, first.engine, place.engine)]
    open_ = [place.engine for place in others if place not in behind]
    words = MODES[mode].words
    text = f"{first.engine} in {words}"
    if open_:
        text = f"no clear winner in {words} among {', '.join([first.engine, *open_[:-1]])} and {open_[-1]}"
    named = behind if len(behind) <= OTHERS else [*behind[: OTHERS - 1], behind[-1]]
    leads = [f"{_factor(place.ratio)} times as fast as {place.engine}" for place in named]
    if open_ and leads:
        return f"{text}; {first.engine} is {', '.join(leads)}"
    return ", ".join([text, *leads])


def _factor(ratio: float) -> str:
    """Return a ratio with enough digits to differ from 1, if it does by a hundredth."""
    return f"{ratio:.2f}" if ratio < 1.05 else digits(ratio)


def remarks(result: Benchmark) -> Iterator[str]:
    """Yield faster contestants that lack a workload, how well trained weights agree, and how many rows are noisy."""
    for mode in result.modes:
        for place, count in incomplete(result, mode):
            if place.ratio < 1:
                yield (
                    f"{place.engine} takes {place.ratio:.2f} of the time of {standing(result, mode)[0].engine} in "
                    f"{MODES[mode].words} on {count} of {len(result.workloads)} workloads; on the others it has no time"
                )
    error = _largest_error(result, ("weights",))
    if error is not None:
        yield (
            f"trained weights agree to {error}; where a gradient is as small as its rounding error, an adaptive "
            "optimizer makes a step of the learning rate's size with a random sign"
        )
    limit = result.method.get("largest_spread", 1.0)
    noisy = sum((row.spread or 0.0) > limit for row in result.timed)
    if noisy:
        yield f"{noisy} of {len(result.timed)} rows spread by more than {_percent(limit)}: the machine was busy"


def _agreement(result: Benchmark) -> Iterator[str]:
    """Yield how well the answers agree: outputs and gradients, or trained weights where there are no others."""
    answers, weights = (_largest_error(result, keeps) for keeps in (("outputs", "gradients"), ("weights",)))
    if answers is not None:
        yield f"answers agree to {answers}"
    elif weights is not None:
        yield f"trained weights agree to {weights}"


def _largest_error(result: Benchmark, keeps: Sequence[str]) -> str | None:
    """Return the largest error of the modes that keep such arrays, as text; None without such a row."""
    errors = [row.error or 0.0 for row in result.timed if MODES[row.mode].keep in keeps]
    return f"{max(errors):.0e}".replace("e-0", "e-") if errors else None


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _of_row(result: Benchmark, row: Row) -> Iterator[str]:
    kernel = row.implementation or ""
    if "python loop" in kernel:
        yield "a Python loop over the timesteps; each timestep dispatches its operators one by one"
    if "fused cell" in kernel and MODES[row.mode].trains:
        yield (
            "the gradient of each timestep fills a tensor of the whole sequence, so the time grows with the square of "
            "the timesteps; take the LSTM of multilstm.keras_layers"
        )
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
            yield f"{_percent(share)} of {row.mode} is outside of the compiled call {call.mode}"


def _compiled(row: Row) -> tuple[str, str, str]:
    """Return the place of the compiled call that a mode makes for each batch."""
    return row.workload, "forward" if row.mode == "predict" else "train", row.engine
