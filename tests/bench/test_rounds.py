"""The method of measuring, with fake contestants: random orders, pauses, unmeasured calls and second passes."""

import dataclasses
import itertools
import random

import pytest

from multilstm.bench.rounds import Method, interleave, median, sample, spread
from multilstm.bench.run import grid_plan

STEADY = [1.0, 1.0, 1.0, 1.0]
NOISY = [1.0, 2.0, 3.0, 4.0]


class Machine:
    """Fake contestants and a fake clock that record the order of events.

    `times` has the samples of each turn of a contestant; its last samples repeat. None is a failure.
    """

    def __init__(self, **times):
        self.turns = {name: list(turns) for name, turns in times.items()}
        self.events = []
        self.timers = {name: lambda name=name: self.turn(name) for name in times}

    def turn(self, name):
        self.events.append(name)
        turns = self.turns[name]
        return turns.pop(0) if len(turns) > 1 else turns[0]

    def sleep(self, seconds):
        self.events.append(seconds)

    def measure(self, method, base=None, seed=0, follow=lambda _: None):
        return interleave(self.timers, method, random.Random(seed), base, follow, self.sleep)


def orders(events, size):
    names = [event for event in events if isinstance(event, str)]
    return [tuple(names[start : start + size]) for start in range(0, len(names), size)]


def test_every_round_times_each_contestant_once():
    machine = Machine(a=[STEADY], b=[STEADY], c=[STEADY])
    machine.measure(Method(rounds=20))
    assert [sorted(order) for order in orders(machine.events, 3)] == [["a", "b", "c"]] * 20


def test_all_orders_occur():
    machine = Machine(a=[STEADY], b=[STEADY], c=[STEADY])
    machine.measure(Method(rounds=60))
    assert set(orders(machine.events, 3)) == set(itertools.permutations("abc"))


def test_the_seed_alone_decides_the_order():
    first, same, other = (Machine(a=[STEADY], b=[STEADY], c=[STEADY]) for _ in range(3))
    for machine, seed in ((first, 1), (same, 1), (other, 2)):
        machine.measure(Method(rounds=10), seed=seed)
    assert first.events == same.events
    assert first.events != other.events


def test_every_turn_is_after_a_pause():
    machine = Machine(a=[STEADY], b=[STEADY])
    machine.measure(Method(rounds=5, pause_s=0.25))
    assert machine.events[::2] == [0.25] * 10
    assert sorted(machine.events[1::2]) == ["a"] * 5 + ["b"] * 5


def test_a_contestant_that_slows_its_successor_changes_no_median():
    """The threads of `spins` slow the contestant after it, unless a pause precedes that contestant."""

    class Spinning(Machine):
        def turn(self, name):
            paused, before = self.events[-1], self.events[-2:-1]
            super().turn(name)
            return [2.0] * 4 if before == ["spins"] and paused < 0.2 else STEADY

    names = {"spins": [STEADY], "fast": [STEADY], "base": [STEADY]}
    with_pause = Spinning(**names).measure(Method(rounds=9, pause_s=0.25))
    assert {median(timing.last) for timing in with_pause.values()} == {1.0}
    without = Spinning(**names).measure(Method(rounds=9, pause_s=0.0, largest_spread=10.0))
    assert any(2.0 in seconds for timing in without.values() for seconds in timing.samples)


def test_steady_contestants_are_measured_once():
    timings = Machine(base=[STEADY], other=[STEADY]).measure(Method(rounds=3), "base")
    assert [timing.repeated for timing in timings.values()] == [[], []]
    assert timings["other"].last == timings["other"].samples == [STEADY] * 3


def test_a_noisy_contestant_is_measured_again_with_the_base():
    machine = Machine(base=[STEADY], quiet=[STEADY], loud=[NOISY, NOISY, STEADY])
    lines = []
    timings = machine.measure(Method(rounds=2), "base", follow=lines.append)
    assert timings["loud"].samples == [NOISY] * 2
    assert timings["loud"].last == timings["loud"].repeated == [STEADY] * 2
    assert timings["base"].repeated == [STEADY] * 2
    assert timings["quiet"].repeated == []
    assert lines == ["round 1 of 2", "round 2 of 2", "again, round 1 of 2", "again, round 2 of 2"]


