"""Kernels are recognised in compiled programs and dispatched operators.

The tests read texts of GPUs, real programs of this CPU, and Keras's JAX path for GPUs, in which JAX's reference LSTM
replaces cuDNN.
"""

import dataclasses
import inspect
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from multilstm import parity
from multilstm.engines.registry import ENGINES
from multilstm.frameworks import kernels, process_environment
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import GRU, LSTM, Bidirectional, Dense, Sequential
from multilstm.weights.initializers import discriminating_weights
from multilstm.workers import WorkerPool

pytestmark = pytest.mark.usefixtures("kept_workers")

HERE = pathlib.Path(__file__).parent
HLO = """
  %c = (f32[2,5,4]{2,1,0}, u8[64]{0}) custom-call(%x, %w), custom_call_target="cudnn_rnn_ffi", backend_config={}
"""
STABLEHLO = "%3:6 = stablehlo.custom_call @cudnn_rnn_ffi(%0, %1) {mhlo.backend_config = {}}"
LOOP_HLO = "  %while.1 = (s32[], f32[2,4]{1,0}) while(%tuple), condition=%cond, body=%body"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HLO, {"cuDNN"}),
        (STABLEHLO, {"cuDNN"}),
        (HLO.replace("rnn_ffi", "rnn_bwd_ffi"), {"cuDNN"}),
        (LOOP_HLO, {"loop"}),
        ("%1:3 = stablehlo.while(%iterArg = %0) : tensor<i32>", {"loop"}),
        (HLO + LOOP_HLO, {"cuDNN", "loop"}),
        ('custom_call_target="cublas$gemm" metadata={op_name="while_body"}', set()),
    ],
    ids=["hlo", "stablehlo", "gradient", "loop", "loop_stablehlo", "both", "neither"],
)
def test_kernels_in_a_program_of_xla(text, expected):
    assert kernels.of_hlo(text) == expected


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (["Placeholder", "CudnnRNNV3", "CudnnRNNBackpropV3"], {"cuDNN"}),
        (["While", "MatMul"], {"loop"}),
        (["StatelessWhile"], {"loop"}),
        (["MatMul", "Tanh"], set()),
    ],
)
def test_kernels_in_a_graph_of_tensorflow(operations, expected):
    assert kernels.of_graph(operations) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"cuDNN"}, "cuDNN"),
        ({"loop"}, "a loop"),
        ({"loop", "cuDNN"}, "a loop, cuDNN"),
        (set(), "neither cuDNN nor a loop"),
    ],
)
def test_the_kernels_in_words(found, expected):
    assert kernels.named(found, "a loop") == expected


TENSORFLOW = """
import tensorflow as tf
from multilstm.frameworks import tensorflow as tensorflow_platform

@tf.function
def lstm(x):
    state, weights = tf.zeros([1, 2, 4]), tf.zeros([160])
    return tf.raw_ops.CudnnRNN(input=x, input_h=state, input_c=state, params=weights, rnn_mode="lstm")[0]

called = tf.function(lambda x: tf.cond(x[0, 0, 0] > 0, lambda: lstm(x), lambda: x))
for function in (lstm, called):
    print(tensorflow_platform.implementation(function, tf.zeros([5, 2, 4]), xla=False))
"""


