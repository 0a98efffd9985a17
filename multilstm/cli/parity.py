"""`multilstm parity`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from multilstm.cli.machines import Machines
from multilstm.cli.model_files import ModelFiles
from multilstm.cli.progress import ProgressLines, say
from multilstm.cli.result_files import ResultFiles
from multilstm.cli.types import Device, Flag, Layers, OptionalDtypes, OptionalNames, OptionalWholeNumber, Path, names
from multilstm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from multilstm.cases.case import Case
    from multilstm.execution.availability import Availability
    from multilstm.execution.options import Options
    from multilstm.report.arguments import Arguments
    from multilstm.report.report import Report
    from multilstm.workers import Pool

TIMEOUT_S, FULL_TIMEOUT_S = 600.0, 3600.0


def parity(  # noqa: PLR0913 - the public signature
    model: str | None = None,
    /,
    *,
    engine: OptionalNames = None,
    python: OptionalNames = None,
    dask: str | None = None,
    case: OptionalNames = None,
    dtype: OptionalDtypes = None,
    layers: Layers = "portable",
    quantity: OptionalNames = None,
    device: Device = "cpu",
    atol: float | None = None,
    rtol: float | None = None,
    any_tolerance: Flag = False,
    full: Flag = False,
    strict: Flag = False,
    weights: Path = None,
    architecture: Path = None,
    batch: OptionalWholeNumber = None,
    timesteps: OptionalWholeNumber = None,
    seed: OptionalWholeNumber = None,
    inputs: Path = None,
    against: Path = None,
    save_inputs: Path = None,
    save_outputs: Path = None,
    timeout: float | None = None,
    memory: float | None = None,
    verbose: Flag = False,
    shrink: Path = None,
    json: Path = None,
    resume: Path = None,
    html: Path = None,
    junit: Path = None,
    markdown: Path = None,
    annotations: Flag = False,
) -> int:
    """Compare every engine's answers with the float64 reference.

    Without a model, this compares the five seed programs with their variants. `--case '*'` compares all cases of the
    catalogue; `--full` compares them whole and in every dtype.

    Parameters
    ----------
    model
        A file (`.keras`, HDF5 or JSON of Keras; state dict of PyTorch), or `module:function`. Inputs are
        random. Weights are those of the file, or random where it holds none.
    engine
        Engines to compare with the reference. Default: all that are installed, but `keras2` for a model of Keras 0.3
        to 2 alone. A named engine that cannot run is an error.
    python
        The Python of another environment for an engine, as `keras-jax=/path/to/python`. A label makes a further row of
        an engine: `keras-jax@old=/path/to/python`. That environment needs NumPy and the engine's framework.
    dask
        Send the jobs to the workers of this Dask scheduler, such as `tcp://host:8786`. A worker offers engines as
        resources: `dask worker ADDRESS --resources "keras-jax=1"`. Default engines: all that a worker offers.
    case
        Cases of the catalogue, by name or pattern: `seed1` to `seed5` with their variants (`'seed1*'`),
        `'optimizer-*'`, `'option-*'`, `'size-*'`, `'sweep-*'`, `'model-*'`, `'dropout-*'`, `'issue-*'`, `'peer-*'`,
        `'gpu-*'`.
    dtype
        Dtypes of the computation. Default: float32 and float64; with `--full`, all of the device. The mixed ones are
        Keras's policies: variables in float32, layers in half precision. tf32 is float32 with products in TF32; plain
        float32 never uses TF32 here.
    layers
        `portable`: layers of `multilstm.keras_layers` where Keras's differ between backends; `plain`: Keras's layers.
    quantity
        Kinds of quantities. Default: all. The kinds are parameter_count, weight_shape, output, sequence, last_output,
        hidden, cell, loss, accuracy, gradient, input_gradient, state_gradient, weights, slots, trained_hidden and
        trained_cell.
    device
        The device of the engines. The reference always uses the CPU.
    atol
        Absolute tolerance, instead of the table of tolerances.
    rtol
        Relative tolerance, instead of the table of tolerances.
    any_tolerance
        Allow an `--atol` or `--rtol` above 1, with which almost everything agrees.
    full
        Run long programs whole, and every small case with gradients and training. Without `--case`: all cases. Without
        `--dtype`: all dtypes.
    strict
        Exit with 1 for known differences, agreement without a judge, cases that an engine does not execute, and
        skipped engines too.
    weights
        The file of the weights, where the model's file holds none.
    architecture
        The file of the architecture, where the model's file holds weights alone.
    batch
        The number of random sequences for a model that leaves its batch size open. Default: 3.
    timesteps
        The length of the random sequences for a model that leaves it open. Default: 7, or enough for its windows.
    seed
        Draw the dropout masks of the model's layers from seeds, which follow from this one and the layers' names. Every
        engine draws the same. Default: random masks, or the layers' own seeds.
    inputs
        A file of arrays (.npz, .npy or safetensors) with the inputs of the model by name, in place of random ones.
        `mask:INPUT` is a mask, `hidden:LAYER` and `cell:LAYER` are initial states; `@0`, `@1` number several batches.
    against
        A file of arrays with the answers of another program to the same inputs, by quantity: `output`,
        `sequence:LAYER`, `hidden:LAYER`, `cell:LAYER`. They are judged like those of an engine.
    save_inputs
        Write the inputs to this file (.npz or safetensors), as `--inputs` reads them.
    save_outputs
        Write the reference's answers to this file (.npz or safetensors), as `--against` reads them.
    timeout
        Abort a job after this number of seconds. Default: 600; with `--full` 3600.
    memory
        End a worker whose memory exceeds this number of GB; it loses one job. Default: a fair share of the free memory.
    verbose
        Show one row a case instead of one row a program.
    shrink
        Reduce each difference to the smallest model that shows it, and write it as a script into this folder.
    json
        Write the report to this file as JSON lines, each job as soon as it is judged; `-` is standard output.
    resume
        Go on with a file of `--json` whose run did not end: judge the jobs that it lacks, and append them. All other
        options must be those of that run.
    html
        Write the report as a page to this file; `-` is standard output. The page is one file and needs no network.
    junit
        Write the report as JUnit XML to this file, one test case for each quantity; `-` is standard output.
    markdown
        Write a summary in GitHub's Markdown to this file; `-` is standard output.
    annotations
        Print each failure as an annotation of GitHub Actions (`::error ...`), at most 10.
    """
    from multilstm.execution.availability import available
    from multilstm.execution.options import Options
    from multilstm.jobs.dtypes import device_dtypes

    written = (save_inputs, save_outputs, json, html, junit, markdown, resume)
    files = ModelFiles(model, weights, architecture, inputs, against, *written)
    files.check(sized=batch is not None or timesteps is not None)
    dtypes = names("--dtype", dtype) or (device_dtypes(device) if full else Options.dtypes)
    quantities, engines = names("--quantity", quantity), names("--engine", engine)
    limit_s = (FULL_TIMEOUT_S if full else TIMEOUT_S) if timeout is None else timeout
    results = ResultFiles(json, html, junit, markdown, annotations, resume, verbose)
    machines = Machines(engines, names("--python", python), dask, shrink)
    asked = Options(engines, dtypes, layers, device, quantities, atol, rtol, any_tolerance, limit_s, memory)
    cases = _cases(names("--case", case), full, batch, timesteps, seed, files)
    if shrink is not None and not all(case.is_judged for case in cases):
        raise UsageError("--shrink needs the reference, which does not compute this model; leave --shrink out")
    with machines.ready(limit_s, memory) as (pool, chosen):
        availability = available(chosen or None, device, cases[0].generation, pool)
        options = dataclasses.replace(asked, engines=availability.engines)
        arguments = files.arguments(batch, timesteps, seed, full)
        report = _compare(cases, options, availability, files, results, arguments, pool)
        _shrink(cases, report, options, shrink, results.console())
    return report.exit_code(strict)


def _compare(
    cases: Sequence[Case],
    options: Options,
    availability: Availability,
    files: ModelFiles,
    results: ResultFiles,
    arguments: Arguments,
    pool: Pool | None,
) -> Report:
    """Compare the cases, show the report and write its files."""
    from multilstm.suite.compare_cases import compare_cases

    recorded = files.recorded(cases[0])
    files.save(cases[0], options)
    console, file = results.console(), results.run_file()
    with ProgressLines(console) as progress:
        report = compare_cases(
            cases,
            options,
            progress,
            availability=availability,
            pool=pool,
            recorded=recorded,
            arguments=arguments,
            file=file,
        )
    results.write(report, file, console)
    return report


def _shrink(cases: Sequence[Case], report: Report, options: Options, folder: str | None, console: Console) -> None:
    """Shrink the failures into a folder, if one is given."""
    if folder is None or not report.failures:
        return
    from multilstm.fuzz import shrink_failures
    from multilstm.fuzz.rendering import show_campaign

    show_campaign(shrink_failures(cases, report.cells, options, folder, say), folder, console)


def _cases(
    patterns: tuple[str, ...],
    full: bool,
    batch: int | None,
    timesteps: int | None,
    seed: int | None,
    files: ModelFiles,
) -> tuple[Case, ...]:
    """Return the cases of the catalogue, or the one case of a user's model."""
    from multilstm.cases.catalogue import select
    from multilstm.cases.model_case import BATCH
    from multilstm.files import load_model
    from multilstm.suite.hidden_masks import exercising_case

    model = files.model
    if model is None:
        if batch is not None or timesteps is not None:
            raise UsageError(
                "--batch and --timesteps are for a MODEL, but none is given; cases have sizes of their own"
            )
        if seed is not None:
            raise UsageError("--seed is for a MODEL, but none is given; cases have seeds of their own")
        return select(patterns, full)
    if patterns:
        raise UsageError(f"--case selects from the catalogue, but the model {model!r} is given; give one of the two")
    loaded = load_model(model, files.weights, files.architecture)
    if seed is not None:
        loaded = dataclasses.replace(loaded, spec=loaded.spec.with_seeds(seed))
    if files.inputs is not None:
        case = files.case(loaded)
    else:
        case = exercising_case(loaded.spec, BATCH if batch is None else batch, timesteps, loaded.weights)
    return (dataclasses.replace(case, origin=loaded.origin, generation=loaded.provenance.generation),)
