"""`multilstm parity`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from multilstm.cli.console import result_console
from multilstm.cli.progress import ProgressLines, say
from multilstm.cli.types import Flag, Names, Path
from multilstm.errors import UsageError

if TYPE_CHECKING:
    from multilstm.cases.case import Case


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
    from multilstm.execution.availability import available
    from multilstm.execution.options import Options
    from multilstm.jobs.dtypes import device_dtypes
    from multilstm.report.files import check_writable, write_text
    from multilstm.report.terminal import show
    from multilstm.suite.compare_cases import compare_cases

    if json is not None:
        check_writable(json)
    cases = _cases(model, case, full, batch, timesteps)
    availability = available(engine, device)
    options = Options(
        availability.engines,
        dtype or (device_dtypes(device) if full else Options.dtypes),
        layers,
        device,
        quantity,
        atol,
        rtol,
        (3600.0 if full else 600.0) if timeout is None else timeout,
    )
    console = result_console(json)
    with ProgressLines(console) as progress:
        report = compare_cases(cases, options, progress, availability=availability)
    show(report, console, verbose)
    if json is not None and (report.cells or json == "-"):  # an empty run replaces no recorded one
        write_text(json, report.to_json())
    if shrink is not None and report.failures:
        from multilstm.fuzz import shrink_failures
        from multilstm.fuzz.rendering import show_campaign

        show_campaign(shrink_failures(cases, report.cells, options, shrink, say), shrink, console)
    return report.exit_code(strict)


def _cases(
    model: str | None, patterns: tuple[str, ...], full: bool, batch: int | None, timesteps: int | None
) -> tuple[Case, ...]:
    """Return the cases of the catalogue, or the one case of a user's model."""
    from multilstm.cases.catalogue import select
    from multilstm.cases.model_case import model_case
    from multilstm.files.model import load_model

    if model is None:
        if batch is not None or timesteps is not None:
            raise UsageError("--batch and --timesteps are for a MODEL, and none is given; the catalogue has its own")
        return select(patterns, full)
    if patterns:
        raise UsageError(f"--case chooses from the catalogue, and {model!r} is not in it; give either")
    return (model_case(load_model(model), 3 if batch is None else batch, 7 if timesteps is None else timesteps),)
