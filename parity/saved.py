"""Saved answers of one engine, and the comparison of other engines with them, for frameworks on different machines.

    python parity/saved.py save tensorflow.safetensors --engine keras-tensorflow
    python parity/saved.py compare tensorflow.safetensors --engine keras-jax jax-scan --device gpu

The file holds every quantity of the forward pass and the gradient. Inputs and weights are made again by NumPy and the
catalogue's seeds, and compared by their SHA-256. An engine is judged by the rows of multilstm/compare/tolerances.py for
its own device. These are for the distance from the float64 reference; here the rounding of the saved engine is added.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import safetensors
import safetensors.numpy
from cyclopts import App, Parameter
from rich.console import Console

from multilstm.cases.case import Case
from multilstm.cases.catalogue import catalogue, select
from multilstm.cases.catalogue.selection import matching
from multilstm.cli.app import run
from multilstm.cli.types import Path
from multilstm.compare import Quantity
from multilstm.errors import InputError, UnsupportedError
from multilstm.execution.availability import available
from multilstm.execution.environment import environment
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part, due_parts
from multilstm.execution.quantities import Quantities
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.files.atomic import write_bytes
from multilstm.report.data import Cell, Report
from multilstm.report.files import check_writable, write_text
from multilstm.report.terminal import show
from multilstm.suite.compare_cases import worker_pool
from multilstm.suite.judge_part import attempt_part, judge_attempt

FORMAT = "multilstm saved answers 1"
SAVED = (Part.FORWARD, Part.GRADIENT)
DEFAULT = ("seed*", "gpu-*")
Key = tuple[str, str, str]  # case, dtype, part
Names = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)]
Dtypes = Annotated[
    tuple[Literal["float32", "float64", "mixed_bfloat16", "mixed_float16", "tf32"], ...],
    Parameter(consume_multiple=True, negative=()),
]
Device = Literal["cpu", "gpu"]

app = App(name="python parity/saved.py", help=__doc__.split("\n\n")[0], help_format="markdown")


@app.command
def save(
    file: str,
    /,
    *,
    engine: str = "keras-tensorflow",
    case: Names = DEFAULT,
    dtype: Dtypes = ("float32", "float64"),
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
        Cases of the catalogue by name or glob; the seed programs and `'gpu-*'` if left out.
    dtype
        The dtypes of the computation.
    device
        The device.
    """
    check_writable(file)
    availability = available([engine], device)
    options = Options(availability.engines, dtype, device=device)
    arrays: dict[str, np.ndarray] = {}
    digests = {}
    with worker_pool(options) as pool:
        for key in _keys(select(case), options, engine):
            case_name, case_dtype, part = key
            execution = Execution(pool, engine, catalogue()[case_name], case_dtype, options)
            try:
                quantities = execution.quantities(Part(part))
            except UnsupportedError as error:
                _say(f"left out {' '.join(key)}: {error}")
                continue
            digests["|".join(key)] = digest(key)
            for quantity, batches in quantities.items():
                for index, array in enumerate(batches):
                    arrays["|".join((*key, str(quantity), str(index)))] = array
            _say(f"saved {' '.join(key)}: {len(quantities)} quantities")
    about = {
        "engine": engine,
        "device": device,
        "environment": environment(options, availability.facts),
        "digests": digests,
    }
    write_bytes(file, safetensors.numpy.save(arrays, {"format": FORMAT, "about": json.dumps(about)}))
    return 0


@app.command
def compare(
    file: str,
    /,
    *,
    engine: Names = (),
    case: Names = (),
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
        The engines to judge; by default all that can run here.
    case
        Saved cases by name or glob; by default all.
    device
        The device of these engines.
    atol
        Absolute tolerance instead of the table's.
    rtol
        Relative tolerance instead of the table's.
    json
        Write the report to this file; `-` is standard output.
    """
    if json is not None:
        check_writable(json)
    about, saved = load(file)
    names = matching("case", case, list(dict.fromkeys(key[0] for key in saved)))
    keys = [key for key in saved if key[0] in names]
    availability = available(engine, device)
    options = Options(
        availability.engines, tuple(dict.fromkeys(key[1] for key in keys)), device=device, atol=atol, rtol=rtol
    )
    start, cells = time.perf_counter(), []
    with worker_pool(options) as pool:
        for key in keys:
            _check_digest(file, key, about["digests"])
            for name in availability.engines:
                cells += _judged(pool, name, key, saved[key], options)
                _say(f"compared {name} {' '.join(key)}")
    surroundings = {
        **environment(options, availability.facts),
        "judged_against": {**about, "digests": len(about["digests"])},
    }
    judge = f"{about['engine']} on {about['device']}"
    report = Report(tuple(cells), surroundings, availability.skipped, seconds=time.perf_counter() - start, judge=judge)
    if json is not None and (cells or json == "-"):
        write_text(json, report.to_json())
    console = Console(stderr=json == "-", width=None if sys.stdout.isatty() else 80, highlight=False)
    show(report, console)
    console.print(f"judged against {judge}, from {file}")
    return report.exit_code()


def _check_digest(file: str, key: Key, digests: dict[str, str]) -> None:
    """Return if this version makes the inputs and weights of the saved answers.

    Raises:
        InputError: if it makes others.
    """
    if digests["|".join(key)] != digest(key):
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


def digest(key: Key) -> str:
    """Return the SHA-256 of the weights and batches of a part of a case, as an engine gets them in that dtype."""
    name, dtype, part = key
    case = catalogue()[name]
    total = hashlib.sha256()

    def add(label: str, array: np.ndarray) -> None:
        array = np.ascontiguousarray(rounded(np.asarray(array), dtype))
        total.update(f"{label} {array.shape} {array.dtype.str}".encode() + array.tobytes())

    for label, array in case.initial_weights.items():
        add(label, array)
    for step in Part(part).steps(case):
        batch = rounded_step(step, dtype).batch
        for group in (batch.inputs, batch.masks, batch.dropout):
            for label, array in group.items():
                add(label, array)
        for label, state in batch.states.items():
            for array in state:
                add(label, array)
        for array in batch.targets:
            add("target", array)
    return total.hexdigest()


def load(file: str) -> tuple[dict, dict[Key, Quantities]]:
    """Return the description in a file, and its answers.

    Raises:
        InputError: if the file cannot be read, if `save` did not write it, or if a case left the catalogue.
    """
    try:
        with safetensors.safe_open(file, "np") as stream:
            metadata = stream.metadata() or {}
            found = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"cannot read {file!r}: {error}; expected a file of: python parity/saved.py save") from None
    if metadata.get("format") != FORMAT:
        raise InputError(f"{file!r} holds {metadata.get('format')!r}, expected {FORMAT!r}; save it again")
    answers: dict[Key, Quantities] = {}
    for name in sorted(found, key=lambda name: (name.rsplit("|", 1)[0], int(name.rsplit("|", 1)[1]))):
        case, dtype, part, quantity, _ = name.split("|")
        if case not in catalogue():
            raise InputError(f"{file!r}: the catalogue has no case {case!r}; save it again")
        answers.setdefault((case, dtype, part), {}).setdefault(Quantity.parse(quantity), []).append(found[name])
    about = json.loads(metadata["about"])
    lost = about["digests"].keys() - {"|".join(key) for key in answers}
    if lost:
        raise InputError(
            f"{file!r} has lost {len(lost)} of {len(about['digests'])} parts, such as {min(lost)}; save it again"
        )
    return about, answers


def _say(line: str) -> None:
    Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True)


if __name__ == "__main__":
    run(app)
