"""Saved answers of one engine, and the comparison of other engines with them, for frameworks on different machines.

    python parity/saved.py save tensorflow.safetensors --engine keras-tensorflow
    python parity/saved.py compare tensorflow.safetensors --engine keras-jax jax-scan --device gpu

The file holds every quantity of the forward pass and the gradient. Inputs and weights are made again by NumPy and the
catalogue's seeds, and compared by their SHA-256. An engine is judged by the rows of multilstm/compare/tolerances.py for
its own device. These are for the distance from the float64 reference; here the rounding of the saved engine is added.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import safetensors.numpy
from cyclopts import App

from multilstm.cases.case import Case
from multilstm.cases.catalogue import catalogue, select
from multilstm.cases.catalogue.selection import matching
from multilstm.cli.app import run
from multilstm.cli.console import result_console
from multilstm.cli.progress import say
from multilstm.cli.types import Device, OptionalDtypes, OptionalNames, Path, names
from multilstm.compare import Quantity
from multilstm.compare.quantity import KINDS
from multilstm.errors import InputError, UnsupportedError, shown
from multilstm.execution.availability import available
from multilstm.execution.digest import digest
from multilstm.execution.environment import environment
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part, due_parts
from multilstm.execution.quantities import Quantities
from multilstm.files.atomic import write_bytes
from multilstm.files.tensors import read_tensors
from multilstm.jobs.dtypes import DTYPES
from multilstm.json_data import parse_json, typed
from multilstm.report.cells import Cell
from multilstm.report.files import check_writable, write_text
from multilstm.report.report import Report
from multilstm.report.terminal import show
from multilstm.report.words import printable
from multilstm.suite.compare_cases import worker_pool
from multilstm.suite.judge_part import attempt_part, judge_attempt

FORMAT = "multilstm saved answers 1"
SAVED = (Part.FORWARD, Part.GRADIENT)
DEFAULT = ("seed*", "gpu-*")
ABOUT_LIMIT = 2**24  # characters of JSON
Key = tuple[str, str, str]  # case, dtype, part

app = App(name="python parity/saved.py", help=__doc__.split("\n\n")[0], help_format="markdown")


@dataclasses.dataclass(frozen=True)
class About:
    """The description of saved answers.

    Attributes:
        engine: the engine that gave the answers.
        device: its device.
        environment: the machine and the versions of packages.
        digests: the `digest` of each part, by its key joined with `|`.
    """

    engine: str
    device: str
    environment: dict[str, Any]
    digests: dict[str, str]

    def __str__(self) -> str:
        return f"{self.engine} on {self.device}"


@app.command
def save(
    file: str,
    /,
    *,
    engine: str = "keras-tensorflow",
    case: OptionalNames = None,
    dtype: OptionalDtypes = None,
    device: Device = "cpu",
) -> int:
    """Save an engine's answers; skip and report the cases that it does not execute.

    Parameters
    ----------
    file
        The safetensors file to write.
    engine
        The engine to save.
    case
        Cases of the catalogue by name or glob. Default: the seed programs and `'gpu-*'`.
    dtype
        The dtypes of the computation. Default: float32 and float64.
    device
        The device.
    """
    cases, dtypes = names("--case", case) or DEFAULT, names("--dtype", dtype) or Options.dtypes
    check_writable(file)
    availability = available([engine], device)
    options = Options(availability.engines, dtypes, device=device)
    arrays: dict[str, np.ndarray] = {}
    digests = {}
    with worker_pool(options) as pool:
        for key in _keys(select(cases), options, engine):
            case_name, case_dtype, part = key
            execution = Execution(pool, engine, catalogue()[case_name], case_dtype, options)
            try:
                quantities = execution.quantities(Part(part))
            except UnsupportedError as error:
                say(f"left out {' '.join(key)}: {error}")
                continue
            digests["|".join(key)] = digest(execution.case, Part(part))
            for quantity, batches in quantities.items():
                for index, array in enumerate(batches):
                    arrays["|".join((*key, str(quantity), str(index)))] = array
            say(f"saved {' '.join(key)}: {len(quantities)} quantities")
    about = About(engine, device, environment(options, availability.facts), digests)
    metadata = {"format": FORMAT, "about": json.dumps(dataclasses.asdict(about))}
    write_bytes(file, safetensors.numpy.save(arrays, metadata))
    return 0


@app.command
def compare(
    file: str,
    /,
    *,
    engine: OptionalNames = None,
    case: OptionalNames = None,
    device: Device = "cpu",
    atol: float | None = None,
    rtol: float | None = None,
    json: Path = None,
) -> int:
    """Judge engines against saved answers.

    Parameters
    ----------
    file
        A file that `save` wrote.
    engine
        The engines to judge. Default: all that can run here.
    case
        Saved cases by name or glob. Default: all.
    device
        The device of these engines.
    atol
        Absolute tolerance instead of the table's.
    rtol
        Relative tolerance instead of the table's.
    json
        Write the report to this file; `-` is standard output.
    """
    engines, patterns = names("--engine", engine), names("--case", case)
    if json is not None:
        check_writable(json)
    about, saved = load(file)
    cases = matching("case", patterns, list(dict.fromkeys(key[0] for key in saved)))
    keys = [key for key in saved if key[0] in cases]
    availability = available(engines or None, device)
    options = Options(
        availability.engines, tuple(dict.fromkeys(key[1] for key in keys)), device=device, atol=atol, rtol=rtol
    )
    start, cells = time.perf_counter(), []
    with worker_pool(options) as pool:
        for key in keys:
            _check_digest(file, key, about.digests)
            for name in availability.engines:
                cells += _judged(pool, name, key, saved[key], options)
                say(f"compared {name} {' '.join(key)}")
    surroundings = {
        **environment(options, availability.facts),
        "judged_against": {**dataclasses.asdict(about), "digests": len(about.digests)},
    }
    seconds = time.perf_counter() - start
    report = Report(tuple(cells), surroundings, availability.skipped, seconds=seconds, judge=str(about))
    console = result_console(json)
    try:
        show(report, console)
        console.print(printable(f"judged against {about}, from {file}"), markup=False)
    finally:  # a failure to print does not lose the file, nor the reverse
        if json is not None and (cells or json == "-"):
            write_text(json, report.to_json())
    return report.exit_code()


def _check_digest(file: str, key: Key, digests: dict[str, str]) -> None:
    """Return if this version makes the inputs and weights of the saved answers.

    Raises:
        InputError: if it makes others.
    """
    case, _, part = key
    if digests["|".join(key)] != digest(catalogue()[case], Part(part)):
        raise InputError(
            f"{file}: {' '.join(key)} was computed from other inputs or weights than this version of multilstm makes; "
            f"save it again"
        )


def _judged(pool, engine: str, key: Key, saved: Quantities, options: Options) -> list[Cell]:
    """Return one cell for each quantity that is saved or that the engine gives."""
    case, dtype, part = key
    execution = Execution(pool, engine, catalogue()[case], dtype, options)
    return judge_attempt(execution, Part(part), attempt_part(execution, Part(part)), saved)


def _keys(cases: tuple[Case, ...], options: Options, engine: str) -> Iterator[Key]:
    for case in cases:
        for dtype in options.dtypes:
            due = due_parts(case, dtype, options, engine)
            yield from ((case.name, dtype, str(part)) for part in due if part in SAVED)


def load(file: str) -> tuple[About, dict[Key, Quantities]]:
    """Return the description in a file, and its answers.

    Raises:
        InputError: if the file cannot be read, if `save` did not write it, or if a case left the catalogue.
    """
    try:
        arrays, metadata = read_tensors(file)
    except InputError as error:
        raise InputError(f"{error}; give a file of: python parity/saved.py save") from None
    if metadata.get("format") != FORMAT or "about" not in metadata:
        given = shown(metadata.get("format"))
        raise InputError(f"{file!r} has the format {given}, expected {FORMAT!r} with 'about'; save it again")
    try:
        about: About = typed(About, parse_json(metadata["about"], ABOUT_LIMIT), "its metadata 'about'")
        answers = _answers(arrays)
        _check_complete(about, answers)
    except InputError as error:
        raise InputError(f"{file!r}: {error}; save it again") from None
    return about, answers


def _answers(arrays: dict[str, np.ndarray]) -> dict[Key, Quantities]:
    """Return the arrays by key and quantity, the batches of each quantity in their order."""
    batches: dict[tuple[Key, Quantity], dict[int, np.ndarray]] = {}
    for name, array in arrays.items():
        key, quantity, index = _place(name)
        batches.setdefault((key, quantity), {})[index] = array
    answers: dict[Key, Quantities] = {}
    for (key, quantity), by_index in sorted(batches.items()):
        if sorted(by_index) != list(range(len(by_index))):
            raise InputError(f"{' '.join(key)} {quantity}: a batch is missing; given the numbers {shown([*by_index])}")
        answers.setdefault(key, {})[quantity] = [by_index[index] for index in range(len(by_index))]
    return answers


def _place(name: str) -> tuple[Key, Quantity, int]:
    """Return the key, the quantity and the number of the batch in the name of an array."""
    fields = name.split("|")
    if len(fields) != 5 or not (fields[4].isascii() and fields[4].isdigit() and len(fields[4]) < 10):
        raise InputError(f"unknown array {shown(name)}; expected CASE|DTYPE|PART|QUANTITY|NUMBER")
    case, dtype, part, text, index = fields
    quantity = Quantity.parse(text)
    for kind, value, known in (
        ("case", case, catalogue()),
        ("dtype", dtype, DTYPES),
        ("part", part, map(str, SAVED)),
        ("kind of quantity", quantity.kind, KINDS),
    ):
        if value not in known:
            raise InputError(f"array {shown(name)}: this version of multilstm has no {kind} {shown(value)}")
    return (case, dtype, part), quantity, int(index)


def _check_complete(about: About, answers: Iterable[Key]) -> None:
    """Refuse a file that lacks a part of its description, or has answers that the description lacks."""
    keys = {"|".join(key) for key in answers}
    lost, extra = about.digests.keys() - keys, keys - about.digests.keys()
    if lost:
        raise InputError(f"it has lost {len(lost)} of {len(about.digests)} parts, such as {shown(min(lost))}")
    if extra:
        raise InputError(f"it has no digest of {shown(min(extra))}")


if __name__ == "__main__":
    run(app)
