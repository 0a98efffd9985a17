"""Contestants whose answers agree are timed; a fault is reported and not timed."""

import dataclasses
import os
import pathlib

import pytest
from marks import needs

from multilstm.bench import contestants
from multilstm.bench.contestants import CONTESTANTS, ContestantRow
from multilstm.bench.measure import Measurement
from multilstm.bench.modes import FORWARD, GRADIENT, MODES, STREAM
from multilstm.bench.results import Benchmark
from multilstm.bench.rounds import Method
from multilstm.bench.shapes import Shape
from multilstm.bench.workload import model_workload
from multilstm.engines.registry import ENGINES
from multilstm.spec import GRU, LSTM, Bidirectional, Dense, Masking, Sequential

HERE = pathlib.Path(__file__).parent
ONCE = Method(rounds=1, pause_s=0.0, warmup_s=0.0, measured_s=0.01, largest_spread=float("inf"))
TWICE = dataclasses.replace(ONCE, rounds=2)
SHAPE = Shape(2, 3, 3, 4)
AWAY = "times the tolerance away"
FAULTS = {  # the reported failure
    "nudged": AWAY,
    "swapped_gates": AWAY,
    "nan": "has numbers that are not finite",
    "shortened": "has shape (1",
    "missing": "expected gradient:lstm/kernel, gradient:lstm/recurrent_kernel, gradient:lstm/bias",
    "raises": "ZeroDivisionError: on purpose",
    "crashes_when_timed": "its worker ended with exit code 7",
    "refuses_when_timed": "an array that does not fit",
}
BASE = "jax-scan"
needs_jax = needs(BASE)


def measured(workload, modes, names, method, follow=lambda _: None, device="cpu"):
    result = Benchmark("", "", "float32", device, {}, {})
    Measurement(result, method, BASE, follow, 120.0).run([workload], modes, names)
    return result


