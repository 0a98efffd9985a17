"""The kind of a file by its content, never by its name: extensions lie."""

from __future__ import annotations

import enum

from multilstm.errors import InputError

__all__ = ["Kind", "recognise"]


class Kind(enum.Enum):
    """The kinds of files that are read."""

    JSON = "JSON"
    HDF5 = "HDF5"
    ZIP = "a zip archive"
    SAFETENSORS = "safetensors"
    OLD_CHECKPOINT = "a checkpoint of PyTorch before version 1.6"
    KERAS_METADATA = "keras_metadata.pb of a SavedModel"
    ONNX = "ONNX"


_HDF5 = b"\x89HDF\r\n\x1a\n"
_OLD_CHECKPOINT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of the magic number of torch.save
_ADVICE = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself; run git lfs pull in its repository"),
    (b"\xff\xfe", "UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (
        b"\x08\x01\x12",
        "the graph of a SavedModel, which is not read; give keras_metadata.pb of its folder, if it is there",
    ),
    (b"\x93NUMPY", "a NumPy array (.npy), which holds no model; give the model's file"),
    (b"%PDF", "a PDF document; give the model's file"),
    (b"\x89PNG", "a picture; give the model's file"),
)
_ONNX_VERSIONS = tuple(bytes([version]) for version in range(3, 32))  # of the field ir_version, the first of a model
_PAGE = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<error")
_PICKLE = "a pickle, which can execute any code when it is loaded; save the model with its own save function"


def recognise(content: bytes) -> Kind:
    """Return the kind of a file.

    Args:
        content: all bytes of the file.

    Raises:
        InputError: for content of another kind: a message that names it, and states the next step.
    """
    if not content:
        raise InputError("the file is empty; copy or download it again")
    if content.startswith(_HDF5):
        return Kind.HDF5
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Kind.ZIP
    refuse_named(content)
    if content.startswith(_OLD_CHECKPOINT):
        return Kind.OLD_CHECKPOINT
    if content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise InputError(f"this is {_PICKLE}")
    if _is_safetensors(content):
        return Kind.SAFETENSORS
    if content[:1] == b"\n" and b"_tf_keras_" in content[:4096]:
        return Kind.KERAS_METADATA
    if content[:1] == b"\x08" and content[1:2] in _ONNX_VERSIONS:
        return Kind.ONNX
    if content[4:8] == b"TFL3":
        raise InputError("this is a TensorFlow Lite model, which is not read; give the Keras model that it was made of")
    return _text(content)


def refuse_named(content: bytes) -> None:
    """Raise InputError for content that multilstm never reads and can name, such as a web page saved by mistake."""
    for start, advice in _ADVICE:
        if content.startswith(start):
            raise InputError(f"this is {advice}")
    if _beginning(content)[:64].lower().startswith(_PAGE):
        raise InputError(
            "this is a web page, perhaps the error page of a download; open it in a browser; download the file itself"
        )


def _beginning(content: bytes) -> bytes:
    return content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()


def _is_safetensors(content: bytes) -> bool:
    """Whether the file begins with the length of a header, and the header with an object."""
    size = int.from_bytes(content[:8], "little")
    return 2 <= size <= 100_000_000 and content[8:9] == b"{" and size < 2**32 and b"\0" in content[:8]


def _text(content: bytes) -> Kind:
    start = _beginning(content)
    if not start or not start.strip(b"\0"):
        raise InputError("the file holds nothing but blanks or zeros; copy or download it again")
    if start[:1] in (b"{", b"[", b'"'):
        return Kind.JSON
    if start.startswith((b"class_name:", b"backend:", b"config:", b"keras_version:")):
        raise InputError("this is YAML, which is not read; load the model with its Keras and write model.to_json()")
    if content.find(_HDF5, 0, 2**20) > 0:
        raise InputError("this is HDF5 with other bytes before it; expected HDF5 from the first byte on")
    raise InputError(
        "this is no model file that multilstm knows; expected Keras's .keras, .h5 or model.to_json(), or a state dict "
        "of PyTorch"
    )
