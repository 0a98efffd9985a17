"""Objects named by a target `module:name`, imported only where they are used."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable
from typing import Any

from multilstm.errors import UsageError

_TARGET = re.compile(r"([^:]+):([^:]+)")


def is_target(text: str) -> bool:
    """Whether the text has the form `module:name`."""
    return _TARGET.fullmatch(text) is not None


def import_target(target: str) -> Any:
    """Import the module of a target and return the object of that name.

    Call it inside the process that may import the module's framework. The exceptions of the import pass through.

    Args:
        target: `module:name`, for example `multilstm.engines.jax_scan:JaxScanEngine`.

    Raises:
        UsageError: if the text has another form.
        ImportError: if the module cannot be imported.
        AttributeError: if the module has no such name.
    """
    match = _TARGET.fullmatch(target)
    if match is None:
        raise UsageError(f"target {target!r}: expected module:name")
    module, name = match.groups()
    return getattr(importlib.import_module(module), name)


def not_installed(modules: Iterable[str]) -> tuple[str, ...]:
    """Return those of the top-level modules that are not installed, without importing any."""
    return tuple(module for module in modules if importlib.util.find_spec(module) is None)


def is_distributed(package: str) -> bool:
    """Whether a package of that name is installed, whatever its modules."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
