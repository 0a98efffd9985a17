"""The service of a contestant: which of its calls are unmeasured."""

import dataclasses
import time

import pytest

from multilstm.bench.contestants.base import AbstractContestant, Run
from multilstm.bench.contestants.service import serve
from multilstm.bench.modes import FORWARD
from multilstm.bench.rounds import Method
from multilstm.bench.shapes import Shape
from multilstm.jobs.wire import job_to_tree

METHOD = dataclasses.asdict(Method(warmup_s=0.0, measured_s=0.0, calls=1, slow_s=0.05))


class Scripted(AbstractContestant):
    """A contestant whose calls take given seconds, then none.

    Attributes:
        calls: the number of calls so far.
    """

    calls = 0

    def __init__(self, *seconds):
        self._seconds = list(map(float, seconds))
        Scripted.calls = 0

    def prepare(self, job, mode):
        return Run(self._call, lambda _: {}, lambda: "none")

    def product(self, left, right):
        return None

    def versions(self):
        return {}

    def _call(self):
        Scripted.calls += 1
        time.sleep(self._seconds.pop(0) if self._seconds else 0.0)


CALLS = {
    "compiles_in_its_first_call": (("0.1",), [2, 2, 2]),
    "slow_in_every_call": (("0.1", "0.1", "0.1", "0.1", "0.1"), [2, 1, 1]),
    "slow_in_one_round": (("0", "0", "0.1"), [2, 1, 2]),
}


@pytest.mark.unit
@pytest.mark.parametrize(("seconds", "rounds"), CALLS.values(), ids=CALLS)
def test_a_measured_call_decides_whether_the_next_round_is_warmed_up(seconds, rounds):
    service = serve(f"{__name__}:Scripted", *seconds)
    job = Shape(2, 3, 3, 4).workload(1).job(FORWARD, "float32", "cpu", "plain")
    service({"call": "prepare", "mode": FORWARD.name, "job": job_to_tree(job)})
    assert Scripted.calls == 1
    counts = []
    for _ in rounds:
        before = Scripted.calls
        answer = service({"call": "time", "method": METHOD})
        assert len(answer["seconds"]) == 1
        counts.append(Scripted.calls - before)
    assert counts == rounds
