"""The method of measuring: interleaved rounds in random order, and the statistics of their samples.

A time depends on the calls before it. The OpenMP threads of PyTorch, for example, spin for a while after a call and
slow down the next contestant. A fixed order of contestants gave ratios that were wrong by 30 to 60 %. Therefore:

1. Every round times each contestant once. Each round has a new random order, drawn from a seed.
2. Before each contestant all processes pause. Unmeasured calls then warm up its caches.
3. A ratio divides two medians of the same pass: both contestants were interleaved.
4. The spread is the interquartile range divided by the median. A contestant whose spread exceeds 10 % is measured
   again once, in a second pass together with the base of the ratios. If the base itself exceeds 10 %, the second
   pass has all contestants. The results say which contestants were measured again.
5. A contestant whose measured calls take more than five seconds has no unmeasured calls from its second round on. It is
   not measured again either. Its caches do not matter, and it would otherwise take most of a run. The first call of a
   process is no measure: Keras compiles in it. A grid may give slow contestants fewer rounds too.
"""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Samples = list[list[float]]  # the seconds of each measured call, a list for each round


@dataclasses.dataclass(frozen=True)
class Method:
    """The numbers of the method.

    Attributes:
        rounds: number of rounds of a pass.
        pause_s: seconds without any computation before each contestant. Intel's OpenMP threads, which spin for 200 ms
            by default (`KMP_BLOCKTIME`), sleep by then.
        warmup_s: seconds of unmeasured calls before the measured ones; there is at least one such call.
        measured_s: seconds of measured calls of a contestant in a round; there is at least one such call.
        calls: largest number of measured calls of a contestant in a round.
        seed: seed of the random orders.
        largest_spread: spread above which a contestant is measured again.
        slow_s: seconds of a measured call above which a contestant is slow: it is neither warmed up nor measured again.
        slow_rounds: the largest number of rounds of a slow contestant.
    """

    rounds: int = 5
    pause_s: float = 0.25
    warmup_s: float = 0.05
    measured_s: float = 0.4
    calls: int = 50
    seed: int = 0
    largest_spread: float = 0.1
    slow_s: float = 5.0
    slow_rounds: int = 1000

    def order(self) -> random.Random:
        """Return the source of the random orders of one run."""
        return random.Random(self.seed)


class Timing(NamedTuple):
    """Samples of one contestant.

    Attributes:
        samples: of the first pass.
        repeated: of the second pass; empty without one.
    """

    samples: Samples
    repeated: Samples

    @property
    def last(self) -> Samples:
        """The samples of the last pass."""
        return self.repeated or self.samples


# Warms up, and returns the seconds of each measured call; None for a contestant that failed.
Timer = Callable[[], list[float] | None]


def interleave(
    timers: Mapping[str, Timer],
    method: Method,
    order: random.Random,
    base: str | None = None,
    follow: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Timing]:
    """Time contestants in interleaved rounds, and time noisy contestants once more.

    Args:
        timers: by contestant.
        method: the numbers of the method.
        order: source of the random orders.
        base: the contestant by which the others are divided, if there is one.
        follow: receives a line before each round.
        sleep: waits for so many seconds.

    Returns:
        The samples of each contestant, without those that failed.
    """
    first = _one_pass(timers, method, order, "round", follow, sleep)
    brief = {name for name, samples in first.items() if median(samples) <= method.slow_s}
    noisy = {name for name in brief if spread(first[name]) > method.largest_spread}
    if base in noisy:
        noisy = brief
    elif noisy and base in brief:
        noisy.add(base)
    again = {name: timer for name, timer in timers.items() if name in noisy}
    second = _one_pass(again, method, order, "again, round", follow, sleep)
    return {
        name: Timing(samples, second.get(name, []))
        for name, samples in first.items()
        if name not in noisy or name in second
    }


def _one_pass(
    timers: Mapping[str, Timer],
    method: Method,
    order: random.Random,
    label: str,
    follow: Callable[[str], None],
    sleep: Callable[[float], None],
) -> dict[str, Samples]:
    samples: dict[str, Samples] = {name: [] for name in timers}
    for number in range(method.rounds if timers else 0):
        follow(f"{label} {number + 1} of {method.rounds}")
        due = [
            name for name, taken in samples.items() if len(taken) < method.slow_rounds or median(taken) <= method.slow_s
        ]
        for name in order.sample(sorted(due), len(due)):
            sleep(method.pause_s)
            seconds = timers[name]()
            if seconds is None:
                del samples[name]
            else:
                samples[name].append(seconds)
    return samples


def sample(call: Callable[[], Any], method: Method) -> list[float]:
    """Make unmeasured calls, and return the seconds of each measured call after them."""
    warm_up(call, method)
    return measured(call, method)


def warm_up(call: Callable[[], Any], method: Method) -> None:
    """Make the unmeasured calls."""
    begin = time.perf_counter()
    call()
    while time.perf_counter() - begin < method.warmup_s:
        call()


def measured(call: Callable[[], Any], method: Method) -> list[float]:
    """Return the seconds of each measured call."""
    seconds: list[float] = []
    while not seconds or (sum(seconds) < method.measured_s and len(seconds) < method.calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def quartiles(samples: Samples) -> tuple[float, float]:
    """Return the lower and the upper quartile of the samples of all rounds, in seconds."""
    seconds = _flat(samples)
    if len(seconds) < 2:
        return seconds[0], seconds[0]
    lower, _, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    return lower, upper


def minimum(samples: Samples) -> float:
    """Return the smallest sample of all rounds, in seconds."""
    return min(_flat(samples))


def median(samples: Samples) -> float:
    """Return the median of the samples of all rounds, in seconds."""
    return statistics.median(_flat(samples))


def spread(samples: Samples) -> float:
    """Return the interquartile range of the samples of all rounds, divided by their median; 0 for a single sample."""
    lower, upper = quartiles(samples)
    return (upper - lower) / median(samples)


def _flat(samples: Sequence[Sequence[float]]) -> list[float]:
    return [seconds for round_ in samples for seconds in round_]
