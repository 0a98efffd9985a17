"""The command line: parses, calls, prints, exits.

Exit codes: 0 everything that was compared agrees; 1 something diverges or is an error (with --strict, skipped,
unsupported and known cells too); 2 usage, unknown names included; 3 nothing could run; 4 bad input; 130 interrupted;
143 terminated.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from multilstm.errors import EngineUnavailableError, MultilstmError, UsageError
from multilstm.version import __version__

app = App(
    name="multilstm",
    version=__version__,
    help="Does my LSTM give the same answers on every framework?\n\n"
    "Start with `multilstm doctor`, then `multilstm parity`.",
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)

Names = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Path = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@app.command
def doctor(*, engine: Names = (), device: Literal["cpu", "gpu"] = "cpu", json: Path = None) -> int:
    """Show which engines can run here, with which switches, and test their arithmetic.

    Parameters
    ----------
    engine
        Examine only these engines, for example `--engine jax-scan keras-torch`.
    device
        Where they are to run.
    json
        Write the diagnosis to this file; `-` is standard output.
    """
    from multilstm.doctor import examine, render
    from multilstm.engines.registry import engine_row
    from multilstm.report.data import check_writable, json_text, write_text

    if engine:
        for name in engine:
            engine_row(name).require()
    if json is not None:
        check_writable(json)
    diagnosis = examine(engine or None, device)
    if json is not None:
        write_text(json, json_text(diagnosis.to_dict()))
    if json != "-":
        render(diagnosis, _console())
    return diagnosis.exit_code


@app.command
def summary(model: str, /) -> int:
    """Show a model's shapes, parameters with their formula, and states.

    Parameters
    ----------
    model
        Keras 3's JSON (`model.to_json()`), as `FILE.json`; or `module:function`, which returns a model spec.
    """
    from multilstm.load import load_model

    sys.stdout.write(load_model(model).summary() + "\n")
    return 0


@app.command
def parity(
    model: str | None = None,
    /,
    *,
    engine: Names = (),
    case: Names = (),
    dtype: Annotated[
        tuple[Literal["float32", "float64", "mixed_bfloat16", "mixed_float16", "tf32"], ...],
        Parameter(consume_multiple=True, negative=()),
    ] = (),
    layers: Literal["portable", "plain"] = "portable",
    quantity: Names = (),
    device: Literal["cpu", "gpu"] = "cpu",
    atol: float | None = None,
    rtol: float | None = None,
    full: Flag = False,
    strict: Flag = False,
    batch: int | None = None,
    timesteps: int | None = None,
    timeout: float | None = None,
    verbose: Flag = False,
    shrink: Path = None,
    json: Path = None,
) -> int:
    """Run cases on every engine and compare each answer with the float64 reference.

    Without a model: the five seed programs with their variants; `--case '*'` is the whole catalogue of some 680 cases,
    and `--full` all of it with nothing left out.

    Parameters
    ----------
    model
        `FILE.json` (Keras 3's `model.to_json()`), or `module:function`; compared on random inputs and weights.
    engine
        Engines to judge; all that are installed if left out. One that is named and cannot run is an error.
    case
        Cases of the catalogue by name or glob: `seed1` to `seed5` with their variants (`'seed1*'`), `'optimizer-*'`,
        `'option-*'`, `'size-*'`, `'sweep-*'`, `'model-*'`, `'issue-*'`, `'peer-*'`, `'gpu-*'`.
    dtype
        What to compute in: float32 and float64, or, with `--full`, all that the device has, if left out. The mixed ones
        are Keras's policies: variables in float32, layers in half precision; tf32 is float32 whose products a GPU
        rounds, which float32 itself never means here.
    layers
        `portable`: multilstm.keras_layers where plain Keras is known to differ; `plain`: exactly Keras's layers.
    quantity
        Kinds of quantities: parameter_count, weight_shape, output, sequence, last_output, hidden, cell, loss, accuracy,
        gradient, input_gradient, state_gradient, weights, slots, trained_hidden, trained_cell.
    device
        Where the engines run; the reference stays on the CPU.
    atol
        Absolute tolerance instead of the table's.
    rtol
        Relative tolerance instead of the table's.
    full
        Run long programs whole, and every small case with gradients and training; all cases if none is named, in every
        dtype.
    strict
        Exit with 1 for known, unsupported and skipped cells too.
    batch
        For a model: sequences in the random batch, where the model leaves it open; 3 if left out.
    timesteps
        For a model: the length of the sequences, where the model leaves it open; 7 if left out.
    timeout
        Seconds after which a job is given up: 600, or 3600 with `--full`, if left out.
    verbose
        One row a case instead of one row a program.
    shrink
        Shrink what diverges to the smallest model that does, and write a script for each into this folder.
    json
        Write the report to this file; `-` is standard output.
    """
    from multilstm.api import available
    from multilstm.catalogue import select
    from multilstm.environment import environment
    from multilstm.job import device_dtypes
    from multilstm.known import touches
    from multilstm.load import load_model, random_case
    from multilstm.parts import Options, parts
    from multilstm.report.data import Report, check_writable, write_text
    from multilstm.report.terminal import show
    from multilstm.suite import run_suite

    if model is not None and case:
        raise UsageError(f"--case chooses from the catalogue, and {model!r} is not in it; give either")
    if model is None and (batch is not None or timesteps is not None):
        raise UsageError("--batch and --timesteps are for a MODEL, and none is given; the catalogue has its own")
    if json is not None:
        check_writable(json)
    engines, skipped, facts = available(engine, device)
    patience = (3600.0 if full else 600.0) if timeout is None else timeout
    dtypes = dtype or (device_dtypes(device) if full else Options.dtypes)
    options = Options(engines, dtypes, layers, device, quantity, atol, rtol, patience)
    cases = (
        select(case, full)
        if model is None
        else (random_case(load_model(model), 3 if batch is None else batch, 7 if timesteps is None else timesteps),)
    )
    console = _console(json)
    start = time.perf_counter()
    jobs = sum(1 for name in engines for one in cases for each in dtypes for _ in parts(one, each, options, name))
    with _Following(console, jobs) as following:
        cells = run_suite(cases, options, following) if engines else ()
    report = Report(
        cells,
        environment(options, facts),
        skipped,
        {one.name: one.shortened for one in cases if one.shortened},
        time.perf_counter() - start,
        tuple(touch.to_dict() for touch in touches(cases[0], options)) if model and layers == "plain" else (),
    )
    if json is not None and (report.cells or json == "-"):  # nothing takes no recorded run's place
        write_text(json, report.to_json())
    show(report, console, verbose)
    if shrink is not None and report.failures:
        from multilstm.fuzz import shrink_failures
        from multilstm.fuzz.rendering import show_campaign

        show_campaign(shrink_failures(cases, cells, options, shrink, _say), shrink, console)
    if not report.cells:
        return EngineUnavailableError.exit_code
    weak = report.counts["known"] + report.counts["unsupported"] + len(skipped)
    return 1 if report.failures or not report.agrees or (strict and weak) else 0


@app.command
def fuzz(
    *,
    seconds: float = 300.0,
    seed: int = 0,
    engine: Names = (),
    layers: Literal["portable", "plain"] = "portable",
    device: Literal["cpu", "gpu"] = "cpu",
    folder: str = "multilstm-fuzz",
) -> int:
    """Draw random models, compare them, and shrink what diverges to a short script.

    Given the same seed and folder again, it goes on where it was left.

    Parameters
    ----------
    seconds
        Begin no further round of models after so long.
    seed
        Of all that is drawn.
    engine
        Engines to judge; all that are installed if left out.
    layers
        `portable`: multilstm.keras_layers where plain Keras is known to differ; `plain`: exactly Keras's layers.
    device
        Where the engines run.
    folder
        Where the count of what was done, and a script for each finding, are written.
    """
    import math

    from multilstm.api import available
    from multilstm.fuzz import open_campaign, run_campaign
    from multilstm.fuzz.rendering import show_campaign

    try:
        from multilstm.fuzz.strategies import draw_samples
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise EngineUnavailableError(
            "multilstm fuzz needs hypothesis, not installed here; install it with: pip install 'multilstm[fuzz]'"
        ) from None
    if not 0 <= seconds < math.inf or seed < 0:
        raise UsageError(f"--seconds and --seed must be finite and not negative, given {seconds} and {seed}")
    engines, skipped, _ = available(engine, device)
    if not engines:
        raise EngineUnavailableError(f"no engine can run here: {'; '.join(skipped.values())}")
    campaign = open_campaign(folder, seed, layers)
    run_campaign(campaign, folder, engines, device, seconds, draw_samples, _say)
    show_campaign(campaign, folder, _console())
    return 1 if campaign.findings else 0


class _Following:
    """Progress: a bar on a terminal, a plain line a job elsewhere; always on stderr, beside the result."""

    def __init__(self, console: Console, jobs: int) -> None:
        self._jobs, self._done, self._start = jobs, 0, time.perf_counter()
        self._errors = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        if self._errors.is_terminal and console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self._errors, transient=True)
            self._task = self._bar.add_task("starting engines", total=jobs)

    def __enter__(self) -> _Following:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, engine: str, case: str, dtype: str, part: str, cells: Sequence[Any]) -> None:
        from multilstm.report.data import weakest
        from multilstm.report.terminal import printable

        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=escape(printable(f"{engine} {case}")))
            return
        verdict = weakest(cells).verdict if cells else "nothing"
        elapsed = time.perf_counter() - self._start
        line = f"[{self._done}/{self._jobs}] {elapsed:5.0f} s  {engine} {printable(case)} {dtype} {part}: {verdict}"
        self._errors.print(line, markup=False, soft_wrap=True)


def _say(line: str) -> None:
    """A line of progress, on stderr, beside the result."""
    Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True)


def _console(json: str | None = None) -> Console:
    """Standard output, or stderr where standard output is taken by JSON; never narrower than a table needs."""
    return Console(stderr=json == "-", highlight=False, width=None if sys.stdout.isatty() else 80)


def _fail(error: MultilstmError) -> NoReturn:
    from multilstm.report.terminal import printable

    Console(stderr=True, highlight=False).print(f"multilstm: {printable(str(error))}", markup=False, soft_wrap=True)
    sys.exit(error.exit_code)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits."""
    run(app, arguments)


def run(app: App, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs an application and exits, every expected error as one line on stderr and its exit code."""
    try:
        code = app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        sys.exit(2)
    except MultilstmError as error:
        _fail(error)
    except KeyboardInterrupt:
        Console(stderr=True).print("multilstm: interrupted; all workers were ended")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:  # such as no space left behind standard output
        Console(stderr=True, highlight=False).print(f"multilstm: {error}", markup=False, soft_wrap=True)
        sys.exit(MultilstmError.exit_code)
    sys.exit(code or 0)
