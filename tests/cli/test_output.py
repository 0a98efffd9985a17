"""Output that cannot be written, or not in full: no result is lost, and no traceback is printed."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from multilstm.report.reading import read_report

ROOT = str(pathlib.Path(__file__).parents[2])
ONE_JOB = (
    *("parity", "--case", "seed4-one-feature", "--engine", "reference"),
    *("--dtype", "float32", "--quantity", "hidden"),
)
TABLE = "Same answers on reference: "
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no sh, /dev/full, or signals to one process")


def environment(**variables):
    return {**os.environ, "PYTHONPATH": ROOT, "NO_COLOR": "1", **variables}


def shell(command, folder, **variables):
    """Run a shell command in which `multilstm` is the command line."""
    script = f'multilstm() {{ "{sys.executable}" -m multilstm "$@"; }}; {command}'
    return subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(**variables),
        timeout=300,
        check=False,
    )


JOB = " ".join(ONE_JOB)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"multilstm {JOB} >&-", 0),
        (f"multilstm {JOB} >&- 2>&-", 0),
        (f"multilstm {JOB} | head -1", 0),
        (f"multilstm {JOB} >/dev/full", 4),
        ("multilstm --help >&-", 0),
        ("multilstm --help | head -1", 0),
    ],
    ids=["closed", "both_closed", "closed_early", "full", "help-closed", "help-closed_early"],
)
def test_standard_output_that_takes_nothing_gives_no_traceback(command, code, tmp_path):
    done = shell(command, tmp_path)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("command", [JOB, "--help", "parity --help"], ids=["parity", "help", "parity_help"])
def test_ascii_output_gives_no_traceback(command, tmp_path):
    done = shell(f"multilstm {command}", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_an_error_is_broken_at_words_on_a_terminal_and_is_one_line_elsewhere(tmp_path):
    command = "parity --engine reference --case nothing-of-this-name"
    assert len(shell(f"multilstm {command}", tmp_path).stderr.splitlines()) == 1
    terminal, stderr = os.openpty()
    process = [sys.executable, "-m", "multilstm", *command.split()]
    subprocess.run(process, cwd=tmp_path, env=environment(COLUMNS="40"), stderr=stderr, timeout=300, check=False)
    os.close(stderr)
    lines = os.read(terminal, 10_000).decode().splitlines()
    os.close(terminal)
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40


def test_a_model_that_prints_leaves_standard_output_to_the_result(tmp_path):
    (tmp_path / "models.py").write_text(
        "from multilstm import LSTM, Sequential\nprint('loading')\n"
        "def model():\n    print('building')\n    return Sequential([LSTM(2)], input_shape=(None, 1))\n"
    )
    done = shell("multilstm parity models:model --engine reference --dtype float32 --json -", tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("{") for line in done.stdout.splitlines())
    assert done.stderr.startswith("loading\nbuilding\n")


def test_a_case_with_a_name_beyond_ascii_is_printed(tmp_path):
    (tmp_path / "models.py").write_text(
        "from multilstm import LSTM, Sequential\n"
        "def model(): return Sequential([LSTM(2, name='s\u00e9quence')], input_shape=(None, 1), name='\u6a21\u578b')\n",
        encoding="utf-8",
    )
    job = "parity models:model --engine reference --dtype float32"
    done = shell(f"multilstm {job}", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\\u6a21" in done.stdout


@pytest.mark.parametrize("output", [">/dev/full", "| head -1", ">&-"], ids=["full", "closed_early", "closed"])
def test_the_file_is_written_if_the_table_cannot_be_printed(output, tmp_path):
    shell(f"multilstm {JOB} --json r.json {output}", tmp_path)
    assert read_report(str(tmp_path / "r.json")).cells


def test_the_table_is_printed_if_the_file_cannot_be_written(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\ndef fail(*_): raise OSError(28, 'No space left on device')\nos.replace = fail\n"
    )
    done = shell(f"multilstm {JOB} --json r.json", tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 4
    assert done.stdout.startswith(TABLE)
    assert "cannot write 'r.json': No space left on device" in done.stderr


@pytest.mark.parametrize("name", ["/dev/full", "x" * 300 + ".json"], ids=["device", "long_name"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(name, tmp_path):
    done = shell(f"multilstm {JOB} --json {name}", tmp_path)
    assert done.returncode == 4
    assert "cannot write" in done.stderr
    assert "[1/" not in done.stderr


def test_a_file_name_of_the_greatest_length_is_written(tmp_path):
    name = "x" * 250 + ".json"
    assert shell(f"multilstm {JOB} --json {name}", tmp_path).returncode == 0
    assert read_report(str(tmp_path / name)).cells


def test_a_private_report_stays_private(tmp_path):
    path = tmp_path / "r.json"
    path.touch(mode=0o600)
    assert shell(f"umask 022; multilstm {JOB} --json r.json", tmp_path).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_report(str(path)).cells


def start(*arguments, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "multilstm", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(TMPDIR=str(folder)),
        start_new_session=True,  # a signal to its group reaches its workers too, as Ctrl-C in a terminal does
    )


def test_a_second_interruption_prints_no_traceback(tmp_path):
    with start("parity", "--engine", "reference", folder=tmp_path) as process:
        process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        for _ in range(20):
            time.sleep(0.02)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.count("interrupted") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--json", "--shrink"])
def test_an_option_in_place_of_a_path_is_refused(option, tmp_path):
    command = [sys.executable, "-m", "multilstm", "parity", "--engine", "reference", option, "--strict"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "json"), [("model.json", "model.json"), ("mine:f", "./mine.py")], ids=["file", "module"]
)
def test_a_report_does_not_replace_its_model(model, json, tmp_path):
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "mine.py").write_text("f = None\n")
    command = [sys.executable, "-m", "multilstm", "parity", model, "--json", json]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is the file of the model" in done.stderr
    assert (tmp_path / "mine.py").read_text() == "f = None\n"


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("cd gone && rmdir ../gone && multilstm report x.jsonl", "the current folder was removed (No such file or "),
        ("cd gone && rmdir ../gone && multilstm diff a.keras b.keras", "the current folder was removed (No such file "),
        ("cd gone && rmdir ../gone && multilstm parity mod:f", "the current folder was removed (No such file or "),
        ("multilstm doctor --json - >/dev/full", "cannot write standard output: No space left on device"),
    ],
    ids=["report", "diff", "parity", "full"],
)
def test_an_error_of_the_system_names_the_place(command, fault, tmp_path):
    (tmp_path / "gone").mkdir()
    done = shell(command, tmp_path)
    assert done.returncode == 4, done.stderr
    assert f"multilstm: {fault}" in done.stderr
