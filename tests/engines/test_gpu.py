"""Every engine and command reports a missing GPU in one line; no job silently falls back to the CPU."""

import dataclasses
import importlib.util

import numpy as np
import pytest
from pretended_gpu import with_gpu

from multilstm import LSTM, Sequential, parity, run
from multilstm.cli.app import main
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.registry import ENGINES
from multilstm.errors import EngineUnavailableError, WorkerError
from multilstm.execution import availability
from multilstm.frameworks.process_environment import for_process
from multilstm.jobs.job import Batch, Job, Step
from multilstm.weights.initializers import discriminating_weights
from multilstm.workers import WorkerPool
from multilstm.workers.child import out_of_memory

SPEC = Sequential([LSTM(2)], input_shape=(3, 1))
INPUTS = np.ones((2, 3, 1), "f4")
DEFAULT = {name for name, row in ENGINES.items() if row.is_default(None)} - {"reference"}


def job(device):
    step = Step("forward", Batch({"input_layer": INPUTS}), keep=("outputs",))
    return Job(SPEC, discriminating_weights(SPEC), (step,), device=device)


@pytest.fixture
def unavailable(monkeypatch):
    """Workers among which only jax-scan finds a GPU."""

    class Pool(WorkerPool):
        def facts(self, engine, device="cpu"):
            if engine != "jax-scan":
                raise EngineUnavailableError(f"no GPU: none for {engine}")
            return {"versions": {"jax": "1.0"}, "devices": ["gpu:0 a GPU", "cpu"], "switches": {"TF32": "off"}}

    monkeypatch.setattr(availability, "WorkerPool", Pool)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_without_a_gpu_gives_the_reason_in_one_line(pool, engine):
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    try:
        devices = pool.facts(engine, "gpu")["devices"]
    except EngineUnavailableError as error:
        said = str(error)
    else:
        assert devices[0].startswith("gpu:0")
        pytest.skip(f"there is a GPU: {devices[0]}")
    assert said.startswith("no GPU: ")
    assert "\n" not in said
    assert any(words in said for words in ("without CUDA; install", "nvidia-smi", "on the CPU alone"))
    with pytest.raises(EngineUnavailableError) as caught:
        pool.execute(engine, job("gpu"))
    assert str(caught.value) == said
    assert pool.execute(engine, job("cpu")).answers[0].outputs[0].shape == (2, 2)


def test_results_of_another_device_are_refused():
    class Pretends(ReferenceEngine):
        platform = with_gpu()

    with pytest.raises(WorkerError, match="asked to compute on the gpu, and the results lie on the cpu; see"):
        Executor(Pretends()).execute(job("gpu"))
    assert len(Executor(Pretends()).execute(job("cpu")).answers) == 1


@pytest.mark.parametrize("places", [{"gpu", "cpu"}, set()], ids=["partly", "nowhere"])
def test_results_that_lie_only_partly_on_the_gpu_are_refused(places, monkeypatch):
    class Pretends(ReferenceEngine):
        platform = with_gpu()

        def prepare(self, job):
            program = super().prepare(job)
            step = program.step

            def elsewhere(*arguments):
                answer = step(*arguments)
                program.places = places
                return answer

            program.step = elsewhere
            return program

    with pytest.raises(WorkerError, match=r"the results lie on the (cpu and gpu|nowhere)"):
        Executor(Pretends()).execute(job("gpu"))


def test_the_first_step_on_a_gpu_shows_the_algorithm_of_cudnn():
    calls = []

    class Pretends(ReferenceEngine):
        platform = with_gpu(launched=lambda function: (function(), {"RNN_blockPersist_fp_LSTM"}))

        def prepare(self, job):
            program = super().prepare(job)
            step = program.step

            def there(*arguments):
                calls.append(arguments)
                answer = step(*arguments)
                program.places = {job.device}
                return answer

            program.step = there
            return program

    (step,) = job("gpu").steps
    twice = dataclasses.replace(job("gpu"), steps=(step, step))
    result = Executor(Pretends()).execute(twice)
    assert (len(result.answers), len(calls)) == (2, 2)
    assert str(result.implementation) == "numpy float64, cuDNN's persistent kernels"
    on_cpu = Executor(Pretends()).execute(dataclasses.replace(twice, device="cpu"))
    assert str(on_cpu.implementation) == "numpy float64"
    for one, other in zip(result.answers, on_cpu.answers, strict=True):
        np.testing.assert_array_equal(one.outputs[0], other.outputs[0])


def test_a_gpu_is_used_deterministically_and_a_cpu_as_it_is():
    asked = []

    class Counts(ReferenceEngine):
        platform = with_gpu(make_deterministic=lambda: asked.append(None))

    Counts().use("cpu")
    assert asked == []
    Counts().use("gpu")
    assert len(asked) == 1


def test_engines_without_a_gpu_are_left_out_with_the_reason(unavailable):
    names, skipped, facts, _ = availability.available(None, "gpu")
    assert names == ("jax-scan",)
    assert set(skipped) == DEFAULT - {"jax-scan"}
    assert skipped["keras-torch"] == "no GPU: none for keras-torch"
    assert facts["jax-scan"]["switches"] == {"TF32": "off"}
    assert set(availability.available(None, "cpu")[0]) == DEFAULT


