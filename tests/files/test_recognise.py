"""Files recognised by content: content that is no model is named as what it is, with the next step."""

import gzip
import pickle

import pytest

import multilstm
from multilstm.errors import InputError
from multilstm.files.recognise import Kind, recognise

OTHERS = {
    "empty": (b"", "the file is empty; copy or download it again"),
    "zeros": (b"\0" * 5000, "nothing but blanks or zeros"),
    "git_lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "a git-lfs pointer.*git lfs pull",
    ),
    "web_page": (b"\n <!DOCTYPE HTML><html><title>404</title>", "a web page, perhaps the error page of a download"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
    "pickle": (pickle.dumps({"weights": [1.0]}), "a pickle, which can execute any code"),
    "gzip": (gzip.compress(b"{}"), "a gzip archive; unpack it first"),
    "npy": (b"\x93NUMPY\x01\0", r"a NumPy array \(.npy\)"),
    "yaml": (b"backend: tensorflow\nclass_name: Sequential\n", "YAML.*write model.to_json"),
    "tflite": (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
    "utf_16": ('{"class_name": "Sequential"}'.encode("utf-16"), "UTF-16 text; save it as UTF-8"),
    "text": (b"hello", "no model file that multilstm knows"),
    "random": (bytes(range(256)), "no model file that multilstm knows"),
    "user_block": (b"x" * 512 + b"\x89HDF\r\n\x1a\n", "HDF5 with other bytes before it"),
}


@pytest.mark.parametrize(("content", "message"), OTHERS.values(), ids=OTHERS)
def test_names_what_is_no_model(tmp_path, content, message):
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(InputError, match=f"cannot read '.*model.keras': .*{message}"):
        multilstm.load(tmp_path / "model.keras")


@pytest.mark.parametrize("name", ["saved_model.pb", "keras_metadata.pb", "config.json", "other"])
def test_names_a_folder(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    message = {"config.json": "an unpacked .keras archive", "other": "it is a folder"}.get(name, "a SavedModel folder")
    with pytest.raises(InputError, match=message):
        multilstm.load(tmp_path)


KINDS = {
    b"\x89HDF\r\n\x1a\n": Kind.HDF5,
    b"PK\x03\x04": Kind.ZIP,
    b"PK\x05\x06" + b"\0" * 18: Kind.ZIP,
    b" \n{}": Kind.JSON,
    b"\xef\xbb\xbf[]": Kind.JSON,
    (2).to_bytes(8, "little") + b"{}": Kind.SAFETENSORS,
}


@pytest.mark.parametrize(("content", "kind"), KINDS.items(), ids=lambda value: str(value)[:12])
def test_recognises_the_formats_that_are_read(content, kind):
    assert recognise(content) == kind
