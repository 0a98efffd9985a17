"""Wrong names, files and counts of arguments: refused at once, with the name that is meant or the next step."""

import zipfile

import numpy as np
import pytest

from multilstm.cli.app import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Call `multilstm ...` in an empty folder, and return the exit code and standard error as one line."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as raised:
            main(arguments)
        return raised.value.code, " ".join(capsys.readouterr().err.replace("│", "").split())

    return call


@pytest.mark.parametrize(
    "arguments",
    [("parity", "--engine", "keras-jaxx"), ("parity", "--quantity", "colour"), ("bench", "--engine", "keras-jaxx"),
     ("bench", "--mode", "fly")],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_name_is_refused_before_the_model_is_imported(run, tmp_path, arguments):
    (tmp_path / "noisy.py").write_text("raise RuntimeError('it was imported')")
    code, text = run(arguments[0], "noisy:net", *arguments[1:])
    assert (code, "imported" in text) == (2, False)
    assert f"unknown {arguments[1].strip('-')} '{arguments[2]}'" in text


@pytest.mark.parametrize("command", ["parity", "bench"])
def test_a_dtype_is_suggested_by_the_name_of_other_programs(run, command):
    code, text = run(command, "--dtype", "fp32")
    assert code == 2
    assert "did you mean float32?" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("parity sentimant.keras", 4, "there is no such file; did you mean 'sentiment.keras'?"),
        ("report sentimnet.keras", 4, "No such file or directory; did you mean 'sentiment.keras'?"),
        ("summary other.keras", 4, "there is no such file"),
        ("identify sentiment.keras", 4, "expected arrays of numpy.savez (for a model of Keras, see multilstm summary)"),
        ("report x.npz", 4, "it is a zip archive, such as .npz or .keras (byte"),
        ("parity a.keras b.pt", 2, "diff compares two models: multilstm diff old.h5 new.keras"),
        ("convert a.keras", 2, "an example: multilstm convert model.keras port.onnx"),
    ],
)
def test_a_message_names_the_next_step(run, tmp_path, arguments, code, words):
    np.savez(tmp_path / "x.npz", x=np.full(99, -1))
    with zipfile.ZipFile(tmp_path / "sentiment.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
    actual, text = run(*arguments.split())
    assert actual == code
    assert words in text
    assert ("did you mean" in words) == ("did you mean" in text)