def test_a_noisy_base_is_measured_again_with_all():
    timings = Machine(base=[NOISY], quiet=[STEADY]).measure(Method(rounds=2), "base")
    assert all(timing.repeated for timing in timings.values())
    assert spread(timings["base"].last) > 0.1  # once more only


@pytest.mark.parametrize("base", [STEADY, NOISY], ids=["steady_base", "noisy_base"])
def test_a_slow_contestant_is_not_measured_again(base):
    slow = [10 * seconds for seconds in NOISY]
    timings = Machine(base=[base], slow=[slow], loud=[NOISY]).measure(Method(rounds=2, slow_s=9.0), "base")
    assert {name for name, timing in timings.items() if timing.repeated} == {"base", "loud"}


def test_without_a_base_only_the_noisy_are_measured_again():
    timings = Machine(quiet=[STEADY], loud=[NOISY]).measure(Method(rounds=2))
    assert {name for name, timing in timings.items() if timing.repeated} == {"loud"}


@pytest.mark.parametrize("turns", [[None], [STEADY, None], [NOISY, NOISY, None]], ids=["first", "second", "again"])
def test_a_contestant_that_fails_has_no_timing_and_no_further_turn(turns):
    machine = Machine(base=[STEADY], failing=turns)
    timings = machine.measure(Method(rounds=2), "base")
    assert timings.keys() == {"base"}
    assert machine.events.count("failing") == len(turns)


def test_no_contestants_give_no_timings():
    assert Machine().measure(Method()) == {}


class Calls:
    """A call that takes a given time on a fake clock, longer until it is warm."""

    def __init__(self, monkeypatch, cold, warm, cold_calls):
        self.now, self.count = 0.0, 0
        self._cold, self._warm, self._cold_calls = cold, warm, cold_calls
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def __call__(self):
        self.now += self._cold if self.count < self._cold_calls else self._warm
        self.count += 1


def test_unmeasured_calls_come_first(monkeypatch):
    call = Calls(monkeypatch, cold=0.5, warm=0.125, cold_calls=2)
    method = Method(warmup_s=1.0, measured_s=100.0, calls=3)
    assert sample(call, method) == [0.125] * 3
    assert call.count == 2 + 3


def test_there_is_one_unmeasured_and_one_measured_call_at_least(monkeypatch):
    call = Calls(monkeypatch, cold=8.0, warm=4.0, cold_calls=1)
    assert sample(call, Method(warmup_s=0.0, measured_s=0.0)) == [4.0]
    assert call.count == 2


def test_measured_calls_end_with_their_seconds(monkeypatch):
    call = Calls(monkeypatch, cold=1.0, warm=0.125, cold_calls=1)
    assert sample(call, Method(warmup_s=0.0, measured_s=0.5, calls=50)) == [0.125] * 4


def test_the_median_is_of_the_samples_of_all_rounds():
    assert median([[1.0, 2.0], [3.0, 100.0, 4.0]]) == 3.0


@pytest.mark.parametrize(
    ("samples", "expected"),
    [([[2.0]], 0.0), ([[2.0, 2.0], [2.0]], 0.0), ([[1.0, 2.0], [3.0, 4.0, 5.0]], 2 / 3)],
    ids=["single", "equal", "spread"],
)
def test_the_spread_is_the_interquartile_range_over_the_median(samples, expected):
    assert spread(samples) == pytest.approx(expected)


def test_a_slow_contestant_may_have_fewer_rounds():
    machine = Machine(quick=[[1.0]], slow=[[9.5]])
    timings = machine.measure(Method(rounds=3, slow_s=9.0, slow_rounds=1))
    assert [len(timings[name].samples) for name in ("quick", "slow")] == [3, 1]


def test_the_announcement_counts_rows_and_engines():
    plan = grid_plan("quick", ("forward",), 0)
    plan = dataclasses.replace(plan, workloads=plan.workloads[:1], contestants=("jax-scan",))
    assert plan.announcement.startswith("1 row of 1 engine: about ")
