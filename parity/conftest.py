"""Runs what the collected tests ask for, once, on all installed engines, and hands out the judged cells."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import pytest

from multilstm.catalogue import select
from multilstm.engines.registry import ENGINES
from multilstm.parts import PARTS, Options
from multilstm.report.data import Cell
from multilstm.suite import run_suite

Key = tuple[str, str, str, str]  # engine, case, dtype, part


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> dict[Key, Sequence[Cell]]:
    """The cells by engine, case, dtype and part; of those that a collected test names, and no other."""
    tests = pathlib.Path(__file__).with_name("test_catalogue.py")
    asked = [item.callspec.params["cell"] for item in request.session.items if item.path == tests]
    engines, cases, dtypes, parts = (tuple(dict.fromkeys(column)) for column in zip(*asked, strict=True))
    engines = tuple(name for name in ENGINES if name in engines and not ENGINES[name].missing)
    found: dict[Key, Sequence[Cell]] = {}

    def keep(engine: str, case: str, dtype: str, part: str, cells: Sequence[Cell]) -> None:
        found[engine, case, dtype, part] = cells

    if engines:
        wanted = tuple(kind for part in parts for kind in PARTS[part])
        run_suite(select(cases), Options(engines, dtypes, quantities=wanted), keep)
    return found
