"""Winners of tournaments, recorded in the user's cache directory: one file for each machine and version of jaxlib.

A file is data: names of contestants, by class of sizes. A file that is broken or of another origin is ignored, with a
warning, and left as it is. A new record replaces the file at once, so that no process reads half a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import pathlib
import tempfile
import warnings
from collections.abc import Callable, Container
from typing import Any

import jax
import platformdirs

from multilstm.errors import InputError
from multilstm.files import read_text
from multilstm.frameworks.machine import cores, processor
from multilstm.json_data.parsing import parse_json

VARIABLE = "MULTILSTM_MEASURE"  # of the environment; 1 switches measuring on
_FORMAT = 1
_LARGEST = 1 << 22  # bytes of a file: thousands of classes
_MODES = ("forward", "gradient")
_switch = [False]
_known: dict[str, dict[str, Any]] = {}


def switch_on() -> None:
    """Let `lstm` measure plans from now on, in this process."""
    _switch[0] = True


def is_measuring() -> bool:
    """Return whether plans are measured: after `switch_on`, or with the environment variable `MULTILSTM_MEASURE=1`."""
    return _switch[0] or os.environ.get(VARIABLE) == "1"


def machine() -> dict[str, Any]:
    """Return the facts for which a record holds."""
    return {
        "processor": processor(),
        "cores": cores(),
        "devices": jax.local_device_count(),
        "jaxlib": importlib.metadata.version("jaxlib"),
        "flags": os.environ.get("XLA_FLAGS", ""),
    }


def location() -> pathlib.Path:
    """Return the file of this machine's records, in the user's cache directory."""
    digest = hashlib.sha256(json.dumps(machine(), sort_keys=True).encode()).hexdigest()
    return platformdirs.user_cache_path("multilstm") / "plans" / f"{digest[:16]}.json"


def recorded(key: str, measure: Callable[[], dict[str, Any]], names: Container[str]) -> dict[str, Any]:
    """Return the record of a class; a class without a record is measured, and recorded.

    Args:
        key: the class.
        measure: returns a record: the name of the winner by mode, and the milliseconds of all.
        names: the names that a winner may have.
    """
    if key in _known:
        return _known[key]
    path = location()
    record = (read(path) or {}).get(key)
    if record is None or any(record[mode] not in names for mode in _MODES):
        record = measure()
        _write(path, key, record)
    _known[key] = record
    return record


def read(path: pathlib.Path) -> dict[str, dict[str, Any]] | None:
    """Return the records of a file by class, none if it does not exist, and None with a warning if it is broken."""
    if not os.path.lexists(path):
        return {}
    try:
        found = parse_json(read_text(path, _LARGEST, "JSON"), _LARGEST)
    except InputError as error:
        _warn(path, str(error))
        return None
    plans: Any = found.get("plans") if isinstance(found, dict) else None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        reason = f"expected a JSON object with the format {_FORMAT}"
    elif found.get("machine") != machine():
        reason = "it is of another machine"
    elif not isinstance(plans, dict) or not all(map(_is_record, plans.values())):
        reason = "its plans have no winner for each mode"
    else:
        return dict(plans)
    _warn(path, reason)
    return None


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(mode), str) for mode in _MODES)


def _warn(path: pathlib.Path, reason: str) -> None:
    warnings.warn(
        f"measured plans: {path} is ignored ({reason}); plans are measured again in each process until it is deleted",
        stacklevel=2,
    )


def _write(path: pathlib.Path, key: str, record: dict[str, Any]) -> None:
    """Add a record to the file, if there is none or it is whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `recorded` has warned
        plans = read(path)
    if plans is None:
        return
    content = {"format": _FORMAT, "machine": machine(), "plans": {**plans, key: record}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        warnings.warn(f"measured plans: {path} cannot be written ({error}); the plan is lost", stacklevel=2)
