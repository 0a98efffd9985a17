"""What to compare, and how."""

from __future__ import annotations

import dataclasses
import math

from multilstm.compare.quantity import KINDS
from multilstm.errors import UsageError, choice
from multilstm.jobs.dtypes import DEVICES, DTYPES, check_dtype
from multilstm.jobs.job import LAYERS


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compare, and how.

    Attributes:
        engines: names of the engines to judge.
        dtypes: dtypes to compute in.
        layers: `portable` or `plain`.
        device: `cpu` or `gpu`.
        quantities: kinds to compare; empty: all.
        atol: replaces the tolerance table, with `rtol`.
        rtol: see `atol`.
        timeout_s: after which a job is given up.
    """

    engines: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32", "float64")
    layers: str = "portable"
    device: str = "cpu"
    quantities: tuple[str, ...] = ()
    atol: float | None = None
    rtol: float | None = None
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for quantity in self.quantities:
            if quantity not in KINDS:
                raise UsageError(choice("quantity", quantity, KINDS))
        if not self.dtypes:
            raise UsageError(f"no dtype is given; expected some of {', '.join(DTYPES)}")
        for dtype in self.dtypes:
            if dtype not in DTYPES:
                raise UsageError(choice("dtype", dtype, DTYPES))
        for what, given, known in (("layers", self.layers, LAYERS), ("device", self.device, DEVICES)):
            if given not in known:
                raise UsageError(choice(what, given, known))
        for dtype in self.dtypes:
            check_dtype(dtype, self.device)
        for name, value in (("atol", self.atol), ("rtol", self.rtol)):
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(f"{name} must be a finite number that is not negative, got {value}")
        if not 0 < self.timeout_s < math.inf:
            raise UsageError(f"the timeout must be a positive number of seconds, got {self.timeout_s}")

    def wants(self, kind: str) -> bool:
        """Whether a kind of quantity is to be compared."""
        return not self.quantities or kind in self.quantities
