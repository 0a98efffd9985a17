"""Runs the cases that the collected tests ask for, once, on all installed engines, and hands out the judged cells."""

from __future__ import annotations

import pytest

from multilstm.catalogue import select
from multilstm.engines.registry import ENGINES
from multilstm.parts import Options
from multilstm.report.data import Cell
from multilstm.suite import run_suite

Key = tuple[str, str, str, str]  # engine, case, dtype, kind of quantity


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> dict[Key, list[Cell]]:
    """The cells by engine, case, dtype and kind; of those engines, cases and dtypes that a collected test names."""
    asked = [item.callspec.params["cell"] for item in request.session.items if "judged" in item.fixturenames]
    engines = tuple(name for name in ENGINES if any(key[0] == name for key in asked) and not ENGINES[name].missing)
    cases = tuple(dict.fromkeys(key[1] for key in asked))
    dtypes = tuple(dict.fromkeys(key[2] for key in asked))
    found: dict[Key, list[Cell]] = {}
    for cell in run_suite(select(cases), Options(engines, dtypes)) if engines else ():
        found.setdefault((cell.engine, cell.case, cell.dtype, cell.kind), []).append(cell)
    return found
