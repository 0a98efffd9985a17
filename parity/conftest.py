"""Runs the parity suite of each engine once, for its collected items alone, and hands out the judged cells.

The options are those of the plugin `multilstm`. `pytest parity --multilstm-device gpu` computes on a GPU. An engine
that finds no GPU is skipped with its reason; if no engine finds one, pytest ends with 3. `--multilstm-engine NAME`
leaves the other engines out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

pytest.register_assert_rewrite("catalogue_items")

from catalogue_items import Key  # noqa: E402 - its assertions are rewritten first
from shared_judge import SharedJudge  # noqa: E402

from multilstm.cases.catalogue import select  # noqa: E402
from multilstm.cases.catalogue.seeds import PROGRAMS  # noqa: E402
from multilstm.execution.availability import available  # noqa: E402
from multilstm.execution.options import Options  # noqa: E402
from multilstm.execution.part import Part  # noqa: E402
from multilstm.report.data import Cell  # noqa: E402
from multilstm.suite.collected import Progress  # noqa: E402
from multilstm.suite.compare_cases import compare_cases, worker_pool  # noqa: E402
from multilstm.testing.settings import settings_of  # noqa: E402

CPU_ONLY = ("test_ledger.py", "test_plain.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if settings_of(config).device != "cpu":
        for item in items:
            if item.path.parent == pathlib.Path(__file__).parent and item.path.name in CPU_ONLY:
                item.add_marker(pytest.mark.skip(reason="the ledger records divergences on CPUs"))


@dataclasses.dataclass(frozen=True)
class Engines:
    """The engines that can run on the device, and the reasons why the others cannot."""

    device: str
    names: tuple[str, ...]
    skipped: Mapping[str, str]

    def require(self, engine: str) -> None:
        """Skip a test of an engine that cannot run or is left out, with the reason."""
        if engine not in self.names:
            pytest.skip(self.skipped.get(engine, "--multilstm-engine leaves it out"))


@pytest.fixture(scope="session")
def engines(request: pytest.FixtureRequest) -> Engines:
    """The engines of `--multilstm-engine` on the device of `--multilstm-device`."""
    settings = settings_of(request.config)
    device = settings.device
    names, skipped, *_ = available(settings.engines or None, device)
    if not names:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped.items())
        pytest.exit(f"no engine can run on the {device}:{reasons}", returncode=3)
    return Engines(device, names, skipped)


@pytest.fixture(scope="session")
def folder_of_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder that all processes of pytest-xdist share in one run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "reference"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def judged(
    request: pytest.FixtureRequest, engines: Engines, as_users_compile: Any, folder_of_run: pathlib.Path
) -> dict[Key, Sequence[Cell]]:
    """The judged cells of this module's collected items, by engine, case, dtype and part.

    In float32 one variant of each whole program compiles as it does for users, and everything else quickly.
    """
    items = [item for item in request.session.items if item.path == request.path]
    keys = [item.callspec.params["cell"] for item in items if "cell" in getattr(item, "fixturenames", ())]
    keys = [key for key in keys if key[0] in engines.names]
    results: dict[Key, Sequence[Cell]] = {}

    def keep(done: Progress) -> None:
        results[done.engine, done.case, done.dtype, str(done.part)] = done.cells

    for usual in (True, False):
        chosen = [key for key in keys if (key[1] in PROGRAMS and key[2] == "float32") == usual]
        if not chosen:
            continue
        names = tuple(dict.fromkeys(key[0] for key in chosen))
        with as_users_compile() if usual else contextlib.nullcontext(), worker_pool(Options(names)) as pool:
            for (dtypes, parts), cases in _groups(chosen).items():
                kinds = tuple(kind for part in parts for kind in Part(part).kinds)
                options = Options(names, dtypes, device=engines.device, quantities=kinds)
                compare_cases(select(tuple(cases)), options, keep, pool=SharedJudge(pool, folder_of_run))
    return results


def _groups(keys: Sequence[Key]) -> dict[tuple[tuple[str, ...], tuple[str, ...]], dict[str, None]]:
    """Group cases by the dtypes and parts that one suite computes for all of them.

    The forward pass is apart: cases of one model share its compiled program, whether or not they are trained.
    """
    wanted: dict[tuple[str, bool], tuple[dict[str, None], dict[str, None]]] = {}
    for _, case, dtype, part in keys:
        dtypes, parts = wanted.setdefault((case, part == "forward"), ({}, {}))
        dtypes[dtype] = parts[part] = None
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[str, None]] = {}
    for (case, _), (dtypes, parts) in wanted.items():
        groups.setdefault((tuple(dtypes), tuple(parts)), {})[case] = None
    return groups
