"""The file keras_metadata.pb of a SavedModel of Keras 2: a protocol buffer with JSON for every object.

Its schema is tensorflow/python/keras/protobuf/saved_metadata.proto. The graph and the weights lie in other files.
"""

from __future__ import annotations

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.parsed import Parsed
from multilstm.files.parsers.protobuf import Message

__all__ = ["parse"]

NODES = 1
PATH, IDENTIFIER, METADATA = 3, 4, 5
MODELS = ("_tf_keras_sequential", "_tf_keras_network", "_tf_keras_model")


def parse(content: bytes) -> Parsed:
    """Return the configuration of the model: the document has `config` as text."""
    nodes = Message(content).messages(NODES)
    for node in nodes:
        if node.text(PATH) == "root" and node.text(IDENTIFIER) in MODELS:
            return Parsed({"config": node.text(METADATA)})
    raise InputError(
        f"keras_metadata.pb has no model at its root; its objects are "
        f"{listed(shown(node.text(IDENTIFIER)) for node in nodes[:5]) or 'none'}"
    )
