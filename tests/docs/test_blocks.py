"""The code blocks of the documents: Python runs, commands parse, extras exist, outputs are the recorded ones."""

import contextlib
import importlib.util
import io
import pathlib
import re
import shlex
import tomllib

import numpy as np
import pytest

from multilstm.bench.answer import sentence
from multilstm.bench.results import Benchmark
from multilstm.cli.app import app
from multilstm.engines import registry

ROOT = pathlib.Path(__file__).parents[2]
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = sorted(
    [README, ROOT / "CONTRIBUTING.md", *(path for path in (ROOT / "docs").rglob("*.md") if "_" not in path.parent.name)]
)


def blocks(path, language):
    text = path.read_text(encoding="utf-8")
    return [body for tongue, body in FENCE.findall(text) if tongue == language]


def commands(path):
    """Return the commands of all shell blocks; a line may hold several, joined by &&."""
    bodies = [block.replace("\\\n", " ") for block in blocks(path, "sh")]
    lines = [line for body in bodies for line in body.splitlines() if line and not line.startswith("#")]
    return [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]


COMMANDS = [(path, command) for path in DOCUMENTS for command in commands(path)]


def ids(argument):
    return argument.relative_to(ROOT).as_posix() if isinstance(argument, pathlib.Path) else "_".join(argument)


def test_every_python_block_of_the_readme_runs(monkeypatch):
    """One engine is enough here: the parity suite runs them all."""
    pytest.importorskip("jax")
    if "keras" not in str(registry.ENGINES):
        pytest.fail("the registry lists no Keras engine")
    for name in set(registry.ENGINES) - {"reference", "jax-scan"}:
        monkeypatch.delitem(registry.ENGINES, name)
    names = {"x": np.zeros((2, 3, 5), "float32")}
    bodies = blocks(README, "python")
    assert len(bodies) == 3
    for body in bodies:
        if "keras_layers" not in body:  # tests/keras_layers imports these in a process with a backend of its own
            exec(compile(body, "README.md", "exec"), names)
    assert names["sequence"].shape == (4, 12, 32)


def test_the_model_of_the_tutorial_is_summarized():
    names = {}
    (body,) = blocks(ROOT / "docs" / "tutorial" / "same_everywhere.md", "python")
    exec(compile(body, "same_everywhere.md", "exec"), names)
    assert "bidirectional (Bidirectional)" in names["tagger"]().summary()


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_every_python_block_is_python(path):
    for body in blocks(path, "python"):
        compile(body, str(path), "exec")


@pytest.mark.parametrize(("path", "command"), [(p, c) for p, c in COMMANDS if c[0] == "multilstm"], ids=ids)
def test_a_command_of_multilstm_parses(path, command):
    app.parse_args(command[1:], print_error=False, exit_on_error=False)


@pytest.mark.parametrize(("path", "command"), [(p, c) for p, c in COMMANDS if c[0] == "pip"], ids=ids)
def test_a_pip_command_names_extras_that_exist(path, command):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for argument in command:
        own = re.fullmatch(r"(?:\.|multilstm)\[(.*)\]", argument)
        for extra in own.group(1).split(",") if own else ():
            assert extra in project["optional-dependencies"]
    if "-c" in command:
        assert (ROOT / command[command.index("-c") + 1]).is_file()


@pytest.mark.parametrize(("path", "command"), [(p, c) for p, c in COMMANDS if c[0] == "python"], ids=ids)
def test_a_python_command_names_a_file_or_module_that_exists(path, command):
    if command[1] == "-m":
        place = ROOT / command[2].replace(".", "/")
        assert (
            place.with_suffix(".py").is_file() or (place / "__main__.py").is_file() or command[2] in ("build", "venv")
        )
    else:
        assert (ROOT / command[1]).is_file()


def test_a_wrong_option_in_a_document_is_seen():
    with pytest.raises(Exception, match="layer"):
        app.parse_args(["parity", "model.json", "--layer", "plain"], print_error=False, exit_on_error=False)


def test_help_runs():
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        app(["parity", "--help"], result_action="return_value")
    assert "--layers" in shown.getvalue()


def without_digits(text):
    """Return the text as docs/record.py compares it; docs/ is no package."""
    spec = importlib.util.spec_from_file_location("docs_record", ROOT / "docs" / "record.py")
    record = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(record)
    return record.without_digits(text)


def test_the_divergence_of_the_readme_is_the_recorded_one():
    recorded = (ROOT / "docs" / "examples" / "output" / "fault_explained.txt").read_text(encoding="utf-8")
    (shown,) = blocks(README, "text")
    passages = shown.split("...\n")
    assert len(passages) == 2
    assert [passage for passage in passages if passage not in recorded] == []


def test_the_answer_of_the_readme_is_that_of_the_recorded_benchmark():
    (shown,) = re.findall(
        r"That of a recorded run\s+of three shapes is: `(.*), \.\.\.`", README.read_text(encoding="utf-8")
    )
    assert shown in sentence(Benchmark.read(str(ROOT / "docs" / "recorded" / "bench_quick.json")))


def test_the_report_that_is_explained_is_the_recorded_one():
    outputs = ROOT / "docs" / "examples" / "output"
    recorded = [without_digits((outputs / f"{name}.txt").read_text("utf-8")) for name in ("report", "shrink")]
    passages = blocks(ROOT / "docs" / "reference" / "report.md", "text")
    assert len(passages) == 9
    assert [text for text in passages if not any(without_digits(text) in output for output in recorded)] == []


def test_the_readme_installs_the_pytorch_of_the_constraints():
    (pin,) = re.findall(r"`(torch==\S+)`", README.read_text(encoding="utf-8"))
    assert pin in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120
