"""The engines that can run here, and the reasons why the others cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from multilstm.engines.registry import ENGINES, JUDGE, engine_row
from multilstm.errors import EngineUnavailableError, UsageError, WorkerError, choice
from multilstm.execution.options import as_names
from multilstm.jobs.dtypes import DEVICES
from multilstm.workers import Pool, WorkerPool


class Availability(NamedTuple):
    """The engines that can run on a device.

    Attributes:
        engines: their names.
        skipped: the reason for every engine that cannot run, by name.
        facts: on a GPU, the versions, devices and switches of every engine, by name.
        named: whether the user named the engines.
    """

    engines: tuple[str, ...]
    skipped: Mapping[str, str]
    facts: Mapping[str, Mapping[str, Any]]
    named: bool = False


def available(
    engines: Sequence[str] | None,
    device: str = "cpu",
    generation: int | None = None,
    pool: Pool | None = None,
    without: Sequence[str] = (),
) -> Availability:
    """Find the engines that can run on a device.

    Only an engine's own process can find a GPU. For `gpu` each engine is therefore started once. An engine that fails
    while it looks for the GPU is kept: the report then shows the errors of its jobs.

    Args:
        engines: the names of engines, each counted once; None: all that can run here and are default for the
            generation, without the judge.
        device: `cpu` or `gpu`.
        generation: the generation of Keras that made the model; None: none.
        pool: the workers that look for a GPU; None: new ones of this machine.
        without: engines that are left out, where none is named.

    Raises:
        UsageError: for an unknown name or device, for no name, and for both `engines` and `without`.
        EngineUnavailableError: if an engine that was named is not installed, or finds no GPU.
        WorkerError: if an engine that was named cannot start.
    """
    if not isinstance(device, str) or device not in DEVICES:
        raise UsageError(choice("device", device, DEVICES))
    engines = None if engines is None else as_names("engines", engines)
    if engines == ():
        raise UsageError(f"no engine is given; expected some of {', '.join(ENGINES)}, or None for all of them")
    left_out = {engine_row(name).name: "left out" for name in as_names("without", without)}
    if engines and left_out:
        raise UsageError("engines and without are both given; give one of them")
    rows = [engine_row(name) for name in dict.fromkeys(engines or ENGINES)]
    default = [row for row in rows if row.name not in (JUDGE, *left_out) and row.is_default(generation)]
    names, skipped, facts = [], dict(left_out), {}
    with WorkerPool() if pool is None else contextlib.nullcontext(pool) as workers:
        for row in rows if engines else default:
            try:
                row.require()
                if device == "gpu" and row.name != JUDGE:
                    facts[row.name] = workers.facts(row.name, device)
                names.append(row.name)
            except (EngineUnavailableError, WorkerError) as error:
                if engines:
                    raise
                if isinstance(error, WorkerError):
                    names.append(row.name)
                else:
                    skipped[row.name] = str(error)
    return Availability(tuple(names), skipped, facts, bool(engines))