@pytest.mark.skipif(bool(ENGINES["keras-tensorflow"].missing), reason="keras or tensorflow is not installed")
def test_cudnn_in_a_graph_of_tensorflow_or_in_its_functions():
    root = os.pathsep.join(filter(None, (str(HERE.parents[1]), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", TENSORFLOW], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["cuDNN", "cuDNN"], done.stderr


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ({"aten::_cudnn_rnn", "aten::select"}, "cuDNN"),
        ({"aten::mkldnn_rnn_layer"}, "mkldnn"),
        ({"aten::_thnn_fused_lstm_cell", "aten::mm"}, "ATen, fused cell"),
        ({"aten::mm", "aten::tanh"}, "ATen"),
    ],
)
def test_the_kernel_by_the_operators_of_pytorch(operators, expected):
    assert kernels.of_aten(operators) == expected


def test_an_operator_of_pytorch_that_raises_did_not_compute():
    """Keras does this: it tries cuDNN, and silently computes with a loop where cuDNN fails."""
    torch = pytest.importorskip("torch")
    from multilstm.frameworks import torch as torch_platform

    def tried():
        with pytest.raises(NotImplementedError):
            torch._cudnn_rnn(
                torch.ones(5, 2, 3), [torch.ones(16, 3), torch.ones(16, 4)], 2, None, torch.ones(1, 2, 4),
                torch.ones(1, 2, 4), 2, 4, 0, 1, False, 0.0, True, False, [], None,
            )  # fmt: skip
        return torch.ones(2, 3) @ torch.ones(3, 4)

    _, operators = torch_platform.watch(tried)
    assert "aten::mm" in operators
    assert kernels.of_aten(operators) == "ATen"


@pytest.mark.parametrize(
    ("entered", "found", "expected"),
    [
        ({"fused"}, {"cuDNN"}, {"cuDNN"}),
        ({"fused"}, {"loop"}, {"Keras's fused path, without cuDNN"}),
        ({"loop"}, {"loop"}, {"scan"}),
        ({"loop"}, {"cuDNN"}, {"scan, of which the compiler left no loop"}),
        ({"fused", "loop"}, {"cuDNN", "loop"}, {"cuDNN", "scan"}),
        ({"unrolled"}, set(), {"unrolled"}),
        ({"loop", "not cuDNN (it failed)"}, {"loop"}, {"scan", "not cuDNN (it failed)"}),
    ],
)
def test_entered_paths_are_named_by_the_compiled_kernels(entered, found, expected):
    assert kernels.confirmed(entered, found, "scan") == expected


PERSISTENT = "void RNN_blockPersist_fp_LSTM<float, float, float, 128>(int)"
STANDARD = "_Z19LSTM_elementWise_fpIfffL18cudnnRNNBiasMode_t2EEviiii"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({PERSISTENT}, "cuDNN, cuDNN's persistent kernels"),
        ({STANDARD}, "cuDNN, cuDNN's standard kernels"),
        (
            {"void elemWiseRNNcell<float, float>(int)", "cutlass_80_simt_sgemm"},
            "cuDNN, cuDNN's standard kernels",
        ),
        ({PERSISTENT, "_Z20LSTM_elementWise_bp1IfffEviiPT_"}, "cuDNN, cuDNN's persistent and standard kernels"),
        ({"fusion_19", "loop_add_fusion", "void at::native::vectorized_elementwise_kernel<4>"}, "cuDNN"),
        (set(), "cuDNN"),
    ],
    ids=["persistent", "standard", "standard_9", "gradient_of_another", "not_cudnn", "not_traced"],
)
def test_the_algorithm_of_cudnn_by_the_kernels_that_were_launched(names, expected):
    assert kernels.with_algorithm("cuDNN", names) == expected


LAUNCHED = """
import sys
from multilstm.frameworks import PLATFORM as platform

if "PLATFORM" == "jax":
    import jax.numpy as jnp
    call, host, known = lambda: jnp.ones((30, 30)) @ jnp.ones((30, 30)), "/host:CPU", "dot"
elif "PLATFORM" == "torch":
    import torch
    call, host, known = lambda: torch.ones(3, 3) @ torch.ones(3, 3), torch.autograd.DeviceType.CPU, "aten::mm"
else:
    import tensorflow as tf
    call, host, known = lambda: tf.matmul(tf.ones((3, 3)), tf.ones((3, 3))), "/host:CPU", "MatMul"

value, names = platform.launched(call, host)
assert float(value[0][0]) == len(value), value
assert any(known in name for name in names), names
value, names = platform.launched(call)
assert float(value[0][0]) == len(value), value
print(sorted(names))
"""


