"""The content of a user's model file as data: a spec, weights, the training configuration, and where they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.dialects import Part
from multilstm.spec.summary import one_line

__all__ = ["LoadedModel", "Provenance"]


@dataclasses.dataclass(frozen=True)
class Provenance:
    """The origin of a loaded model.

    Attributes:
        format: the format of the file, such as `Keras 3 archive (.keras)`.
        program: the program that wrote the file, such as `Keras`; `unknown` with the reason where the file does not
            state it.
        version: the version of the program; None where the file does not state it.
        backend: Keras's backend at that time; None where the file does not state it.
        generation: the generation of Keras whose rules apply, from 0 to 3; None for another program.
        notes: sentences on the meaning of the file: defaults of that version, conversions, entries that were ignored.
    """

    format: str
    program: str
    version: str | None = None
    backend: str | None = None
    notes: tuple[str, ...] = ()
    generation: int | None = None

    @property
    def sentence(self) -> str:
        """The program that wrote the file and the format, in one sentence of printable text."""
        version = f" {self.version}" if self.version else ""
        return _printable(f"The model is from {self.program}{version}: {self.format}.")

    def lines(self) -> tuple[str, ...]:
        """Return the origin as lines of printable text: format, program, then one line for each note."""
        version = f" {self.version}" if self.version else ""
        backend = f", backend {self.backend}" if self.backend else ""
        lines = (
            f"Format: {self.format}",
            f"Written by: {self.program}{version}{backend}",
            *(f"Note: {note}" for note in self.notes),
        )
        return tuple(map(_printable, lines))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


@dataclasses.dataclass(frozen=True, repr=False)
class LoadedModel:
    """A user's model, read from files.

    Attributes:
        spec: the model.
        weights: every weight by `layer/weight` in Keras's layout; None where the files hold none.
        training: the optimizer and loss with which the model was compiled, as Keras wrote them; None if absent.
        optimizer_state: the optimizer's arrays by the names in the file; None if absent.
        provenance: the origin of the model.
        parts: the layers and the models inside the model, in the order of the file; empty without a file.
        held: the layers that the file calls with `training=False`, which holds them in inference in Keras 1 and 2.
    """

    spec: Graph
    weights: Mapping[str, Array] | None
    provenance: Provenance
    training: Mapping[str, Any] | None = None
    optimizer_state: Mapping[str, Array] | None = None
    parts: tuple[Part, ...] = ()
    held: tuple[str, ...] = ()

    def __repr__(self) -> str:  # one line in a notebook; the weights are pages of numbers
        weights = "without weights" if self.weights is None else "with weights"
        return f"<LoadedModel {weights}, from {_printable(self.provenance.format)}: {one_line(self.spec)}>"

    @property
    def origin(self) -> str:
        """The origin of the model, and the part of its file that no comparison uses, in sentences."""
        if self.training is None:
            return self.provenance.sentence
        return f"{self.provenance.sentence} The optimizer and the loss with which it was compiled take no part."
