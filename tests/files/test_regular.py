"""Reading: only regular files, and only up to a limit."""

import os

import pytest

from multilstm import load_weights
from multilstm.errors import InputError
from multilstm.files import load_model
from multilstm.files.regular import read_bytes


def read(path):
    read_bytes(path, 100)


def read_model(path):
    load_model(str(path))


READERS = [read, load_weights, read_model]
readers = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/tty", "pipe.json", "link.json", "folder.json"])
@readers
def test_reads_nothing_but_a_regular_file(tmp_path, monkeypatch, reader, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.json")
    os.symlink("/dev/zero", "link.json")
    os.mkdir("folder.json")
    with pytest.raises(InputError, match=rf"cannot read '{name}': (it is a folder|No such device)"):
        reader(name)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_reads_a_file_up_to_the_limit(tmp_path, size):
    (tmp_path / "file").write_bytes(b"x" * size)
    assert read_bytes(tmp_path / "file", 100) == b"x" * size


def sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def test_refuses_a_larger_file_before_it_is_read(tmp_path):
    with pytest.raises(InputError, match=r"it has 1,099,511,627,776 bytes, expected at most 100"):
        read_bytes(sparse(tmp_path / "file", 2**40), 100)
    with pytest.raises(InputError, match=r"it has 1,099,511,627,776 bytes, expected at most"):
        load_model(str(sparse(tmp_path / "model.json", 2**40)))
    with pytest.raises(InputError, match=r"it has 8,796,093,022,208 bytes, expected at most"):
        load_weights(sparse(tmp_path / "weights", 2**43))


@pytest.mark.parametrize("name", ["none.json", "null\0.json", "n" * 300 + ".json"], ids=["missing", "null", "long"])
@readers
def test_names_a_path_that_cannot_be(tmp_path, monkeypatch, reader, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot read"):
        reader(name)


def test_follows_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", 1) == b"x"
