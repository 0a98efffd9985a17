"""Any path and any kind of file: read or written as a whole, or refused in one line that leaves nothing behind."""

import os
import string
import tempfile

from hostile_values import assert_short_line, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from multilstm.files import read_bytes, write_bytes
from multilstm.report.files import check_writable

names = st.text(string.ascii_letters + "./\0\x1b\n é'\"\\", min_size=1, max_size=20) | st.integers(1, 400).map(
    "n".__mul__
)
KINDS = ("nothing", "file", "folder", "pipe", "sparse", "device", "link_to_file", "link_to_pipe", "dangling", "loop")


def make(kind, path):
    if kind == "folder":
        os.mkdir(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        os.symlink("/dev/zero", path)
    elif kind.startswith("link_to_"):
        make(kind.removeprefix("link_to_"), path + ".target")
        os.symlink(path + ".target", path)
    elif kind in ("dangling", "loop"):
        os.symlink(path if kind == "loop" else path + ".nothing", path)
    elif kind != "nothing":
        with open(path, "wb") as file:
            file.truncate(2**40 if kind == "sparse" else 3)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 10))
def test_any_kind_of_file_is_read_within_the_limit_or_refused(kind, limit):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        make(kind, path)
        content, message = outcome(read_bytes, path, limit)
    readable = kind in ("file", "link_to_file") and limit >= 3
    assert content == (b"\0\0\0" if readable else None)
    if message is not None:
        assert_short_line(message)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.binary(max_size=5))
def test_any_kind_of_file_is_replaced_as_a_whole_or_stays(kind, content):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        make(kind, path)
        before = sorted(os.listdir(folder))
        _, message = outcome(write_bytes, path, content)
        if kind in ("nothing", "file", "sparse", "link_to_file", "dangling"):
            assert read_bytes(path, 5) == content
        else:
            assert_short_line(message)
            assert sorted(os.listdir(folder)) == before


@settings(max_examples=100, deadline=None)
@given(names)
def test_any_path_of_a_report_is_checked_before_it_is_written(name):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name.replace("..", "").lstrip("/") or "x")
        _, refusal = outcome(check_writable, path)
        _, failure = outcome(write_bytes, path, b"content")
        assert (refusal is None) == (failure is None)
        if failure is None:
            assert read_bytes(path, 10) == b"content"
        else:
            assert_short_line(failure)
            assert os.listdir(folder) == []
