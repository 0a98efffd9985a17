"""The ledger of known divergences, divergences.toml, as validated data.

A row describes a wrong or different answer of plain Keras, or of a package below it, on some engines. It names the
versions, the condition, the consequence for a user, and a remedy. Its reproducer is parity/reproducers/ID.py.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from multilstm.compare.quantity import KINDS
from multilstm.engines.registry import ENGINES, base_name
from multilstm.jobs.dtypes import DEVICES
from multilstm.ledger.facts import FACTS
from multilstm.ledger.predictions import PREDICTIONS

SEVERITIES = ("high", "medium", "low")
EFFECTS = ("outside", "differs", "raises")


@dataclasses.dataclass(frozen=True)
class Divergence:
    """A row of the ledger.

    Attributes:
        id: the name of the row and of its reproducer.
        title: the fault, as a phrase without a full stop.
        engines: the engines that show it with plain Keras layers.
        when: facts (multilstm.ledger.facts) that must hold together at one layer of a model; empty: any model.
        severity: `high`: silently wrong, or data lost, in ordinary use; `medium`: in plausible use; `low`: a rare case.
        consequence: the effect on a user's program, in sentences.
        advice: a remedy, in sentences.
        fixed_by: the names in multilstm.keras_layers that avoid the fault.
        link: the upstream report, or empty.
        package: the package with the fault, named as in an engine's versions.
        first: the first version in which the fault was seen.
        last: the last version in which the fault was seen. Later versions were not tried, or have no fault.
        effect: the outcome of a parity run with plain layers: `differs` or `raises`. With `outside`, a run does not
            show the fault. It is in Keras's trainer, in files, or in inputs that a run does not use.
        quantities: the kinds of quantities that show the fault.
        raises: for the effect `raises`, a regular expression that matches a part of the message. The name of an
            exception alone is refused, since it would explain every error of that class.
        prediction: a name of `multilstm.ledger.predictions.PREDICTIONS`, for the effect `differs`. With this fault, the
            reference gives the engine's answer.
        at_most: in place of a prediction, the largest distance that the row explains, as a share of the largest number
            of the quantity. A comment in the ledger states the largest measured share.
        flags: the XLA_FLAGS that avoid the fault; each is sufficient.
        device: the device that shows the fault; None: all devices, by its cause. A row without a device was seen on
            CPUs and explains only differences on CPUs.
        processor: the processor on which the reproducer shows the fault, as in /proc/cpuinfo; empty: any. Matching
            ignores it.
        on_some_processors: more engines, on which the reproducer shows the fault only on some processors. Their
            products of matrices depend on the instructions of the processor.
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
    flags: tuple[str, ...] = ()
    device: str | None = None
    processor: str = ""
    on_some_processors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for problem in (*self._unknown_names(), *self._wrong_texts(), *self._contradictions()):
            raise ValueError(f"divergences.toml: row {self.id!r}: {problem}")

    def _unknown_names(self) -> Iterator[str]:
        choices: tuple[tuple[str, Iterable[str | None], Collection[str | None]], ...] = (
            ("engines", self.engines, ENGINES),
            ("on_some_processors", self.on_some_processors, ENGINES),
            ("when", self.when, FACTS),
            ("severity", [self.severity], SEVERITIES),
            ("effect", [self.effect], EFFECTS),
            ("quantities", self.quantities, KINDS),
            ("prediction", [self.prediction], ("", *PREDICTIONS)),
            ("device", [self.device], (None, *DEVICES)),
        )
        for key, values, known in choices:
            for value in values:
                if value not in known:
                    expected = ", ".join(str(name) for name in known if name)
                    yield f"{key} contains {value!r}, expected some of {expected}"

    def _wrong_texts(self) -> Iterator[str]:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.id):
            yield "the id must consist of small letters, digits and _, since it names a file"
        if self.title.endswith(".") or not self.title:
            yield "title must be a phrase without a full stop"
        for key in ("consequence", "advice"):
            if not getattr(self, key).endswith("."):
                yield f"{key} must be sentences that end in a full stop"
        if not _discriminates(self.raises):
            yield f"raises is {self.raises!r}, expected a regular expression for more than the name of an exception"
        if self.link and not self.link.startswith("https://"):
            yield f"link is {self.link!r}, expected https://..."

    def _contradictions(self) -> Iterator[str]:
        if not self.engines:
            yield "engines is empty, expected at least one name"
        if bool(self.quantities) != (self.effect != "outside"):
            yield "quantities must be given for the effects differs and raises, and for no other"
        if bool(self.raises) != (self.effect == "raises"):
            yield "`raises` must be given for the effect raises, and for no other"
        bounds = (self.at_most is not None) + bool(self.prediction)
        if bounds != (self.effect == "differs"):
            yield (
                "the effect differs needs either a prediction or at_most, and no other effect has one: without it, the "
                "row would explain any wrong answer"
            )
        if self.at_most is not None and not 0 < self.at_most < 1:
            yield f"at_most is {self.at_most}, expected a share between 0 and 1: an engine that returns zeros has 1"
        if release(self.first) > release(self.last):
            yield f"the first version {self.first} is later than the last version {self.last}"

    def affects(self, engine: str, device: str, versions: Mapping[str, str], switches: Mapping[str, str]) -> bool:
        """Whether the fault was seen on an engine with these versions and switches.

        Args:
            engine: the engine's name.
            device: `cpu` or `gpu`.
            versions: the installed versions by package.
            switches: the variables of the engine's process, such as `XLA_FLAGS`.
        """
        installed = versions.get(self.package)
        return (
            base_name(engine) in self.engines
            and self.device in (None, device)
            and installed is not None
            and release(self.first) <= release(installed) <= release(self.last)
            and not set(self.flags) & set(switches.get("XLA_FLAGS", "").split())
        )

    def explains_error(self, quantity: str, message: str) -> bool:
        """Whether the row explains an error of a case that fulfils its condition.

        Args:
            quantity: the kind of the cell's quantity.
            message: the cell's message.
        """
        return quantity in self.quantities and self.effect == "raises" and bool(re.search(self.raises, message))

    def differs(self, quantity: str) -> bool:
        """Whether a quantity of that kind differs on the engines of the row."""
        return quantity in self.quantities and self.effect == "differs"


def _discriminates(pattern: str) -> bool:
    """Return whether a regular expression is valid, and more than the name of an exception; or whether it is empty."""
    try:
        re.compile(pattern)
    except re.error:
        return False
    return not pattern or not re.fullmatch(r"[\w.]*(Error|Exception)\W*|\W+", pattern)


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without trailing zeros: `2.13.0+cpu` as (2, 13)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in numbers.group().split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def parse(text: str) -> tuple[Divergence, ...]:
    """Return the rows of a ledger.

    Args:
        text: TOML with a table `divergence` for each row.

    Raises:
        ValueError: if the text is no TOML, or a row has a missing or unknown key. Also if a value is not allowed, or
            two rows have the same id.
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
    """Return all rows, in the order of the file."""
    return parse(importlib.resources.files("multilstm.ledger").joinpath("divergences.toml").read_text("utf-8"))
