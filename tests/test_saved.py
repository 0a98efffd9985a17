"""parity/saved.py: saved answers judge other engines, for the same inputs and weights alone."""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import saved as program
from marks import needs
from run_lines import cells_of

from multilstm.cli.app import run
from multilstm.report.reading import read_report

ROOT = pathlib.Path(__file__).parents[1]
CASES = ("gpu-states", "gpu-mask-right")
pytestmark = [needs("jax-scan"), needs("torch-lstm")]


@pytest.fixture(scope="module", autouse=True)
def workers(living_pool):
    """All calls share the workers, since one takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "worker_pool", lambda _: contextlib.nullcontext(living_pool()))
        yield


def saved(*arguments):
    """Call the program; return its exit code and its output."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as raised:
        run(program.app, [str(argument) for argument in arguments])
    return subprocess.CompletedProcess(arguments, raised.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def file(workers, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "jax.safetensors"
    done = saved("save", path, "--engine", "jax-scan", "--case", *CASES)
    assert done.returncode == 0, done.stderr
    assert not path.with_name("jax.safetensors.part").exists()
    return path


def changed(file, tmp_path, change):
    """Return a copy of the file with its arrays and metadata changed."""
    with safetensors.safe_open(file, "np") as stream:
        metadata, arrays = stream.metadata(), {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    change(arrays, metadata)
    path = tmp_path / "changed.safetensors"
    path.write_bytes(safetensors.numpy.save(arrays, metadata))
    return path


def test_another_engine_agrees(file, tmp_path):
    report = tmp_path / "report.json"
    done = saved("compare", file, "--engine", "torch-lstm", "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"judged against jax-scan on cpu, from {file}" in done.stdout.replace("\n", "")
    cells = cells_of(report.read_text())
    verdicts = {(cell["case"], cell["verdict"]) for cell in cells}
    assert {verdict for case, verdict in verdicts if case == "gpu-mask-right"} == {"unsupported"}
    assert {verdict for case, verdict in verdicts if case == "gpu-states"} <= {"equal", "bitwise", "rounded", "within"}
    assert {cell["dtype"] for cell in cells} == {"float32", "float64"}
    kinds = {cell["quantity"].split(":")[0] for cell in cells if cell["case"] == "gpu-states"}
    assert kinds >= {"output", "hidden", "cell", "gradient", "state_gradient", "parameter_count"}
    assert read_report(str(report)).environment["judged_against"]["engine"] == "jax-scan"


def test_the_recorded_answers_of_tensorflow_are_those_of_this_catalogue():
    recorded = ROOT / "parity" / "results" / "keras-tensorflow-cpu.safetensors"
    done = saved("compare", recorded, "--engine", "jax-scan", "--case", "gpu-s*", "gpu-mask-left")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Same answers on jax-scan: " in done.stdout
    assert "compared with keras-tensorflow on cpu." in " ".join(done.stdout.split())
    assert "judged against keras-tensorflow on cpu" in done.stdout


def test_the_engine_itself_gives_the_same_bits(file):
    done = saved("compare", file, "--engine", "jax-scan", "--case", "gpu-states")
    assert done.returncode == 0
    assert "within" not in done.stdout


def test_a_value_that_differs_is_found(file, tmp_path):
    def change(arrays, _):
        arrays["gpu-states|float64|forward|hidden:lstm|0"][0, 0] += 1e-9

    done = saved("compare", changed(file, tmp_path, change), "--engine", "torch-lstm", "--case", "gpu-states")
    assert done.returncode == 1
    assert "hidden:lstm: 1 of 16 values differ" in done.stdout


def test_an_answer_that_is_missing_is_found(file, tmp_path):
    path = changed(file, tmp_path, lambda arrays, _: arrays.pop("gpu-states|float64|forward|cell:lstm|0"))
    done = saved("compare", path, "--engine", "jax-scan", "--case", "gpu-states")
    assert done.returncode == 1
    assert "cell:lstm: it is missing: the desired answer has none" in " ".join(done.stdout.split())


def test_a_case_that_an_engine_does_not_execute_is_skipped_and_reported(tmp_path):
    path = tmp_path / "torch.safetensors"
    done = saved("save", path, "--engine", "torch-lstm", "--case", *CASES, "--dtype", "float64")
    assert done.returncode == 0, done.stderr
    assert "left out gpu-mask-right float64 forward: torch-lstm: " in done.stderr
    done = saved("compare", path, "--engine", "jax-scan")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_was_not_saved_is_an_error(file):
    done = saved("compare", file, "--engine", "jax-scan", "--case", "gpu-states", "seed4*")
    assert done.returncode == 2
    assert "unknown case 'seed4*'" in done.stderr
    assert "gpu-mask-right" in done.stderr


def test_a_file_that_lost_a_part_is_refused(file, tmp_path):
    def change(arrays, _):
        for name in [name for name in arrays if name.startswith("gpu-states|float64|gradient|")]:
            del arrays[name]

    done = saved("compare", changed(file, tmp_path, change), "--engine", "jax-scan")
    assert done.returncode == 4
    assert "has lost 1 of 6 parts, such as 'gpu-states|float64|gradient'; save it again" in done.stderr


def test_other_inputs_are_refused(file, tmp_path):
    def change(_, metadata):
        about = json.loads(metadata["about"])
        about["digests"]["gpu-states|float32|forward"] = "0" * 64
        metadata["about"] = json.dumps(about)

    done = saved("compare", changed(file, tmp_path, change), "--engine", "jax-scan")
    assert done.returncode == 4
    assert "gpu-states float32 forward was computed from other inputs or weights" in done.stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"no such file", safetensors.numpy.save({"a": np.ones(1)})],
    ids=["empty", "text", "other_arrays"],
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    done = saved("compare", path, "--engine", "jax-scan")
    assert done.returncode == 4
    assert "python parity/saved.py save" in done.stderr or "save it again" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["compare", "none", "--engine"], ["compare", "none", "--case"], ["save", "none", "--dtype"]]
)
def test_an_option_without_a_value_is_refused(arguments):
    done = saved(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"multilstm: {arguments[-1]} is given without a value; give at least one")


def test_the_program_is_a_process_with_the_exit_code(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    command = [sys.executable, str(ROOT / "parity" / "saved.py"), "compare", str(tmp_path / "none")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith("multilstm: ")
    assert "No such file" in done.stderr


def test_a_missing_gpu_is_reported(file):
    done = saved("compare", file, "--engine", "torch-lstm", "--device", "gpu", "--case", "gpu-states")
    if done.returncode == 0:
        pytest.skip("there is a GPU, and it agrees")
    assert done.returncode == 3
    assert done.stderr.startswith("multilstm: no GPU: torch ")