def test_an_engine_that_crashes_as_it_looks_for_a_gpu_is_not_skipped(monkeypatch):
    class Pool(WorkerPool):
        def facts(self, engine, device="cpu"):
            if engine == "jax-scan":
                raise WorkerError("engine 'jax-scan': its worker was ended by SIGSEGV", kind="crash")
            raise EngineUnavailableError(f"no GPU: none for {engine}")

    monkeypatch.setattr(availability, "WorkerPool", Pool)
    names, skipped, facts, _ = availability.available(None, "gpu")
    assert (names, facts) == (("jax-scan",), {})
    assert "jax-scan" not in skipped
    with pytest.raises(WorkerError, match="SIGSEGV"):
        availability.available(["jax-scan"], "gpu")


def test_an_engine_that_is_named_and_finds_no_gpu_is_an_error(unavailable):
    with pytest.raises(EngineUnavailableError, match="none for keras-jax"):
        availability.available(["keras-jax"], "gpu")


def test_the_reference_judges_on_the_cpu(unavailable):
    assert availability.available(["reference"], "gpu") == (("reference",), {}, {}, True)
    report = parity(SPEC, INPUTS, engines=["reference"], device="gpu", dtypes=["float64"])
    report.check()
    with pytest.raises(EngineUnavailableError, match="the reference computes in NumPy, on the CPU alone"):
        run(SPEC, "reference", INPUTS, device="gpu")


def test_a_run_that_compares_nothing_does_not_overwrite_a_recorded_run(monkeypatch, tmp_path):
    class Pool(WorkerPool):
        def facts(self, engine, device="cpu"):
            raise EngineUnavailableError("no GPU: none here")

    monkeypatch.setattr(availability, "WorkerPool", Pool)
    recorded = tmp_path / "gpu.json"
    recorded.write_text("recorded")
    with pytest.raises(SystemExit) as caught:
        main(["parity", "--device", "gpu", "--case", "gpu-states", "--json", str(recorded)])
    assert caught.value.code == 3
    assert recorded.read_text() == "recorded"


def test_the_command_ends_with_3_and_one_line(monkeypatch, capsys):
    class Pool(WorkerPool):
        def facts(self, engine, device="cpu"):
            raise EngineUnavailableError("no GPU: none here")

    monkeypatch.setattr(availability, "WorkerPool", Pool)
    with pytest.raises(SystemExit) as caught:
        main(["parity", "--device", "gpu", "--engine", "reference", "jax-scan"])
    assert caught.value.code == 3
    assert capsys.readouterr().err == "multilstm: no GPU: none here\n"
    with pytest.raises(SystemExit) as caught:
        main(["parity", "--device", "gpu", "--case", "size-*"])
    assert caught.value.code == 3
    shown = capsys.readouterr().out
    assert "skipped jax-scan: no GPU: none here" in shown
    assert "Nothing was compared" in shown


def test_the_environment_of_a_process_names_its_device():
    given = {"XLA_FLAGS": "--a=1 --b=2", "JAX_PLATFORMS": "tpu"}
    cpu, gpu = (for_process(device, {"XLA_FLAGS": "--a=3"}, given) for device in ("cpu", "gpu"))
    assert (cpu["CUDA_VISIBLE_DEVICES"], cpu["JAX_PLATFORMS"], cpu["XLA_FLAGS"]) == ("-1", "cpu", "--a=1 --b=2")
    assert "CUDA_VISIBLE_DEVICES" not in gpu
    assert (gpu["JAX_PLATFORMS"], gpu["XLA_PYTHON_CLIENT_PREALLOCATE"]) == ("cuda,cpu", "false")
    assert gpu["XLA_FLAGS"] == "--a=1 --b=2"
    assert for_process("cpu", {"XLA_FLAGS": "--a=3"}, {})["XLA_FLAGS"] == "--a=3"


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_on_a_gpu_is_deterministic_from_the_start_and_a_benchmark_is_not(engine):
    row = ENGINES[engine]
    assert row.on("gpu")["XLA_FLAGS"].endswith("--xla_gpu_deterministic_ops=true")
    assert row.on("gpu")["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert row.on("cpu") == row.environment
    assert "deterministic" not in for_process("gpu", row.environment, {}).get("XLA_FLAGS", "")


OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {})  # as torch's
ResourceExhaustedError = type("ResourceExhaustedError", (Exception,), {})  # as TensorFlow's


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (ResourceExhaustedError("OOM when allocating tensor with shape[1,2]"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes."), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("INVALID_ARGUMENT: shapes"), False),
        (ValueError("out of memory"), False),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, Exception) else "",
)
def test_errors_that_mean_out_of_memory(error, expected):
    assert out_of_memory(error) is expected


@pytest.mark.parametrize(
    ("module", "allocate"),
    [("jax", lambda jax: jax.numpy.ones(1 << 45)), ("torch", lambda torch: torch.ones(1 << 45))],
    ids=["jax", "torch"],
)
def test_out_of_memory_of_a_framework_is_recognised(module, allocate):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the class differs between frameworks
        allocate(pytest.importorskip(module))
    assert out_of_memory(caught.value)
