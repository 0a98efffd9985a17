"""The environments in which the engines of a run compute: `--python`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from multilstm.errors import UsageError, listed

__all__ = ["environments"]


@contextlib.contextmanager
def environments(python: tuple[str, ...], engines: tuple[str, ...]) -> Iterator[None]:
    """Have the engines of `--python` registered inside of a `with` block.

    Args:
        python: the values of `--python`, such as `keras-jax@old=/path/to/python`.
        engines: the values of `--engine`; empty: all.

    Raises:
        UsageError: for a value of another form, an engine given twice, or one that `--engine` leaves out.
        EngineUnavailableError: for an interpreter that cannot run the engine.
    """
    from multilstm.engines.elsewhere import row_with
    from multilstm.engines.registry import engine_row, registered

    paths: dict[str, str] = {}
    for value in python:
        label, equals, path = value.partition("=")
        if not equals or not path:
            raise UsageError(f"--python {value!r}: expected ENGINE=PATH, such as keras-jax@old=/path/to/python")
        if label in paths:
            raise UsageError(f"--python gives {label!r} twice; give each engine once, or labels such as {label}@old")
        engine_row(label)
        paths[label] = path
    unused = [label for label in paths if engines and label not in engines]
    if unused:
        raise UsageError(f"--python names {listed(unused)}, which --engine leaves out; name them there too")
    with registered([row_with(label, path) for label, path in paths.items()]):
        yield
