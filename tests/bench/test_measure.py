"""Contestants whose answers agree are timed, and a ratio divides two medians of one pass."""

import dataclasses
import functools
import os
import pathlib

import pytest
from marks import needs

from multilstm.bench import contestants
from multilstm.bench.contestants import CONTESTANTS, ContestantRow, contestant_row
from multilstm.bench.contestants.base import FORWARD, GRADIENT, QUANTITIES
from multilstm.bench.measure import JUDGE, Row, geometric_mean, measure, ratio
from multilstm.bench.rounds import Method
from multilstm.bench.shapes import Shape
from multilstm.engines.registry import ENGINES

HERE = pathlib.Path(__file__).parent
QUICK = Method(rounds=2, pause_s=0.0, warmup_s=0.0, measured_s=0.01, largest_spread=float("inf"))
ONCE = dataclasses.replace(QUICK, rounds=1)
SHAPES = (Shape(2, 3, 3, 4), Shape(3, 12, 2, 2, shortest=5))
AWAY = "times the tolerance away"
FAULTS = {  # the reported failure, by quantity
    "nudged,swapped_gates": {FORWARD: AWAY, GRADIENT: AWAY},
    "nan,missing_weight": {
        FORWARD: f"its answer is inf {AWAY}",
        GRADIENT: "it answers 0/forward/recurrent_kernel, 0/forward/bias, expected 0/forward/kernel, 0/forward/rec",
    },
    "shortened,none": {FORWARD: f"its answer is inf {AWAY}"},
    "raises,none": dict.fromkeys(QUANTITIES, "ZeroDivisionError: on purpose"),
    "none,crashes_when_timed": dict.fromkeys(QUANTITIES, "its worker ended with exit code 7"),  # both with its process
}
needs_jax = needs("jax-scan")


