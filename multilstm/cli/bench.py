"""`multilstm bench`."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from multilstm.cli.bench_files import BenchFiles
from multilstm.cli.console import result_console
from multilstm.cli.model_files import read_files
from multilstm.cli.progress import follower, say
from multilstm.cli.types import (
    Device,
    Dtype,
    OptionalNames,
    OptionalSizes,
    OptionalWholeNumber,
    Path,
    WholeNumber,
    names,
)
from multilstm.errors import EngineUnavailableError, UsageError

if TYPE_CHECKING:
    from multilstm.bench.rounds import Method
    from multilstm.bench.run import Plan

LONGEST_PAUSE_S = 3600.0


def bench(  # noqa: PLR0913 - the public signature
    model: str | None = None,
    /,
    *,
    grid: str | None = None,
    engine: OptionalNames = None,
    mode: OptionalNames = None,
    batch: OptionalSizes = None,
    timesteps: OptionalSizes = None,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    weights: Path = None,
    architecture: Path = None,
    rounds: OptionalWholeNumber = None,
    pause: float | None = None,
    seed: WholeNumber = 0,
    timeout: float = 1800.0,
    compare: Path = None,
    fail_above: float | None = None,
    json: Path = None,
    html: Path = None,
    plots: Path = None,
) -> int:
    """Time the engines on a model, or on a grid of published shapes; those alone whose answers agree.

    Every engine has a process of its own. In each round the engines run in random order, each after a pause and
    unmeasured calls. An engine whose times spread by more than 10 % is measured again, and marked. The machine should
    do nothing else meanwhile.

    Parameters
    ----------
    model
        A file or `module:function`, as for `multilstm parity`. Weights are those of the file, or random. Inputs are
        random; a model with masks gets complete rows and rows that are padded on the right.
    grid
        `quick` (two minutes), `published` (half an hour), `latency`, `seeds`, `long`, or `drawn`: 40 random shapes,
        which follow from `--seed`. Default without a model: quick.
    engine
        Engines to time. Default: all that are installed. On request only: keras-jax-tuned, keras-torch-compile,
        jax-scan-measured (its layouts are timed first), jax-scan-checkpoint, jax-plain (ten lines of `lax.scan`).
        Also keras-jax-portable, keras-tensorflow-portable and keras-torch-portable, which take their layers from
        `multilstm.keras_layers`.
    mode
        `forward` (the compiled call), `gradient`, `train` (`train_on_batch`), `predict` and `fit` (of four batches),
        and `stream` (one call for each timestep).
        Default: predict and fit for a model, those of the grid otherwise.
    batch
        Numbers of sequences in a batch, for a model that leaves it open: `--batch 1,8,64`. Default: 32.
    timesteps
        Lengths of the sequences, for a model that leaves it open: `--timesteps 50,100`. Default: 100. With several
        sizes, the growth of the time with them is fitted.
    dtype
        Dtype of the computation.
    device
        Device that computes. Engines that find no GPU are skipped, with the reason. Without a GPU, a named engine is
        an error.
    weights
        The file of the weights, where the model's file holds none.
    architecture
        The file of the architecture, where the model's file holds weights alone.
    rounds
        Number of rounds; each round times every engine once, in random order. Default: 5, or that of the grid.
    pause
        Seconds without computation before each engine, so that idle threads of the others sleep. Default: 0.25, or
        that of the grid.
    seed
        Random seed of the order, and of the shapes of the grid `drawn`.
    timeout
        Seconds after which one answer of an engine is given up.
    compare
        A result of an earlier `--json`: show the rows that became slower or faster beyond their spread.
    fail_above
        With `--compare`: exit with 1 if a row became slower beyond its spread, and by more than so many per cent. Also
        if an engine of the earlier result fails now, or no row can be compared.
    json
        Write every sample to this file, with machine and versions; `-` is standard output. An interrupted run writes
        what it has.
    html
        Write a page with tables and plots to this file; `-` is standard output. The page needs no network.
    plots
        Write the plots as SVG and PNG into this folder; needs the extra `plots`.
    """
    from multilstm.bench.comparison import changes, different_conditions, gaps, slower_than
    from multilstm.bench.results import Benchmark
    from multilstm.bench.table import show, show_changes

    files = BenchFiles(json, html, plots)
    files.check(read_files(model, weights=weights, architecture=architecture, compare=compare))
    _check_fail_above(fail_above, compare)
    if seed < 0:
        raise UsageError(f"--seed must not be negative, given {seed}")
    old = None if compare is None else Benchmark.read(compare)
    sizes = names("--batch", batch), names("--timesteps", timesteps)
    engines, modes = names("--engine", engine), names("--mode", mode)
    _check_names(engines, modes)
    plan = _plan(model, grid, modes, sizes, weights, architecture, seed)
    method = _changed(plan.method, rounds, pause, seed)
    plan = plan.on(engines, dtype, device, method, _checked_timeout(timeout))
    result, console = plan.empty_result(), result_console(json, html)
    say(plan.announcement)
    try:
        plan.run(result, follower())
    except BaseException:  # also SystemExit, which SIGTERM raises
        result.interrupted = True
        files.write(result)
        raise
    try:
        show(result, console)
    finally:  # a failure to print loses no file, nor the reverse
        files.write(result)
    files.announce(result, console)
    if not result.timed:
        raise EngineUnavailableError("nothing was timed; see above for the reason of each engine")
    if old is None:
        return 0
    found, missing = changes(old, result), gaps(old, result)
    show_changes(found, missing, different_conditions(old, result), console)
    failed = not found or any(gap.is_failure for gap in missing)
    return 1 if fail_above is not None and (failed or slower_than(found, fail_above)) else 0


def _check_fail_above(per_cent: float | None, compare: str | None) -> None:
    """Refuse a share of which no row is above or all are, and one without an earlier result."""
    if per_cent is None:
        return
    if compare is None:
        raise UsageError("--fail-above is for --compare, which is not given")
    if not 0 <= per_cent < math.inf:
        raise UsageError(f"--fail-above must be a finite number of per cent, 0 or above, given {per_cent:g}")


def _check_names(engines: tuple[str, ...], modes: tuple[str, ...]) -> None:
    """Refuse unknown names, before a model is read or the module of its function is imported."""
    from multilstm.bench.contestants.registry import contestant_row
    from multilstm.bench.modes import mode_named

    for name in engines:
        contestant_row(name)
    for name in modes:
        mode_named(name)


def _plan(
    model: str | None,
    grid: str | None,
    modes: tuple[str, ...],
    sizes: tuple[tuple[int, ...], tuple[int, ...]],
    weights: str | None,
    architecture: str | None,
    seed: int,
) -> Plan:
    """Return the plan of a model or of a grid, still without contestants."""
    from multilstm.bench.run import grid_plan, model_plan
    from multilstm.files import load_model

    if model is None:
        given = {"--batch": sizes[0], "--timesteps": sizes[1], "--weights": weights, "--architecture": architecture}
        if named := [option for option, value in given.items() if value]:
            raise UsageError(
                f"{', '.join(named)}: for a MODEL, but none is given; a grid has sizes and data of its own"
            )
        return grid_plan("quick" if grid is None else grid, modes, seed)
    if grid is not None:
        raise UsageError(f"--grid {grid!r} is given, and the model {model!r}; give one of the two")
    return model_plan(model, load_model(model, weights, architecture), modes, *sizes)


def _changed(method: Method, rounds: int | None, pause: float | None, seed: int) -> Method:
    """Return the method with the numbers of the options."""
    rounds = method.rounds if rounds is None else rounds
    pause = method.pause_s if pause is None else pause
    if rounds < 1:
        raise UsageError(f"--rounds must be at least 1, given {rounds}")
    if not 0 <= pause <= LONGEST_PAUSE_S:
        raise UsageError(f"--pause must be from 0 to {LONGEST_PAUSE_S:g} seconds, given {pause:g}")
    return dataclasses.replace(method, rounds=rounds, pause_s=pause, seed=seed)


def _checked_timeout(seconds: float) -> float:
    from multilstm.execution.options import LONGEST_TIMEOUT_S

    if not 0 < seconds <= LONGEST_TIMEOUT_S:
        raise UsageError(f"--timeout must be above 0 and at most {LONGEST_TIMEOUT_S:g} seconds, given {seconds:g}")
    return seconds
