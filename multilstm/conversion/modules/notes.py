"""The differences between the training of a model and of a module, which all targets with modules share."""

from __future__ import annotations

from collections.abc import Iterator

from multilstm.spec import Dropout, Graph, SpatialDropout1D

__all__ = ["notes_of_modules"]


def notes_of_modules(spec: Graph) -> Iterator[str]:
    """Yield sentences without a full stop."""
    layers = [inner for layer in spec.layers for inner in layer.nested]
    if any(isinstance(layer, Dropout | SpatialDropout1D) for layer in layers):
        yield "Dropout layers draw other masks than Keras's"
    if any(getattr(layer, "dropout", 0.0) or getattr(layer, "recurrent_dropout", 0.0) for layer in layers):
        yield "dropout inside of recurrent layers is left out; the recurrent modules have none"
    if spec.regularizers:
        yield "regularizers are left out: add them to the loss"
    if any(layer.stateful for layer in spec.recurrent.values()):
        yield "stateful layers begin every call at zero: pass the states of the call before"
