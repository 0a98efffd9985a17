"""The files of a result: none is written twice, none in the place of a file that is read, and all or none."""

import os
import pathlib

import pytest

from multilstm.errors import InputError, UsageError
from multilstm.files.outputs import check_outputs, outputs_beside, write_outputs

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", ["mine", "./mine", "link", "dangling"])
def test_a_file_that_is_read_is_refused(folder, path):
    (folder / "mine").write_text("kept")
    (folder / "link").symlink_to("mine")
    (folder / "dangling").symlink_to("later")
    with pytest.raises(UsageError, match=f"^OUT '{path}' is the file of --weights; give another path$"):
        check_outputs({"OUT": path}, [("--weights", "mine"), ("--weights", "later")])


def test_two_outputs_of_one_path_are_refused():
    with pytest.raises(UsageError, match=r"^--html '\./a' is the file of --json"):
        check_outputs({"--json": "a", "--html": "./a"})


def test_the_files_next_to_a_file_have_names():
    assert outputs_beside("a.b/port.py", [".safetensors", ".proof.json"], "OUT") == {
        "OUT": "a.b/port.py",
        "OUT's .safetensors": pathlib.Path("a.b/port.safetensors"),
        "OUT's .proof.json": pathlib.Path("a.b/port.proof.json"),
    }


def test_all_files_are_written(folder):
    assert write_outputs("port.py", b"main", {".more": b"more"}) == (pathlib.Path("port.py"), pathlib.Path("port.more"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"port.py": b"main", "port.more": b"more"}


@pytest.mark.parametrize("path", ["port.py", "port.more"])
def test_files_that_are_one_are_refused_and_nothing_is_written(folder, path):
    (folder / "port.more").write_bytes(b"old")
    (folder / "port.py").symlink_to("port.more")
    with pytest.raises(UsageError, match=r"path's \.more 'port\.more' is the file of path"):
        write_outputs(path, b"main", {".more": b"more"})
    assert (folder / "port.more").read_bytes() == b"old"


@pytest.mark.parametrize("path", ["..", ".", "", "sub/", "nowhere/port.py", "port.py"])
def test_a_file_that_cannot_be_written_leaves_the_others(folder, path):
    (folder / "port.more").mkdir()
    before = sorted(os.listdir())
    with pytest.raises(InputError, match="nothing was written"):
        write_outputs(path, b"main", {".more": b"more"})
    assert sorted(os.listdir()) == before
