"""Writing: a file is complete or unchanged, and only a regular file is ever replaced."""

import os
import pathlib
import socket
import stat

import pytest

from multilstm import save_weights
from multilstm.errors import InputError
from multilstm.files.atomic import check_replaceable, write_bytes
from multilstm.report.files import write_text


def write_weights(path):
    save_weights(path, None, {})


def write_report(path):
    write_text(str(path), "text")


def write(path):
    write_bytes(path, b"content")


WRITERS = [write, write_weights, write_report, check_replaceable]
writers = pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)


def folder(path):
    path.mkdir()


def pipe(path):
    os.mkfifo(path)


def device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 7))  # as /dev/full
    except PermissionError:
        pytest.skip("only root makes devices")


def bound_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket is at most 108 bytes long
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def loop(path):
    path.symlink_to(path)


@pytest.mark.parametrize("make", [folder, pipe, device, bound_socket, loop], ids=lambda make: make.__name__)
@writers
def test_replaces_nothing_but_a_regular_file(tmp_path, writer, make):
    path = tmp_path / "target"
    make(path)
    mode = os.lstat(path).st_mode
    with pytest.raises(InputError, match=r"cannot write '.*target': .*; nothing was written; give the path of a file"):
        writer(path)
    assert os.lstat(path).st_mode == mode
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]


@writers
def test_follows_a_link_to_a_pipe_and_refuses_it(tmp_path, writer):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(InputError, match="a folder or a device"):
        writer(tmp_path / "link")
    assert stat.S_ISFIFO(os.stat(tmp_path / "link").st_mode)


@pytest.mark.parametrize("writer", WRITERS[:-1], ids=lambda writer: writer.__name__)
def test_follows_a_link_to_its_file(tmp_path, writer):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    writer(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() != b"old"


def test_makes_the_file_behind_a_dangling_link(tmp_path):
    (tmp_path / "link").symlink_to("later")
    write(tmp_path / "link")
    assert (tmp_path / "later").read_bytes() == b"content"


def test_the_umask_decides_the_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o640


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="No space left on device"):
        write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("path", ["nowhere/file", "file/inside", "null\0", "n" * 300, ""], ids=repr)
@writers
def test_names_a_path_that_cannot_be(tmp_path, monkeypatch, writer, path):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").write_bytes(b"old")
    with pytest.raises(InputError, match="cannot write"):
        writer(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_long_name_is_written(tmp_path):
    write(tmp_path / ("n" * 255))
    assert (tmp_path / ("n" * 255)).read_bytes() == b"content"


@pytest.mark.parametrize("exists", [True, False])
def test_the_check_changes_nothing(tmp_path, exists):
    if exists:
        (tmp_path / "file").write_bytes(b"old")
    check_replaceable(tmp_path / "file")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == ([b"old"] if exists else [])


@pytest.mark.parametrize("name", ["report/", "report/.", "report/..", "", "report//"])
@writers
def test_a_path_that_names_a_folder_makes_no_file(tmp_path, writer, name):
    with pytest.raises(InputError, match="it names a folder"):
        writer(f"{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no folder that a process is in")
@writers
def test_a_current_folder_that_is_gone_is_named(tmp_path, monkeypatch, writer):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(InputError, match=r"cannot write 'x\.json': No such file"):
        writer("x.json")
