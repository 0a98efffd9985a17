"""`python -m multilstm.bench.scan`: its table, errors, exit codes and JSON."""

import dataclasses
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from marks import needs
from rich.console import Console

from multilstm.bench import contestants, scan
from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.contestants.base import FORWARD, QUANTITIES
from multilstm.bench.measure import Row
from multilstm.bench.results import FORMAT
from multilstm.bench.shapes import SHAPES
from multilstm.errors import EngineUnavailableError

ROOT = pathlib.Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ, "NO_COLOR": "1", "COLUMNS": "80", "OMP_WAIT_POLICY": "passive",
    "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
}  # fmt: skip
SMALL = "10x96x2x8"
needs_jax = needs("keras-jax")

DEFAULT = [name for name, row in CONTESTANTS.items() if not row.named]


def run(*arguments, timeout=300):
    return subprocess.run(
        [sys.executable, "-m", "multilstm.bench.scan", *arguments], env=ENVIRONMENT, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip


def shown(rows, names, columns, shapes=SHAPES):
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    scan.show(rows, shapes, names, console)
    return console.file.getvalue()


def many_rows():
    """Return rows of every contestant on every shape: jax-scan takes 1234 ms, the others 123.4 times as long."""
    return [
        Row(shape.name, name, quantity, [[1.234 * (1 if name == "jax-scan" else 123.4)] * 3] * 2)
        for shape in SHAPES
        for name in DEFAULT
        for quantity in QUANTITIES
    ]


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_the_table_of_all_fits(columns):
    text = shown(many_rows(), DEFAULT, columns)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= columns
    table = text.split("forward and gradient")[0]
    for word in (
        "jax-",
        "scan",
        "scan-",
        "ms",
        "one",
        "keras-",
        "tf-xla",
        "tf",
        "torch",
        "flax",
        "torch-",
        "onnx-",
        "runtime",
    ):
        assert word in table.split()
    assert table.split().count("123") == (len(SHAPES) + 1) * (len(DEFAULT) - 1)
    assert table.split().count("1234") == len(SHAPES)


@pytest.mark.parametrize("columns", [80, 100])
def test_every_shape_is_named_in_one_line(columns):
    lines = shown(many_rows(), DEFAULT, columns).splitlines()
    for shape in SHAPES:
        assert sum(line.split()[:1] == [shape.name.replace("-bidirectional", "-bi")] for line in lines) == 2


ROWS = [
    Row("10x96x2x8", "jax-scan", FORWARD, [[0.002], [0.002]], repeated=[[0.002] * 3]),
    Row("10x96x2x8", "flax", FORWARD, [[0.003], [0.009]], repeated=[[0.006], [0.014]]),
    Row("10x96x2x8", "keras-jax", FORWARD, [[0.003], [0.009]], repeated=[[0.005] * 3]),
    Row("10x96x2x8", "keras-torch", FORWARD, failure="its answer is 7 times the tolerance away"),
]
ROWS += [dataclasses.replace(row, quantity="gradient") for row in ROWS]


def test_cells_are_ratios_with_a_mark_if_they_were_measured_again():
    text = shown(ROWS, ["jax-scan", "flax", "keras-jax", "keras-torch"], 80, [s for s in SHAPES if s.name == SMALL])
    line = next(line for line in text.splitlines() if line.startswith(SMALL))
    assert line.split() == [SMALL, "2.00*", "5.00~", "2.50*", "-"]
    assert "* measured again: its spread (interquartile range / median) exceeded 10 %\n" in text
    assert "~ measured again, and its spread still exceeds 10 %\n" in text
    assert "not timed: keras-torch 10x96x2x8 forward: its answer is 7 times the tolerance away\n" in text


def test_contestants_of_one_kernel_share_a_line_and_an_exception_names_its_shapes():
    rows = [
        Row(shape, name, FORWARD, implementation=kernel)
        for name, kernels in (
            ("jax-scan", ["XLA's loop"] * 3),
            ("keras-jax", ["cuDNN", "XLA's loop", "cuDNN"]),
            ("flax", ["XLA's loop"] * 3),
            ("onnxruntime", [None] * 3),
        )
        for shape, kernel in zip("abc", kernels, strict=True)
    ]
    assert scan.implementations(rows) == [
        "computed by jax-scan, flax: XLA's loop",
        "computed by keras-jax: cuDNN; but XLA's loop: b forward",
    ]


def test_kernels_are_below_the_table():
    row = Row(SMALL, "jax-scan", FORWARD, [[0.002]], implementation="XLA's loop")
    rows = [row, dataclasses.replace(row, quantity="gradient")]
    text = shown(rows, ["jax-scan"], 80, [s for s in SHAPES if s.name == SMALL])
    assert "computed by jax-scan: XLA's loop\n" in text


def test_help_fits_80_columns():
    done = run("--help")
    assert done.returncode == 0
    assert "--contestant" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


USAGE = {
    "shape": (["--shape", "1x2x3x4"], "unknown shape '1x2x3x4': expected one of 64x100x123x320, "),
    "contestant": (["--contestant", "keras"], "unknown contestant 'keras': expected one of jax-scan, "),
    "rounds": (["--rounds", "0"], "--rounds must be at least 1, given 0"),
    "pause": (["--pause", "-1"], "--pause must be from 0 to 3600 seconds, given -1"),
}


@pytest.mark.parametrize(("arguments", "message"), USAGE.values(), ids=USAGE)
def test_usage_errors_exit_with_2_in_one_line(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"multilstm: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    done = run("--json", str(tmp_path / "nowhere" / "r.json"))
    assert done.returncode == 4
    assert "cannot write" in done.stderr
    assert "prepares" not in done.stderr


@pytest.fixture
def without_flax(monkeypatch):
    row = CONTESTANTS["flax"]._replace(needs=("no_such_module",))
    monkeypatch.setitem(contestants.CONTESTANTS, "flax", row)


def test_a_contestant_given_by_name_must_be_installed(without_flax):
    message = r"contestant 'flax' needs no_such_module, not installed here; .* pip install 'multilstm\[all,bench\]'"
    with pytest.raises(EngineUnavailableError, match=message):
        scan.app(["--contestant", "flax"], exit_on_error=False)


def test_other_missing_contestants_are_skipped_by_name(without_flax, monkeypatch, capsys):
    timed = []

    def measure(shapes, names, method, follow, device):
        timed.extend(names)
        return [Row(shape.name, "jax-scan", quantity, [[1.0]]) for shape in shapes for quantity in QUANTITIES], {}

    monkeypatch.setattr(scan, "measure", measure)
    scan.app(["--shape", SMALL], exit_on_error=False, result_action="return_value")
    assert "skipped flax: needs no_such_module\n" in capsys.readouterr().out
    assert "jax-scan" in timed
    assert "flax" not in timed


@needs_jax
def test_a_run_in_the_terminal_and_as_json(tmp_path):
    done = run("--shape", SMALL, "--contestant", "keras-jax", "--rounds", "2", "--json", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stderr
    assert "forward and gradient of all weights" in done.stdout
    assert f"{SMALL} gradient: round 2 of 2\n" in done.stderr
    data = json.loads((tmp_path / "r.json").read_text())
    assert (data["format"], data["benchmark"], data["device"]) == (FORMAT, "scan", "cpu")
    assert data["environment"]["variables"]["OMP_WAIT_POLICY"] == "passive"
    assert data["method"]["rounds"] == 2
    assert data["contestants"].keys() == {"jax-scan", "keras-jax"}
    assert data["contestants"]["keras-jax"].keys() == {"keras", "jax", "jaxlib"}
    assert data["shapes"][SMALL]["forward_flops"] == 8 * 10 * 96 * 8 * (2 + 8)
    rows = {(row["contestant"], row["quantity"]): row for row in data["rows"]}
    assert rows.keys() == {(name, quantity) for name in ("jax-scan", "keras-jax") for quantity in QUANTITIES}
    for row in rows.values():
        assert row["failure"] is None
        assert row["distance"] < 1
        assert row["implementation"] == "XLA's loop"
        assert [bool(samples) for samples in row["samples"]] == [True, True]


@needs_jax
def test_json_alone_on_standard_output():
    done = run("--shape", SMALL, "--contestant", "jax-scan", "--rounds", "1", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert {row["contestant"] for row in json.loads(done.stdout)["rows"]} == {"jax-scan"}
    assert "forward" in done.stderr


@needs_jax
@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="children are found under /proc")
def test_ctrl_c_exits_with_130_and_leaves_no_process():
    arguments = ("--shape", SMALL, "--contestant", "jax-scan", "--rounds", "100000")
    with subprocess.Popen(
        [sys.executable, "-m", "multilstm.bench.scan", *arguments],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if "round" in line:
                break
        workers = children(process.pid)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert workers
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def children(pid):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(path.parent.name))
        except FileNotFoundError:
            continue
    return found


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@needs_jax
def test_a_missing_gpu_is_an_error_before_anything_is_prepared(refused, tmp_path):
    written = tmp_path / "scan.json"
    message = refused(lambda: scan.main(device="gpu", contestant=("jax-scan",), json=str(written)))
    assert message.startswith("contestant 'jax-scan': no GPU: ")
    assert not written.exists()


def test_contestants_that_find_no_gpu_are_skipped_with_the_reason(monkeypatch, capsys):
    def measure(shapes, names, method, follow, device):
        return [Row(shape.name, name, each, [[1.0]]) for shape in shapes for name in names for each in QUANTITIES], {}

    monkeypatch.setattr(scan, "without_gpu", lambda names: dict.fromkeys(names[1:], "no GPU: none here"))
    monkeypatch.setattr(scan, "measure", measure)
    monkeypatch.setattr(scan, "_contestants", lambda names: (["jax-scan", "keras-torch"], {}))
    scan.main(device="gpu", shape=(SMALL,))
    skipped = [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped ")]
    assert skipped == ["skipped keras-torch: no GPU: none here"]
    with pytest.raises(EngineUnavailableError, match="contestant 'keras-torch': no GPU: none here"):
        scan.main(device="gpu", contestant=("keras-torch",))
