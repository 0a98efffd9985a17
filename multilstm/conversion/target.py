"""A format into which a model is converted: its files, the engine that executes them, and its refusals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from multilstm.errors import UnsupportedError
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import Layer

__all__ = ["Target", "refusal"]


def _no_notes(spec: Graph) -> Iterable[str]:
    return ()


@dataclasses.dataclass(frozen=True)
class Target:
    """One format into which `multilstm convert` translates a model.

    Attributes:
        name: as in `--to`.
        title: the framework or format in messages, `PyTorch`.
        suffixes: those that the main file may have.
        engine: the name of the engine that executes the files.
        files: makes the files from a spec and its weights by `layer/weight`, in Keras's layout: the contents by suffix,
            the main file first. UnsupportedError names a layer or an option that the format lacks. None: `prove` makes
            them.
        notes: sentences, without a full stop, on the differences between the model and the files.
        settings: environment variables that the engine's process needs before it starts.
        prove: makes and compares the files, for a format that its own framework writes. It takes a spec, weights, the
            training (`multilstm.files.compiled.Compiled`) and a follower. It returns files, report and notes.
        further: the suffixes of the other files, which are written next to the main file.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    engine: str
    files: Callable[[Graph, Mapping[str, Array]], Mapping[str, bytes]] | None
    notes: Callable[[Graph], Iterable[str]] = _no_notes
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prove: Callable[..., tuple[Mapping[str, bytes], Any, Iterable[str]]] | None = None
    further: tuple[str, ...] = ()


def refusal(target: str, layer: Layer, given: str, reason: str) -> UnsupportedError:
    """Return the error for a layer that cannot be converted.

    Args:
        target: the name of the target.
        layer: the layer.
        given: the option or the input that the target lacks.
        reason: the counterpart in the target, and its difference.
    """
    return UnsupportedError(
        f"{target}: {layer.label} cannot be converted because of {given}: {reason}; change the layer, or write its "
        f"part by hand"
    )
