"""The files of commands: no file that a command reads is replaced, and none is written twice."""

import pytest

from multilstm.cli.app import app
from multilstm.cli.model_files import ModelFiles
from multilstm.errors import UsageError

pytestmark = pytest.mark.unit

READ = {"model": "the model", "weights": "--weights", "architecture": "--architecture", "inputs": "--inputs"}
READ["against"] = "--against"
WRITTEN = {"json": "--json", "save_inputs": "--save-inputs", "save_outputs": "--save-outputs"}


def files(**paths):
    return ModelFiles(**{"model": "other.json", **paths})


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("path", ["mine", "./mine", "link"])
def test_a_file_that_is_read_is_never_written(read, written, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "link").symlink_to("mine")
    with pytest.raises(UsageError, match=f"^{WRITTEN[written]} '{path}' is the file of {READ[read]}; give another"):
        files(**{read: "mine", written: path}).check(sized=False)


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize(
    ("model", "path"), [("mine:f", "mine.py"), ("a.mine:f", "a/mine.py"), ("a:f", "a/__init__.py")]
)
def test_the_module_of_a_model_is_never_written(model, path, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / path).write_text("kept")
    with pytest.raises(UsageError, match="is the file of the model"):
        files(model=model, **{written: path}).check(sized=False)


@pytest.mark.parametrize(
    ("first", "second"),
    [("save_inputs", "json"), ("save_outputs", "json"), ("save_inputs", "save_outputs")],
)
def test_two_options_never_write_one_file(first, second, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the file does not exist yet
    with pytest.raises(UsageError, match=f"is the file of {WRITTEN[first]}; give another"):
        files(**{first: "new", second: "./new"}).check(sized=False)


def test_files_apart_are_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("{}")
    files(weights="w", inputs="i", against="a", save_inputs="j", save_outputs="b", json="old.json").check(sized=False)
    files(model="-", json="-").check(sized=False)
    ModelFiles(json="__init__.py").check(sized=False)


CONVERTED = {
    "model": (["convert", "port.keras", "port.keras"], "OUT 'port.keras' is the file of the model"),
    "module": (["convert", "port:model", "port.py"], "OUT 'port.py' is the file of the model"),
    "link": (["convert", "port.json", "link.onnx"], "OUT 'link.onnx' is the file of the model"),
    "weights": (
        ["convert", "a.json", "port.py", "--weights", "port.safetensors"],
        "OUT's .safetensors .* --weights",
    ),
    "architecture": (
        ["convert", "a.h5", "port.onnx", "--architecture", "port.proof.json"],
        "OUT's .proof.json .* is the file of --architecture",
    ),
    "proof": (["convert", "port.proof.json", "port.keras"], "OUT's .proof.json .* is the file of the model"),
    "twice": (["convert", "a.json", "twice.py"], "OUT's .safetensors 'twice.safetensors' is the file of OUT;"),
    "migrated": (["migrate", "port.keras", "port.keras"], "NEW 'port.keras' is the file of the model"),
    "migrated_proof": (["migrate", "port.proof.json", "port.keras"], "NEW's .proof.json .* is the file of the model"),
    "migrated_weights": (["migrate", "a.h5", "./w.keras", "--weights", "w.keras"], "is the file of --weights"),
}


@pytest.mark.parametrize("label", CONVERTED)
def test_a_converted_file_replaces_none_that_is_read(label, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "port.json").write_text("kept")
    (tmp_path / "link.onnx").symlink_to("port.json")
    (tmp_path / "twice.py").symlink_to("twice.safetensors")
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments, message = CONVERTED[label]
    with pytest.raises(UsageError, match=message):
        app(arguments, result_action="return_value", exit_on_error=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "port.json").read_text() == "kept"