@pytest.fixture(scope="module")
def measured():
    """Rows of `jax-scan` and all faulty contestants, by shape, contestant and quantity; versions; progress lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))))
        environment = ENGINES["jax-scan"].environment
        for fault in FAULTS:
            row = ContestantRow(fault, "faulty:Faulty", (), environment, tuple(fault.split(",")))
            patch.setitem(contestants.CONTESTANTS, fault, row)
        lines = []
        rows, versions = measure(SHAPES, [JUDGE, *FAULTS], QUICK, lines.append, timeout_s=120)
    return {(row.shape, row.contestant, row.quantity): row for row in rows}, versions, lines


@needs_jax
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_contestant_that_agrees_is_timed_in_every_round(measured, shape, quantity):
    row = measured[0][shape.name, JUDGE, quantity]
    assert row.failure is None
    assert 0 <= row.distance < 1
    assert len(row.samples) == 2
    assert all(0 < sample < row.first_s for round_ in row.samples for sample in round_)
    assert row.implementation == "XLA's loop"


@needs_jax
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_reported_and_not_timed(measured, fault):
    for quantity in QUANTITIES:
        row = measured[0][SHAPES[0].name, fault, quantity]
        if quantity in FAULTS[fault]:
            assert FAULTS[fault][quantity] in row.failure
            assert row.samples == []
            assert row.median_s is None
            assert row.implementation == (None if fault == "raises,none" else "XLA's loop")
        else:
            assert row.failure is None
            assert len(row.samples) == 2


@needs_jax
def test_a_fault_in_one_shape_leaves_the_next_one_alone(measured):
    assert measured[0][SHAPES[1].name, "raises,none", FORWARD].samples


@needs_jax
def test_versions_and_progress_lines(measured):
    _, versions, lines = measured
    assert {"jax", "jaxlib"} <= versions[JUDGE].keys()
    assert versions["nudged,swapped_gates"] == {"faulty": "1"}
    assert lines[:2] == ["2x3x3x4: jax-scan prepares", "2x3x3x4: nudged,swapped_gates prepares"]
    rounds = [f"2x3x3x4 {quantity}: round {number} of 2" for quantity in QUANTITIES for number in (1, 2)]
    assert lines[len(FAULTS) + 1 :][:4] == rounds


@needs_jax
def test_many_calls_lose_nothing_that_was_prepared(monkeypatch):
    monkeypatch.setattr("multilstm.workers.worker.JOBS_PER_PROCESS", 3)
    rows, _ = measure(SHAPES[:1], [JUDGE], dataclasses.replace(QUICK, rounds=3))
    assert [len(row.samples) for row in rows] == [3, 3]


ROWS = [
    Row("a", "jax-scan", FORWARD, [[1.0, 2.0], [3.0, 100.0, 4.0]]),
    Row("a", "other", FORWARD, [[6.0, 6.0], [2.0, 2.0, 2.0]]),
    Row("a", "absent", FORWARD, failure="it is not there"),
    Row("b", "other", FORWARD, [[1.0]]),
]


def test_a_ratio_is_that_of_the_medians_of_all_samples():
    assert ratio(ROWS, "a", FORWARD, "other") == 2.0 / 3.0
    assert ratio(ROWS, "a", FORWARD, "jax-scan", base="other") == 1.5


def test_a_ratio_divides_medians_of_one_pass():
    base, once, twice = (
        Row("a", "jax-scan", FORWARD, [[1.0]], repeated=[[2.0]]),
        Row("a", "once", FORWARD, [[3.0]]),
        Row("a", "twice", FORWARD, [[5.0]], repeated=[[8.0]]),
    )
    rows = [base, once, twice]
    assert ratio(rows, "a", FORWARD, "once") == 3.0
    assert ratio(rows, "a", FORWARD, "twice") == 4.0


@needs_jax
def test_a_noisy_contestant_is_measured_again():
    rows, _ = measure(SHAPES[:1], [JUDGE], dataclasses.replace(QUICK, largest_spread=-1.0))
    assert [len(row.samples) for row in rows] == [2, 2]
    assert [len(row.repeated) for row in rows] == [2, 2]


@pytest.mark.parametrize(
    ("shape", "quantity", "contestant"),
    [("a", FORWARD, "absent"), ("a", FORWARD, "no_such_contestant"), ("a", GRADIENT, "other"), ("b", FORWARD, "other")],
    ids=["failed", "unknown", "other_quantity", "base_missing"],
)
def test_no_ratio_without_both(shape, quantity, contestant):
    assert ratio(ROWS, shape, quantity, contestant) is None


def test_geometric_mean():
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([]) != geometric_mean([])  # NaN


ON_A_CPU = {
    "keras-tensorflow": {"tf.while_loop"},
    "keras-torch": {"ATen"},
    "torch-lstm": {"mkldnn", "ATen"},  # as PyTorch was built for this processor
    "onnxruntime": {"LSTM of CPUExecutionProvider"},
}


@pytest.fixture(scope="module")
def rows_of():
    """Return a function that returns a contestant's rows on a device; all contestants are measured in one run."""

    @functools.cache
    def measured_on(device, names):
        installed = [name for name in names if not contestant_row(name).missing]
        return measure(SHAPES[1:], installed, ONCE, timeout_s=120, device=device)[0]

    def rows_of(name, device, names):
        missing = contestant_row(name).missing
        if missing:
            pytest.skip(f"{', '.join(missing)} is not installed")
        return [row for row in measured_on(device, names) if row.contestant == name]

    return rows_of


@pytest.mark.parametrize("name", CONTESTANTS)
def test_the_kernel_of_a_contestant_on_a_cpu(rows_of, name):
    rows = rows_of(name, "cpu", tuple(CONTESTANTS))
    assert rows
    assert [row.failure for row in rows] == [None] * len(rows)
    assert {row.quantity for row in rows} == ({FORWARD} if name == "onnxruntime" else set(QUANTITIES))
    assert {row.implementation for row in rows} <= ON_A_CPU.get(name, {"XLA's loop"})


@needs_jax
def test_a_fused_path_that_is_entered_is_not_taken_for_cudnn(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))))
    row = CONTESTANTS["keras-jax"]._replace(target="faulty:WithoutCuDNN")
    monkeypatch.setitem(contestants.CONTESTANTS, "keras-jax", row)
    rows, versions = measure(SHAPES[:1], ["keras-jax"], ONCE, timeout_s=120)
    assert versions["keras-jax"]["fused"] == "entered"
    assert {row.implementation for row in rows} == {"XLA's loop"}


ONE_OF_EACH_CLASS = tuple({row.target: name for name, row in reversed(CONTESTANTS.items())}.values())


@pytest.mark.parametrize("name", ONE_OF_EACH_CLASS)
def test_a_contestant_without_a_gpu_is_not_timed_and_has_the_reason(rows_of, name):
    rows = rows_of(name, "gpu", ONE_OF_EACH_CLASS)
    failures = {row.failure for row in rows}
    if failures == {None}:
        pytest.skip("there is a GPU, and its answers agree")
    (failure,) = failures
    assert failure.startswith("no GPU: ") or failure == "it computes on CPUs alone"
    assert all(not row.samples and row.implementation is None for row in rows)
