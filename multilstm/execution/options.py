"""The options of a run: engines, dtypes, device, layers, tolerances."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from multilstm.compare.quantity import KINDS
from multilstm.errors import UsageError, choice, shown
from multilstm.frameworks.machine import MEMORY_IS_WATCHED
from multilstm.jobs.dtypes import DEVICES, DTYPES, check_dtype
from multilstm.jobs.job import LAYERS

LONGEST_TIMEOUT_S = 1e7  # four months: no system that waits for a job refuses to wait so long


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a run. A name that is given twice counts once.

    Attributes:
        engines: the names of the engines to judge.
        dtypes: the dtypes of the computation.
        layers: `portable` or `plain`.
        device: `cpu` or `gpu`.
        quantities: the kinds of quantities to compare; empty: all.
        atol: an absolute tolerance. `atol` and `rtol` together replace the table of tolerances.
        rtol: a tolerance relative to each desired value.
        any_tolerance: allow `atol` and `rtol` above 1, with which almost everything agrees.
        timeout_s: the seconds after which a job is aborted.
        memory_gb: the memory of a worker, in 1e9 bytes, above which its job is aborted; None: a fair share of what is
            free.
    """

    engines: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32", "float64")
    layers: str = "portable"
    device: str = "cpu"
    quantities: tuple[str, ...] = ()
    atol: float | None = None
    rtol: float | None = None
    any_tolerance: bool = False
    timeout_s: float = 600.0
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        for name in ("engines", "dtypes", "quantities"):
            object.__setattr__(self, name, tuple(dict.fromkeys(as_names(name, getattr(self, name)))))
        if not self.dtypes:
            raise UsageError(f"no dtype is given; expected some of {', '.join(DTYPES)}")
        for name, values, known in (
            ("quantity", self.quantities, KINDS),
            ("dtype", self.dtypes, DTYPES),
            ("layers", (self.layers,), LAYERS),
            ("device", (self.device,), DEVICES),
        ):
            for value in values:
                if not isinstance(value, str) or value not in known:
                    raise UsageError(choice(name, value, known))
        for dtype in self.dtypes:
            check_dtype(dtype, self.device)
        _check_tolerances({"atol": self.atol, "rtol": self.rtol}, self.any_tolerance)
        if not 0 < self.timeout_s <= LONGEST_TIMEOUT_S:
            raise UsageError(
                f"the timeout must be a number of seconds above 0 and at most {LONGEST_TIMEOUT_S:g}, "
                f"given {self.timeout_s:g}"
            )
        if self.memory_gb is not None:
            _check_memory(self.memory_gb)

    def wants(self, kind: str) -> bool:
        """Whether a kind of quantity is to be compared."""
        return not self.quantities or kind in self.quantities


def _check_tolerances(tolerances: dict[str, Any], any_tolerance: Any) -> None:
    if not isinstance(any_tolerance, bool):
        raise UsageError(f"any_tolerance must be True or False, got {shown(any_tolerance)}")
    for name, tolerance in tolerances.items():
        if tolerance is None:
            continue
        if not _is_tolerance(tolerance):
            raise UsageError(f"{name} must be a finite number that is not negative, got {shown(tolerance)}")
        if tolerance > 1 and not any_tolerance:
            raise UsageError(
                f"{name} is {tolerance:g}, expected at most 1: with more, almost everything agrees; "
                f"give any_tolerance=True (--any-tolerance) too if you mean it"
            )


def _check_memory(gigabytes: float) -> None:
    if not 0 < gigabytes < math.inf:
        raise UsageError(f"the memory of a worker must be a finite number of GB above 0, given {gigabytes:g}")
    if not MEMORY_IS_WATCHED:
        raise UsageError("the memory of a worker can be limited on Linux only; leave --memory out")


def _is_tolerance(value: Any) -> bool:
    """Return whether a value is a finite number that is not negative."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return is_number and bool(0 <= value <= sys.float_info.max)


def as_names(label: str, names: Any) -> tuple[str, ...]:
    """Return names as a tuple; text is one name.

    Raises:
        UsageError: for another type, or an entry that is no text.
    """
    if isinstance(names, str):
        return (names,)
    if isinstance(names, bytes) or not isinstance(names, Iterable):
        raise UsageError(f"{label}: given {shown(names)}, expected a list of names")
    entries = tuple(names)
    for name in entries:
        if not isinstance(name, str):
            raise UsageError(f"{label}: given the entry {shown(name)}, expected names")
    return entries
