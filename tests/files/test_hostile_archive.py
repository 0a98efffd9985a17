"""Hostile zip archives: refused with the reason, and never extracted."""

import io
import os
import struct
import warnings
import zipfile

import pytest
from written_files import SPEC, archive, keras_archive, weights_of

import multilstm
from multilstm.errors import InputError

pytestmark = pytest.mark.usefixtures("parse_here")
CONFIG = SPEC.to_json()
MODEL = keras_archive(SPEC, weights_of(SPEC))


def with_member(name, content=b"x", **changes):
    info = zipfile.ZipInfo(name)
    for key, value in changes.items():
        setattr(info, key, value)
    return archive({"config.json": CONFIG, info: content})


def twice(name):
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as file:
        warnings.simplefilter("ignore")
        file.writestr(name, CONFIG)
        file.writestr(name, CONFIG)
    return stream.getvalue()


def patched(content, signature, offset, value):
    """Return an archive with a field changed in every header of one kind."""
    changed = bytearray(content)
    start = content.find(signature)
    while start >= 0:
        changed[start + offset : start + offset + len(value)] = value
        start = content.find(signature, start + 4)
    return bytes(changed)


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
BOMB = archive({"config.json": CONFIG, "model.weights.h5": b"\0" * 200 * 2**20}, compression=zipfile.ZIP_DEFLATED)
HOSTILE = {
    "duplicate_config": (twice("config.json"), "holds 'config.json' twice"),
    "bzip2": (
        archive({"config.json": CONFIG}, compression=zipfile.ZIP_BZIP2),
        "packed with method 12; expected stored",
    ),
    "lzma": (archive({"config.json": CONFIG}, compression=zipfile.ZIP_LZMA), "packed with method 14"),
    "deflate_bomb": (BOMB, "claims 209,715,200 bytes, and the whole file may unpack to at most"),
    "false_size": (patched(archive({"config.json": CONFIG}), CENTRAL, 24, struct.pack("<I", 9)), "broken"),
    "huge_size": (patched(MODEL, CENTRAL, 24, struct.pack("<I", 2**32 - 2)), "expected at most|claims|broken"),
    "false_checksum": (patched(archive({"config.json": CONFIG}), CENTRAL, 16, b"abcd"), "'config.json' is broken"),
    "members_in_a_comment": (  # the comment of each member is as long as all that follows
        MODEL[: (directory := MODEL.find(CENTRAL)) + 32]
        + struct.pack("<H", MODEL.find(b"PK\x05\x06") - directory - 46 - len("metadata.json"))
        + MODEL[directory + 34 :],
        r"its directory has 1 members, its end states 3",
    ),
    "encrypted": (patched(archive({"config.json": CONFIG}), CENTRAL, 8, b"\x01\0"), "is encrypted"),
    "overlapping": (patched(MODEL, CENTRAL, 20, struct.pack("<I", len(MODEL))), "overlap|broken"),
    "parent_folder": (with_member("../out"), "has a path outside of the archive"),
    "inner_parent_folder": (with_member("assets/../../out"), "has a path outside of the archive"),
    "absolute": (with_member("/tmp/out"), "has a path outside of the archive"),
    "drive": (with_member("C:/out"), "has a path outside of the archive"),
    "backslash": (archive({"config.json": CONFIG, "abcd": b""}).replace(b"abcd", b"..\\b"), "has a path outside"),
    "symbolic_link": (with_member("assets/link", b"/etc/passwd", external_attr=0o120777 << 16), "is a link"),
    "long_name": (with_member("n" * 1001), "a name has 1,001 characters"),
    "npz_weights": (archive({"config.json": CONFIG, "model.weights.npz": b""}), "expected model.weights.h5"),
    "npz": (archive({"arr_0.npy": b""}), r"a NumPy archive \(.npz\)"),
    "no_members": (archive({}), "a zip archive with no members"),
    "document": (archive({"word/document.xml": b""}), "a zip archive with 'word/document.xml'"),
    "config_is_no_text": (archive({"config.json": b"\xff\xfe{"}), "no UTF-8 text"),
    "weights_are_no_hdf5": (archive({"config.json": CONFIG, "model.weights.h5": b"x" * 99}), "no HDF5, or incomplete"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_refuses_an_archive_and_writes_nothing(tmp_path, monkeypatch, content, message):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(InputError, match=message):
        multilstm.load(tmp_path / "model.keras")
    assert sorted(os.listdir(tmp_path)) == ["folder", "model.keras"]
    assert os.listdir(".") == []


def test_members_beside_the_model_are_ignored(tmp_path):
    (tmp_path / "model.keras").write_bytes(keras_archive(SPEC, weights_of(SPEC), **{"assets/vocabulary.txt": "a"}))
    assert multilstm.load(tmp_path / "model.keras").spec == SPEC


def test_names_with_escapes_do_not_reach_the_message(tmp_path):
    (tmp_path / "model.keras").write_bytes(archive({"\x1b[31m[bold]\n::error::": b""}))
    with pytest.raises(InputError) as raised:
        multilstm.load(tmp_path / "model.keras")
    assert "\x1b" not in str(raised.value)
    assert "\n" not in str(raised.value)
