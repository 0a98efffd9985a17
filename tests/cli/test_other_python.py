"""`--python`: engines in other environments, and two rows of one engine."""

import os
import subprocess
import sys
import venv

import pytest

from multilstm.cli.app import app
from multilstm.engines.elsewhere import row_with
from multilstm.engines.registry import ENGINES, engine_row, registered
from multilstm.errors import EngineUnavailableError, UsageError
from multilstm.report.reading import read_report

OTHER = "MULTILSTM_OTHER_PYTHON"  # the Python of an environment with another version of Keras
JOB = ("--case", "seed4-one-feature", "--dtype", "float64", "--quantity", "hidden", "cell")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call `multilstm parity ...` in an empty folder, and return its exit code."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: app(("parity", *arguments), exit_on_error=False, result_action="return_value")


def test_two_rows_of_one_engine(call, capsys):
    rows = [f"reference@{label}={sys.executable}" for label in ("old", "new")]
    assert call(*JOB, "--engine", "reference@old", "reference@new", "--python", *rows, "--json", "r.json") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Same answers on reference@old, reference@new: 4 quantities")
    assert "versions reference@old: numpy " in printed
    report = read_report("r.json")
    assert report.engines == ("reference@old", "reference@new")
    assert report.environment["engines"]["reference@new"]["versions"]["numpy"]
    assert set(ENGINES).isdisjoint(report.engines)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The Python of an environment without NumPy."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


@pytest.mark.unit
def test_an_environment_without_numpy_is_refused(bare):
    with pytest.raises(EngineUnavailableError, match=r"lacks numpy, which engine 'reference@old' needs") as error:
        row_with("reference@old", str(bare))
    assert "\n" not in str(error.value)


def test_an_environment_without_the_framework_is_refused(call, bare):
    with pytest.raises(EngineUnavailableError, match="lacks numpy, keras, jax, which engine 'keras-jax' needs"):
        call(*JOB, "--python", f"keras-jax={bare}", "--json", "r.json")
    assert not os.path.exists("r.json")


REFUSED = {
    "missing": (["--python", "reference@old=/nothing/python"], EngineUnavailableError, "No such file or directory"),
    "no_python": (["--python", "reference@old=/bin/ls"], EngineUnavailableError, "give the path of a Python 3.11"),
    "folder": (["--python", "reference@old=/"], EngineUnavailableError, "Permission denied"),
    "no_path": (["--python", "keras-jax"], UsageError, "expected ENGINE=PATH"),
    "unknown": (["--python", "keras-mxnet@old=python"], UsageError, "unknown engine 'keras-mxnet@old'"),
    "empty_label": (["--python", "keras-jax@=python"], UsageError, "unknown engine 'keras-jax@'"),
    "twice": (["--python", "keras-jax=a", "keras-jax=b"], UsageError, "gives 'keras-jax' twice"),
    "left_out": (["--engine", "reference", "--python", "keras-jax=a"], UsageError, "which --engine leaves out"),
    "no_environment": (
        ["--engine", "keras-jax@old"],
        EngineUnavailableError,
        "give it with --python keras-jax@old=PATH",
    ),
}


@pytest.mark.unit
@pytest.mark.skipif(os.name == "nt", reason="the messages are those of POSIX")
@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_run_is_refused_at_the_start(call, arguments, error, message):
    with pytest.raises(error, match=message) as raised:
        call(*JOB, *arguments, "--json", "r.json")
    assert "\n" not in str(raised.value)
    assert not os.path.exists("r.json")


@pytest.mark.unit
def test_a_registered_row_is_there_inside_of_the_block_alone():
    row = engine_row("keras-jax@old")
    assert (row.name, row.target) == ("keras-jax@old", ENGINES["keras-jax"].target)
    with registered([row]):
        assert ENGINES["keras-jax@old"] is row
    assert "keras-jax@old" not in ENGINES


@pytest.mark.unit
def test_other_packages_of_the_parent_are_not_found_by_the_other_environment(bare):
    """Only this package is shared: with its folder on the path, the other environment would get the parent's NumPy."""
    from multilstm.frameworks.other_python import command

    done = subprocess.run(
        command(str(bare), "multilstm.engines.elsewhere", '{"needs": ["keras"], "settings": {}, "flags": []}'),
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert '"missing": ["numpy", "keras"]' in done.stdout


@pytest.mark.skipif(OTHER not in os.environ, reason=f"{OTHER} names no Python with another version of Keras")
def test_two_versions_of_keras(call, capsys):
    engines = ("keras-jax@other", "keras-jax")
    assert call(*JOB, "--engine", *engines, "--python", f"{engines[0]}={os.environ[OTHER]}", "--json", "r.json") == 0
    rows = read_report("r.json").environment["engines"]
    first, second = (rows[engine]["versions"]["keras"] for engine in engines)
    assert first != second
    assert f"versions keras-jax@other: keras {first}" in capsys.readouterr().out
