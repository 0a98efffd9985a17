"""Wrong names of engines, dtypes, modes and quantities: refused at once, with the name that is meant."""

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
