"""Runs what the collected tests ask for, once, on all engines that can run, and hands out the judged cells.

`pytest parity --device gpu` runs them on a GPU: an engine that finds none is skipped, with what it says.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import pytest

from multilstm.api import available
from multilstm.catalogue import select
from multilstm.job import DEVICES
from multilstm.parts import PARTS, Options
from multilstm.report.data import Cell
from multilstm.suite import run_suite

Key = tuple[str, str, str, str]  # engine, case, dtype, part
CPU_ONLY = ("test_ledger.py", "test_plain.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", choices=DEVICES, default="cpu", help="where the engines of the parity suite compute")


def pytest_report_header(config: pytest.Config) -> str:
    return f"parity on: {config.getoption('--device')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--device") != "cpu":
        for item in items:
            if item.path.parent == pathlib.Path(__file__).parent and item.path.name in CPU_ONLY:
                item.add_marker(pytest.mark.skip(reason="the ledger holds what was seen on CPUs"))


@dataclasses.dataclass(frozen=True)
class Engines:
    """Which engines can run on the device, and why the others cannot."""

    device: str
    names: tuple[str, ...]
    skipped: Mapping[str, str]

    def require(self, engine: str) -> None:
        """Skips a test of an engine that cannot run, with the reason."""
        if engine in self.skipped:
            pytest.skip(self.skipped[engine])


@pytest.fixture(scope="session")
def engines(request: pytest.FixtureRequest) -> Engines:
    """On the device of `--device`."""
    device = request.config.getoption("--device")
    names, skipped, _ = available(None, device)
    return Engines(device, names, skipped)


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest, engines: Engines) -> dict[Key, Sequence[Cell]]:
    """The cells by engine, case, dtype and part; of those that a collected test names, and no other."""
    tests = pathlib.Path(__file__).with_name("test_catalogue.py")
    asked = [item.callspec.params["cell"] for item in request.session.items if item.path == tests]
    wanted, cases, dtypes, parts = (tuple(dict.fromkeys(column)) for column in zip(*asked, strict=True))
    names = tuple(name for name in engines.names if name in wanted)
    found: dict[Key, Sequence[Cell]] = {}

    def keep(engine: str, case: str, dtype: str, part: str, cells: Sequence[Cell]) -> None:
        found[engine, case, dtype, part] = cells

    if names:
        kinds = tuple(kind for part in parts for kind in PARTS[part])
        run_suite(select(cases), Options(names, dtypes, device=engines.device, quantities=kinds), keep)
    return found
