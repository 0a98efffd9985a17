"""The ledger of known divergences, divergences.toml, as validated data.

A row says where plain Keras, or what it stands on, gives another answer on some engine: in which versions, under which
condition, what happens to a user, and what a user can do. Its reproducer is parity/reproducers/ID.py.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from multilstm.compare.quantity import KINDS
from multilstm.engines.registry import ENGINES
from multilstm.jobs.dtypes import DEVICES
from multilstm.ledger.facts import FACTS
from multilstm.ledger.predictions import PREDICTIONS

SEVERITIES = ("high", "medium", "low")
EFFECTS = ("outside", "differs", "raises")


@dataclasses.dataclass(frozen=True)
class Divergence:
    """A row of the ledger.

    Attributes:
        id: the name of its reproducer, and of the row.
        title: what is the matter, without a full stop.
        engines: where it shows, with plain Keras layers.
        when: facts (multilstm.ledger.facts) that must hold together at one layer of a model; none: any model.
        severity: `high`: silently wrong, or data lost, in ordinary use; `medium`: in plausible use; `low`: a corner.
        consequence: what will happen to a user, in sentences.
        advice: what a user can do, in sentences.
        fixed_by: the names in multilstm.keras_layers under which it is gone.
        link: the upstream report, or empty.
        package: as in an engine's versions.
        first: the first version in which it was seen.
        last: the last version in which it was seen, `first` included; later ones were not tried, or are clean.
        effect: what a parity run of plain layers shows: `differs` or `raises`; `outside`: nothing, since it lies in
            Keras's trainer, in files, or in input that a run does not give.
        quantities: the kinds of quantities that show it.
        raises: part of the message, where the effect is `raises`.
        at_most: the largest absolute distance that it explains; None: any.
        prediction: the name of an entry of multilstm.ledger.predictions, by which the reference gives the engine's
            answer; empty: the row explains any finite difference.
        handled: True where multilstm's engines do not show it, whatever the layers.
        flags: each of these, in XLA_FLAGS, avoids it.
        device: where it shows; None: on all, by its cause; it was seen on CPUs, and explains what diverges there alone.
        processor: what the processor must have, as in /proc/cpuinfo; empty: any.
    """

    id: str
    title: str
    engines: tuple[str, ...]
    when: tuple[str, ...]
    severity: str
    consequence: str
    advice: str
    fixed_by: tuple[str, ...] = ()
    link: str = ""
    package: str = "keras"
    first: str = "3.15.1"
    last: str = "3.15.1"
    effect: str = "outside"
    quantities: tuple[str, ...] = ()
    raises: str = ""
    at_most: float | None = None
    prediction: str = ""
    handled: bool = False
    flags: tuple[str, ...] = ()
    device: str | None = None
    processor: str = ""

    def __post_init__(self) -> None:
        known: tuple[tuple[str, tuple[str, ...], Any], ...] = (
            ("engines", self.engines, ENGINES),
            ("when", self.when, FACTS),
            ("severity", (self.severity,), SEVERITIES),
            ("effect", (self.effect,), EFFECTS),
            ("quantities", self.quantities, KINDS),
            ("prediction", (self.prediction,) if self.prediction else (), PREDICTIONS),
            ("device", (self.device,) if self.device is not None else (), DEVICES),
        )
        for key, given, allowed in known:
            for value in given:
                if value not in allowed:
                    self._wrong(f"{key} holds {value!r}, expected some of {', '.join(allowed)}")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.id):
            self._wrong("its id must be small letters, digits and _, since it names a file")
        if not self.engines:
            self._wrong("it names no engine")
        for key in ("consequence", "advice"):
            if not getattr(self, key).endswith("."):
                self._wrong(f"{key} must be sentences, and end in a full stop")
        if self.title.endswith(".") or not self.title:
            self._wrong("title must be a phrase without a full stop")
        if self.link and not self.link.startswith("https://"):
            self._wrong(f"link is {self.link!r}, expected https://...")
        if bool(self.quantities) != (self.effect != "outside") or bool(self.raises) != (self.effect == "raises"):
            self._wrong("quantities belong to the effects differs and raises, and `raises` to the effect raises")
        if release(self.first) > release(self.last):
            self._wrong(f"its versions go from {self.first} to {self.last}")

    def _wrong(self, what: str) -> None:
        raise ValueError(f"divergences.toml: row {self.id!r}: {what}")

    def affects(self, engine: str, device: str, versions: Mapping[str, str], switches: Mapping[str, str]) -> bool:
        """Whether an engine's versions and switches are those in which it was seen."""
        installed = versions.get(self.package)
        return (
            engine in self.engines
            and self.device in (None, device)
            and installed is not None
            and release(self.first) <= release(installed) <= release(self.last)
            and not set(self.flags) & set(switches.get("XLA_FLAGS", "").split())
        )

    def explains(self, quantity: str, verdict: str, max_abs: float | None, message: str) -> bool:
        """Whether a cell that `diverges` or is an `error` is what the row says, its condition being met.

        Args:
            quantity: its kind.
            verdict: of the cell.
            max_abs: its largest absolute distance, or None.
            message: what the cell says is wrong.
        """
        if quantity not in self.quantities:
            return False
        if verdict == "error":
            return self.effect == "raises" and self.raises in message
        if self.effect != "differs":
            return False
        if max_abs is None:  # another shape or dtype, a missing array, or values that are not finite
            return "not_finite" in self.when
        return self.at_most is None or max_abs <= self.at_most


def release(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` as (2, 13)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in numbers.group().split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def parse(text: str) -> tuple[Divergence, ...]:
    """The rows of a ledger.

    Args:
        text: TOML, a table `divergence` for each row.

    Raises:
        ValueError: for TOML that is broken, and for a row with a key that is missing or unknown, a value that means
            nothing, or the id of another row.
    """
    rows: dict[str, Divergence] = {}
    for table in tomllib.loads(text).get("divergence", []):
        try:
            values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
            row = Divergence(**values)
        except TypeError as error:
            raise ValueError(f"divergences.toml: row {table.get('id')!r}: {error}") from None
        if row.id in rows:
            raise ValueError(f"divergences.toml: two rows have the id {row.id!r}")
        rows[row.id] = row
    return tuple(rows.values())


@functools.cache
def ledger() -> tuple[Divergence, ...]:
    """All rows, in the order of the file."""
    return parse(importlib.resources.files("multilstm.ledger").joinpath("divergences.toml").read_text("utf-8"))
