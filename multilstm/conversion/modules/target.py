"""The target of a module: plain source that a person would write, and its arrays in safetensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from safetensors import numpy as safetensors

from multilstm.conversion.modules.notes import notes_of_modules
from multilstm.conversion.modules.state import AbstractState
from multilstm.conversion.target import Target
from multilstm.spec import Graph
from multilstm.spec.arrays import Array

__all__ = ["module_target"]


def module_target(
    name: str,
    title: str,
    engine: str,
    source: Callable[[Graph], str],
    state: Callable[[Graph], AbstractState],
    notes: Callable[[Graph], Iterable[str]] = lambda spec: (),
) -> Target:
    """Return the target whose files are a module and its arrays.

    Args:
        name: as in `--to`.
        title: the framework in messages.
        engine: the name of the engine that executes the files.
        source: returns the source of a spec.
        state: returns the names and layouts of the arrays of a spec.
        notes: yields the differences between the model's training and the module's that other modules do not have.
    """

    def files(spec: Graph, weights: Mapping[str, Array], training: object = None) -> dict[str, bytes]:
        text = source(spec).encode()  # first, because it refuses the layers whose arrays have no counterpart
        return {".py": text, ".safetensors": safetensors.save(state(spec).to_target(weights))}

    def all_notes(spec: Graph, training: object = None) -> Iterable[str]:
        return (*notes(spec), *notes_of_modules(spec))

    return Target(name, title, (".py",), engine, files, all_notes, further=(".safetensors",))
