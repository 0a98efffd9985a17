"""float32 means IEEE float32: TF32 is off wherever a framework has a switch for it, and on for the dtype tf32 alone."""

import os
import subprocess
import sys

import numpy as np
import pytest

from multilstm import LSTM, Sequential, run
from multilstm.engines.registry import ENGINES
from multilstm.errors import UnsupportedError
from multilstm.execution.options import Options
from multilstm.frameworks.process_environment import for_process
from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Job

SPEC = Sequential([LSTM(2)], input_shape=(3, 1))


@pytest.mark.parametrize("make", [lambda: Options(("jax-scan",), ("tf32",)), lambda: Job(SPEC, {}, (), dtype="tf32")])
def test_a_cpu_has_no_tf32(make):
    with pytest.raises(UnsupportedError, match=r"^tf32 is how GPUs round .* given device 'cpu', expected 'gpu' \(--d"):
        make()


def test_run_refuses_tf32_on_a_cpu_too():
    with pytest.raises(UnsupportedError, match="tf32 is how GPUs round"):
        run(SPEC, "reference", np.ones((1, 3, 1)), dtype="tf32")


def test_tf32_is_stored_in_float32():
    assert stored("tf32") == "float32"


# Prints the framework's switch before the first job and before the step of a job of either dtype, in a process of its
# own. The user has set another precision. A CPU replaces the GPU: it has the same switches.
PROGRAM = """
import sys
from multilstm.engines.registry import ENGINES, load
from multilstm.jobs.job import Job, Step, Batch
from multilstm.spec import LSTM, Sequential
from multilstm.weights.initializers import discriminating_weights
import dataclasses, numpy as np
engine = load(ENGINES[sys.argv[1]].target)
def switch():
    switches = engine.platform.switches()
    return switches.get("TF32", switches.get("matmul"))
seen = [switch()]
spec = Sequential([LSTM(2)], input_shape=(3, 1))
job = Job(spec, discriminating_weights(spec), (), device="cpu")
weights = {name: np.float32(array) for name, array in job.weights.items()}
batch = Batch({"input_layer": np.ones((2, 3, 1), "f4")})
# tf32 is refused on a CPU, so the jobs are made as a GPU's, and their device is changed behind the check.
gpu = dataclasses.replace(job, dtype="tf32", device="gpu")
object.__setattr__(gpu, "device", "cpu")
programs = [engine.prepare(each) for each in (job, gpu)]
for program in (*programs, *programs):  # the switch is set by each step, since programs of both kinds are kept
    program.load(weights, {}, 0)
    program.step("forward", batch, {})
    seen.append(switch())
print(*seen)
"""


@pytest.mark.parametrize(
    ("engine", "ieee", "tf32"),
    [
        ("keras-tensorflow", "off", "on"),
        ("keras-jax", "highest", "tensorfloat32"),
        ("keras-torch", "off", "on"),
        ("jax-scan", "highest", "tensorfloat32"),
        ("torch-lstm", "off", "on"),
    ],
)
def test_an_engine_and_every_step_set_the_precision(engine, ieee, tf32):
    row = ENGINES[engine]
    if row.missing:
        pytest.skip(f"{', '.join(row.missing)} is not installed")
    environment = for_process("cpu", row.environment, {**os.environ, "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"})
    environment["PYTHONPATH"] = os.pathsep.join([os.getcwd(), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, engine],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [ieee, ieee, tf32, ieee, tf32]


def test_the_products_of_scan_use_the_chosen_precision():
    """The program for XLA has `highest` in every product, or the precision that the user chose."""
    jax = pytest.importorskip("jax")
    from multilstm.scan import init, lstm

    def products(precision):
        with jax.default_matmul_precision(precision):
            text = (
                jax.jit(jax.grad(lambda p, x: lstm(p, x)[0].sum()))
                .lower(init(3, 2), np.ones((2, 4, 3), "f4"))
                .as_text()
            )
        return {line.split("precision = ")[1][:20] for line in text.splitlines() if "precision = " in line}

    assert products(None) == products("highest") == {"[HIGHEST, HIGHEST] :"}
    assert products("tensorfloat32") == {"[HIGH, HIGH] : (tens"}


def test_jax_experimental_rnn_heeds_the_precision():
    """Keras calls it without a precision; JAX then derives TF32 in cuDNN from the default."""
    jax = pytest.importorskip("jax")
    from jax.experimental import rnn

    for precision, tf32 in (("highest", False), ("tensorfloat32", True)):
        with jax.default_matmul_precision(precision):
            assert rnn._lstm_cudnn_allow_tf32(None) is tf32


@pytest.mark.skipif(bool(ENGINES["torch-lstm"].missing), reason="torch is not installed")
def test_both_interfaces_of_pytorch_agree():
    import torch

    from multilstm.frameworks import torch as torch_platform

    for allowed, name in ((True, "tf32"), (False, "ieee")):
        torch_platform.set_tf32(allowed)
        assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is allowed
        if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
            assert torch.backends.cuda.matmul.fp32_precision == torch.backends.cudnn.rnn.fp32_precision == name
