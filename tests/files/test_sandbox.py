"""The process that parses a file: it opens no file, and ends within its limits."""

import os
import sys

import numpy as np
import pytest
from written_files import SPEC, hdf5, keras_archive, tree, weights_of

import multilstm
from multilstm.errors import InputError
from multilstm.files import sandbox, sandbox_child
from multilstm.files.sandbox import parse_in_process

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these limits")
HOSTILE = """
from multilstm.errors import InputError
from multilstm.files.parsers.parsed import Parsed

def parse(content):
    {body}
    return Parsed({{"reached": True}})
"""


@pytest.fixture
def parser(tmp_path, monkeypatch):
    """Replace the parser of HDF5, in the process too, by a function with a given body."""

    def write(body):
        (tmp_path / "hostile_parser.py").write_text(HOSTILE.format(body=body))
        child = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        child += "from multilstm.files import sandbox_child as c\n"
        child += "c.PARSERS['hdf5'] = 'hostile_parser'; c.SECONDS = 1; c.main('hdf5')"
        (tmp_path / "hostile_child.py").write_text(child)
        monkeypatch.setattr(sandbox, "COMMAND", (sys.executable, "-P", str(tmp_path / "hostile_child.py")))

    return write


def seconds():
    """Return the CPU time of this process and of those that it started: other processes do not change it."""
    return sum(os.times()[:4])


@linux
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("open('/etc/passwd')", "OSError: .*Too many open files"),
        ("open('written_by_the_child', 'w')", "Too many open files"),
        ("import socket; socket.socket()", "Too many open files|ImportError"),
        ("bytearray(4 * 2**30)", "it needs more memory than a file of its size may"),
        ("raise InputError('a reason')", "^a reason$"),
        ("raise KeyError('x')", "broken or incomplete"),
        ("import os; os.abort()", "was ended by SIGABRT; the file is broken"),
        ("import os; os._exit(7)", "ended with exit code 7"),
        ("while True: pass", "reading it took more than 10 seconds; it is broken"),
    ],
    ids=["reads_a_file", "writes_a_file", "socket", "memory", "refused", "error", "crash", "exit", "endless"],
)
def test_a_parser_that_misbehaves_ends_in_an_error(parser, tmp_path, monkeypatch, body, message):
    monkeypatch.chdir(tmp_path)
    parser(body)
    with pytest.raises(InputError, match=message):
        parse_in_process("hdf5", b"content")
    assert not (tmp_path / "written_by_the_child").exists()


def test_a_parser_that_behaves_answers(parser):
    parser("pass")
    assert parse_in_process("hdf5", b"content").document == {"reached": True}


def test_the_parser_of_pickles_opens_no_file_for_old_text():
    with pytest.raises(InputError, match="the pickle uses UNICODE"):
        parse_in_process("checkpoint", b"\x80\x02Vtext\n.")


def test_arrays_cross_the_process_border(tmp_path):
    weights = weights_of(SPEC, "float64")
    (tmp_path / "model.keras").write_bytes(keras_archive(SPEC, weights))
    loaded = multilstm.load(tmp_path / "model.keras")
    for name, array in weights.items():
        np.testing.assert_array_equal(loaded.weights[name], array, strict=True)


def test_ten_megabytes_are_read_in_two_seconds(tmp_path):
    spec = multilstm.Sequential([multilstm.LSTM(700)], input_shape=(None, 200))
    content = hdf5(tree(spec, weights_of(spec)))
    assert len(content) > 10**7
    (tmp_path / "weights").write_bytes(content)
    start = seconds()
    multilstm.load(tmp_path / "weights", architecture=spec)
    assert seconds() - start < 2


@pytest.mark.parametrize("cut", [9, 100, 1000, -1000, -1])
@pytest.mark.parametrize("kind", ["keras", "hdf5"])
def test_a_truncated_file_is_named(tmp_path, kind, cut):
    weights = weights_of(SPEC)
    content = keras_archive(SPEC, weights) if kind == "keras" else hdf5(tree(SPEC, weights))
    (tmp_path / "model").write_bytes(content[:cut])
    with pytest.raises(InputError, match=r"broken|incomplete"):
        multilstm.load(tmp_path / "model", architecture=None if kind == "keras" else SPEC)


def test_the_time_limit_grows_with_the_file():
    assert sandbox_child.seconds_for(0) < sandbox_child.seconds_for(2**30)
