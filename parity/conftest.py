"""Runs what the collected tests ask for, once, on all engines that can run, and hands out the judged cells.

`pytest parity --device gpu` runs them on a GPU: an engine that finds none is skipped, with what it says;
where none finds one, pytest ends with 3.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from multilstm.cases.catalogue import select
from multilstm.cases.catalogue.seeds import PROGRAMS
from multilstm.execution.availability import available
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.jobs.dtypes import DEVICES
from multilstm.report.data import Cell
from multilstm.suite.compare_cases import Progress, compare_cases, worker_pool

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
    names, skipped, *_ = available(None, device)
    if not names:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped.items())
        pytest.exit(f"no engine can run on the {device}:{reasons}", returncode=3)
    return Engines(device, names, skipped)


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest, engines: Engines, as_users_compile: Any) -> dict[Key, Sequence[Cell]]:
    """The cells by engine, case, dtype and part; of those that a collected test names, and no other.

    In float32 one variant of each whole program compiles as it does for users, all else quickly.
    """
    tests = pathlib.Path(__file__).with_name("test_catalogue.py")
    asked = [item.callspec.params["cell"] for item in request.session.items if item.path == tests]
    found: dict[Key, Sequence[Cell]] = {}

    def keep(done: Progress) -> None:
        found[done.engine, done.case, done.dtype, str(done.part)] = done.cells

    for usual in (True, False):
        chosen = [key for key in asked if (key[1] in PROGRAMS and key[2] == "float32") == usual]
        with as_users_compile() if usual else contextlib.nullcontext(), worker_pool(Options(engines.names)) as pool:
            for dtypes, cells in _by_dtypes(chosen).items():
                wanted, cases, _, parts = (tuple(dict.fromkeys(column)) for column in zip(*cells, strict=True))
                names = tuple(name for name in engines.names if name in wanted)
                kinds = tuple(kind for part in parts for kind in Part(part).kinds)
                if names:
                    options = Options(names, dtypes, device=engines.device, quantities=kinds)
                    compare_cases(select(cases), options, keep, pool=pool)
    return found


def _by_dtypes(asked: Sequence[Key]) -> dict[tuple[str, ...], list[Key]]:
    """What is asked, by the dtypes that its case is asked for in."""
    dtypes: dict[str, dict[str, None]] = {}
    for _, case, dtype, _ in asked:
        dtypes.setdefault(case, {})[dtype] = None
    found: dict[tuple[str, ...], list[Key]] = {}
    for key in asked:
        found.setdefault(tuple(dtypes[key[1]]), []).append(key)
    return found
