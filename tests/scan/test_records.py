"""Records of measured plans: written whole, read as data, ignored with a warning if broken or of another machine."""

import json
import os
import warnings

import pytest

from multilstm.scan.loops import records
from multilstm.scan.loops.records import recorded

RECORD = {"forward": "left", "gradient": "rules", "milliseconds": {"forward": {"left": 1.0}, "gradient": {}}}
NAMES = ("rules", "left")


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setattr(records, "_known", {})
    monkeypatch.setattr(records.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    return records.location()


def again():
    """Return the record as another process finds it, and how often it was measured."""
    calls = []

    def measure():
        calls.append(1)
        return {**RECORD, "forward": "rules"}

    records._known.clear()
    return recorded("4x8", measure, NAMES), len(calls)


def test_a_record_is_read_by_the_next_process(path):
    assert recorded("4x8", lambda: RECORD, NAMES) == RECORD
    assert again() == (RECORD, 0)
    recorded("2x2", lambda: RECORD, NAMES)
    found = json.loads(path.read_text())
    assert found["machine"] == records.machine()
    assert list(found["plans"]) == ["4x8", "2x2"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no half-written file


BROKEN = {
    "no_json": ("{", "is ignored"),
    "list": ("[]", "expected a JSON object with the format 1"),
    "format": ('{"format": 2}', "expected a JSON object with the format 1"),
    "machine": ('{"format": 1, "machine": {}, "plans": {}}', "it is of another machine"),
    "plans": (None, "its plans have no winner for each mode"),
    "bytes": (b"\xff\xfe\x00", "is ignored"),
    "nested": ("[" * 100_000, "nested too deeply|lists and objects"),
    "large": (" " * 5_000_000, "expected at most 4,194,304"),
    "repeated_key": ('{"format": 1, "format": 1}', "'format' twice"),
    "infinity": ('{"format": Infinity}', "finite numbers only"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_ignored_with_a_line_and_left_as_it_is(path, case):
    content, reason = BROKEN[case]
    if content is None:
        content = json.dumps({"format": 1, "machine": records.machine(), "plans": {"4x8": {"forward": 3}}})
    content = content if isinstance(content, bytes) else content.encode()
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=reason) as caught:
        record, measured = again()
    assert (record["forward"], measured, len(caught)) == ("rules", 1, 1)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["pipe", "endless_device", "link_to_nothing", "folder"])
def test_another_thing_in_the_place_of_the_file_is_ignored_with_a_line(path, kind):
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "endless_device" else path.parent / "nothing")
    before = path.lstat()
    with pytest.warns(UserWarning, match="is ignored"):
        assert again()[1] == 1
    assert path.lstat() == before


def test_a_winner_that_no_longer_exists_is_measured_again(path):
    recorded("4x8", lambda: {**RECORD, "forward": "gone"}, NAMES)
    assert again() == ({**RECORD, "forward": "rules"}, 1)
    assert json.loads(path.read_text())["plans"]["4x8"]["forward"] == "rules"


def test_a_folder_that_cannot_be_written_loses_the_record_with_a_line(path):
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("a file in the place of the folder")
    with pytest.warns(UserWarning, match=r"the plan is lost|is ignored"):
        assert again()[1] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recorded("4x8", lambda: pytest.fail("measured twice in one process"), NAMES)