@pytest.mark.parametrize(
    ("platform", "engine"), [("jax", "jax-scan"), ("torch", "torch-lstm"), ("tensorflow", "keras-tensorflow")]
)
def test_launched_kernels_are_recorded_by_device(platform, engine, tmp_path):
    """On a CPU the profiler sees operations of the CPU and none of a GPU; the value is returned in both cases."""
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    environment = process_environment.for_process("cpu", ENGINES[engine].environment, os.environ)
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHED.replace("PLATFORM", platform)], cwd=HERE.parents[1], timeout=120, check=False,
        capture_output=True, text=True, env={**environment, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr
    assert list(tmp_path.glob("multilstm-*")) == []


def test_without_a_profiler_the_value_is_returned():
    def cannot():
        raise RuntimeError("no permission to trace")

    assert kernels.traced(lambda: 3, cannot, cannot) == (3, False)


def test_a_profiler_is_stopped_after_an_error():
    seen = []
    with pytest.raises(ZeroDivisionError):
        kernels.traced(lambda: 1 // 0, lambda: seen.append("on"), lambda: seen.append("off"))
    assert seen == ["on", "off"]


def test_jax_calls_cudnn_by_the_expected_name():
    source = inspect.getsource(pytest.importorskip("jaxlib.gpu_rnn"))
    assert 'f"{platform}dnn_rnn_ffi"' in source
    assert 'partial(_rnn_fwd_lowering, _cuda_rnn, "cu")' in source


def job(layer, dtype="float32", layers="portable"):
    spec = Sequential([layer, Dense(2)], input_shape=(5, 3))
    random = np.random.default_rng(2)
    batch = Batch(
        {"input_layer": random.normal(size=(2, 5, 3))}, (random.normal(size=(2, *spec.output_shapes[0][1:])),)
    )
    steps = (Step("forward", batch), Step("gradient", batch))
    return Job(spec, discriminating_weights(spec), steps, dtype=dtype, layers=layers, loss="mean_squared_error")


@pytest.mark.parametrize(
    ("engine", "layer", "dtype", "expected"),
    [
        ("keras-tensorflow", LSTM(4), "float32", "tf.while_loop (Keras)"),
        ("keras-tensorflow", LSTM(4, unroll=True), "float32", "unrolled"),
        ("keras-jax", LSTM(4), "float32", "lax.scan (Keras)"),
        ("keras-jax", Bidirectional(LSTM(4)), "float32", "lax.scan (Keras)"),
        ("keras-jax", LSTM(4, unroll=True), "float32", "unrolled"),
        ("keras-torch", LSTM(4), "float32", "torch.lstm (mkldnn)"),
        ("keras-torch", LSTM(4), "float64", "torch.lstm (ATen)"),
        ("keras-torch", GRU(4), "float32", "torch.gru (ATen)"),
        ("keras-torch", LSTM(4, use_cudnn=False), "float32", "python loop (Keras)"),
        ("jax-scan", LSTM(4), "float32", "lax.scan, custom gradient"),
        ("jax-scan", LSTM(4, unroll=True), "float32", "steps written out, custom gradient"),
        ("torch-lstm", LSTM(4), "float64", "torch.nn.LSTM (ATen)"),
    ],
)
def test_the_kernel_on_a_cpu(pool, engine, layer, dtype, expected):
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    assert pool.execute(engine, job(layer, dtype)).implementation.kernel == expected


@pytest.fixture
def simulated(monkeypatch):
    """Register an engine of simulated.py under the name `simulated`, which has no rows in the ledger."""
    if ENGINES["keras-jax"].missing:
        pytest.skip("keras or jax is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))))

    def register(name):
        row = dataclasses.replace(ENGINES["keras-jax"], name="simulated", target=f"simulated:{name}")
        monkeypatch.setitem(ENGINES, "simulated", row)
        return "simulated"

    return register


def test_a_fused_path_without_cudnn_in_the_program_is_not_called_cudnn(simulated, pool):
    result = pool.execute(simulated("WithCuDNN"), job(LSTM(4)))
    assert str(result.implementation) == "Keras's fused path, without cuDNN"


def test_a_failure_of_cudnn_is_reported_with_the_loop_that_ran(simulated):
    with WorkerPool(threads=1) as pool:
        result = pool.execute(simulated("CuDNNRefuses"), job(LSTM(4)))
    assert str(result.implementation) == "lax.scan (Keras), not cuDNN (cuDNN LSTM failed: no kernel)"


BACKWARDS = LSTM(4, return_sequences=True, go_backwards=True)


@pytest.mark.parametrize(
    ("layer", "dtype"),
    [
        pytest.param(BACKWARDS, "float32", id="go_backwards"),
        pytest.param(Bidirectional(LSTM(4, return_sequences=True, dropout=0.5)), "float32", id="not_fused"),
        pytest.param(Bidirectional(LSTM(4, return_sequences=True)), "float32", id="fused"),
        pytest.param(LSTM(4), "float64", id="float64"),
        pytest.param(Bidirectional(LSTM(4, return_sequences=True)), "float64", id="fused_float64"),
        pytest.param(LSTM(4), "mixed_bfloat16", id="bfloat16"),
    ],
)
def test_portable_layers_agree_around_cudnn(simulated, layer, dtype):
    spec, inputs = job(layer).spec, job(layer).steps[0].batch.inputs["input_layer"]
    parity(spec, inputs, engines=[simulated("WithCuDNN")], dtypes=[dtype]).check()


@pytest.mark.parametrize("layer", [BACKWARDS, Bidirectional(LSTM(4, return_sequences=True, dropout=0.5))])
def test_plain_keras_reverses_once_too_often(simulated, layer):
    """Suspected from its source. If this fails one day, change parity/README.md and `multilstm.keras_layers`."""
    spec, inputs = job(layer).spec, job(layer).steps[0].batch.inputs["input_layer"]
    report = parity(spec, inputs, engines=[simulated("WithCuDNN")], dtypes=["float32"], layers="plain")
    assert {cell.kind for cell in report.failures} == {"output", *(["sequence"] if layer is BACKWARDS else [])}