@pytest.fixture(scope="module")
def faulty():
    """The result of `jax-scan` and all faulty contestants, and the lines of progress."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))))
        for fault in FAULTS:
            row = ContestantRow(fault, "faulty:Faulty", (), ENGINES[BASE].environment, (fault,))
            patch.setitem(contestants.CONTESTANTS, fault, row)
        lines = []
        result = measured(SHAPE.workload(1), [GRADIENT], [BASE, *FAULTS], TWICE, lines.append)
    return result, lines


@needs_jax
def test_a_contestant_that_agrees_is_timed_in_every_round(faulty):
    row = next(row for row in faulty[0].rows if row.engine == BASE)
    assert row.failure is None
    assert 0 <= row.distance < 1
    assert 0 < row.error < 1e-5
    assert len(row.samples) == 2
    assert all(sample > 0 for round_ in row.samples for sample in round_)
    assert min(row.build_s, row.trace_s, row.compile_s, row.first_s) > 0
    assert row.implementation == "XLA's loop"
    assert row.peak_bytes is None or row.peak_bytes > 10**7
    assert row.program_bytes > 0


@needs_jax
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_reported_and_not_timed(faulty, fault):
    row = next(row for row in faulty[0].rows if row.engine == fault)
    assert FAULTS[fault] in row.failure
    assert row.samples == []
    assert row.median_s is None


@needs_jax
def test_versions_the_peak_and_progress(faulty):
    result, lines = faulty
    assert {"jax", "jaxlib"} <= result.contestants[BASE].versions.keys()
    assert result.contestants["nudged"].versions == {"faulty": "1"}
    assert result.product.engine == BASE
    assert result.product.flops_per_s > 1e8
    assert lines[1:3] == ["2x3x3x4 gradient: the reference computes", "2x3x3x4 gradient: jax-scan prepares"]
    assert [line for line in lines if "round" in line] == [
        f"2x3x3x4 gradient: round {number} of 2" for number in (1, 2)
    ]


@needs_jax
def test_a_noisy_contestant_is_measured_again():
    method = dataclasses.replace(TWICE, largest_spread=-1.0)
    (row,) = measured(SHAPE.workload(1), [FORWARD], [BASE], method).rows
    assert (len(row.samples), len(row.repeated)) == (2, 2)


ON_A_CPU = {
    "keras-jax": {"lax.scan (Keras)"},
    "keras-jax-portable": {"lax.scan (Keras)"},
    "keras-tensorflow-xla": {"tf.while_loop (Keras), compiled by XLA"},
    "keras-torch": {"python loop (Keras, fused cell)"},
    "torch-lstm": {"mkldnn", "ATen"},  # as PyTorch was built for this processor
    "onnxruntime": {"LSTM of CPUExecutionProvider"},
}
# The same classes as others, with another argument.
OTHERS = (
    "keras-torch-compile", "keras-torch-portable", "keras-tensorflow-portable", "keras-jax-tuned", "keras-tensorflow",
    "jax-scan-measured",
)  # fmt: skip
EACH = [
    pytest.param(
        name,
        id=name,
        marks=pytest.mark.skipif(bool(row.missing), reason=f"{', '.join(row.missing)} not installed"),
    )
    for name, row in CONTESTANTS.items()
    if name not in OTHERS
]


@pytest.mark.parametrize("name", EACH)
def test_every_mode_of_a_contestant_agrees_with_the_reference(name):
    """The gradient and an epoch cover what the other modes do, at less cost."""
    wanted = ("gradient", "fit") if name.startswith("keras") else ("forward", "gradient", "fit")
    modes = [MODES[mode] for mode in wanted if mode in CONTESTANTS[name].modes]
    rows = measured(Shape(2, 4, 3, 2, layers=2, bidirectional=True).workload(2), modes, [name], ONCE).rows
    assert [row.mode for row in rows] == [mode.name for mode in modes]
    assert [row.failure for row in rows] == [None] * len(rows)
    assert {row.implementation for row in rows} <= ON_A_CPU.get(name, {"XLA's loop"})


MASKED = Sequential(
    [Masking(), Bidirectional(LSTM(3, return_sequences=True)), GRU(4, stateful=True), Dense(2)],
    input_shape=(6, 3), batch_size=4,
)  # fmt: skip


@needs("onnx-file")
def test_onnx_runtime_computes_the_file_of_the_converter():
    workload = model_workload("masked", MASKED, None, batch=4, timesteps=6, batches=1)
    (row,) = measured(workload, [FORWARD], ["onnxruntime"], ONCE).rows
    assert row.failure is None
    assert row.samples
    assert row.implementation == "GRU of CPUExecutionProvider, LSTM of CPUExecutionProvider"


@needs("onnx-file")
def test_onnx_runtime_says_that_it_computes_in_float32():
    result = Benchmark("", "", "float64", "cpu", {}, {})
    Measurement(result, ONCE, BASE, timeout_s=120.0).run([SHAPE.workload(1)], [FORWARD], ["onnxruntime"])
    assert result.rows[0].failure == "its recurrent operators compute in float32 alone, given float64"


@pytest.mark.parametrize("name", [each for each in EACH if STREAM.name in CONTESTANTS[each.id].modes])
@pytest.mark.parametrize("layers", [1, 2], ids=["one_layer", "two_layers"])
def test_streaming_agrees_with_the_reference(name, layers):
    (row,) = measured(Shape(2, 4, 3, 5, layers=layers).workload(1), [STREAM], [name], ONCE).rows
    assert row.failure is None
    (row,) = measured(Shape(2, 4, 3, 5, bidirectional=True).workload(1), [STREAM], [name], ONCE).rows
    assert "streaming needs layers in one direction" in row.failure


@needs_jax
def test_a_contestant_without_a_gpu_is_not_timed_and_has_the_reason():
    (row,) = measured(SHAPE.workload(1), [FORWARD], [BASE], ONCE, device="gpu").rows
    if row.failure is None:
        pytest.skip("there is a GPU, and its answers agree")
    assert row.failure.startswith("no GPU: ")
    assert (row.samples, row.implementation) == ([], None)
