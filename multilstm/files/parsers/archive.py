"""Zip archives: Keras 3's `.keras` and PyTorch's checkpoints."""

from __future__ import annotations

from typing import Any

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.checkpoint import checkpoint, is_checkpoint
from multilstm.files.parsers.hdf5 import Hdf5
from multilstm.files.parsers.parsed import Budget, Parsed
from multilstm.files.parsers.zip_members import Archive

__all__ = ["parse"]


def parse(content: bytes) -> Parsed:
    """Return the content of a `.keras` file, or of a checkpoint of PyTorch.

    Of a `.keras` file, the document has `config` and `metadata` as text, and all that `hdf5.parse` returns for the
    weights. For a checkpoint, see `checkpoint.py`.
    """
    archive = Archive(content, Budget(len(content)))
    names = archive.names
    if "config.json" in names:
        return _keras(archive)
    if is_checkpoint(names):
        return checkpoint(archive)
    raise InputError(_other(names))


def _keras(archive: Archive) -> Parsed:
    document: dict[str, Any] = {"config": archive.text("config.json")}
    if "metadata.json" in archive.names:
        document["metadata"] = archive.text("metadata.json")
    if "model.weights.h5" in archive.names:
        weights = Hdf5(archive.read("model.weights.h5"), archive.budget).parsed()
        return Parsed({**weights.document, **document}, weights.arrays)
    others = [name for name in archive.names if name.startswith("model.weights")]
    if others:
        raise InputError(
            f"the weights are in {listed(map(shown, others))}; expected model.weights.h5; save it as one file"
        )
    return Parsed(document)


def _other(names: tuple[str, ...]) -> str:
    """Return the message for an archive that is no model of Keras."""
    if any(name.endswith(".npy") for name in names):
        return "this is a NumPy archive (.npz) of arrays; expected a model file; multilstm.load does not read it"
    return (
        f"this is a zip archive with {listed(map(shown, names[:5])) or 'no members'}; expected config.json and "
        f"model.weights.h5, as in Keras's .keras files"
    )
