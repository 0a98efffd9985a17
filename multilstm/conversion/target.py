"""A format into which a model is converted: its files, the engine that executes them, and its refusals."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from multilstm.errors import UnsupportedError
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import Layer

__all__ = ["Target", "refusal"]


def _no_notes(spec: Graph, training: Any) -> Iterable[str]:
    return ()


@dataclasses.dataclass(frozen=True)
class Target:
    """One format into which `multilstm convert` translates a model.

    Attributes:
        name: as in `--to`.
        title: the framework or format in messages, `PyTorch`.
        suffixes: those that the main file may have.
        engine: the name of the engine that executes the files.
        files: makes the files from a spec, its weights by `layer/weight` in Keras's layout, and its training, a
            `multilstm.files.compiled.Compiled`. It returns the contents by suffix, the main file first.
            UnsupportedError names a layer or an option that the format lacks.
        notes: sentences, without a full stop, on the differences between a spec with its training and the files.
        settings: environment variables that the engine's process needs before it starts.
        further: the suffixes of the other files, which are written next to the main file.
        executor: the class that executes the files, as `module:Class`, where it is not that of the engine.
        is_plain_keras: whether the files hold layers of Keras itself, with their faults.
        keeps_penalties: whether the files hold regularizers, which their losses then have.
        keeps_training: whether the files hold optimizer and losses where they are given.
        stateful_calls: the calls of a stateful layer through which the files carry its state. It is `one` call,
            several that are `dependent` on each other, or `any`.
        dtype: of the weights in the files; None: that of the model.
        check: reads the main file back as data; ParityError for another spec or other weights. None: the engine alone
            reads the files.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    engine: str
    files: Callable[[Graph, Mapping[str, Array], Any], Mapping[str, bytes]]
    notes: Callable[[Graph, Any], Iterable[str]] = _no_notes
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    further: tuple[str, ...] = ()
    executor: str | None = None
    is_plain_keras: bool = False
    keeps_penalties: bool = False
    keeps_training: bool = False
    stateful_calls: Literal["one", "dependent", "any"] = "one"
    dtype: str | None = None
    check: Callable[[pathlib.Path, Graph, Mapping[str, Array]], None] | None = None


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
