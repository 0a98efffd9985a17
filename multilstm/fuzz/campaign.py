"""A campaign: rounds of drawn samples on all engines until the time is over, which goes on where it was left.

Its folder holds `campaign.json`, which counts what was done, and for every divergence that looks like no other the
shrunk sample, `NAME.json`, and its reproducer, `NAME.py`. A round is counted when it is done; one that is broken off is
done again.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from multilstm.cases.case import Case
from multilstm.compare import AGREES, FAILS, Comparison, compare, tolerance
from multilstm.compare.quantity import GRADIENTS
from multilstm.engines.registry import JUDGE
from multilstm.errors import InputError, UnsupportedError, WorkerError
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.explain import CAUSES, cause, explain
from multilstm.fuzz.sample import Sample, sample_of
from multilstm.fuzz.script import Shown, script
from multilstm.fuzz.shrink import shrink
from multilstm.report.data import Cell, json_text
from multilstm.report.files import write_text
from multilstm.spec import Layer
from multilstm.suite.compare_cases import compare_cases, worker_pool
from multilstm.workers import WorkerPool

SIZES = ("name", "units", "n", "input_dim", "output_dim", "shape", "batch_size", "dtype", "mask_value", "rate", "seed")
ROUND = 20  # samples
FLOAT32_EVERY = 4  # rounds: float64 shows more, since rounding hides nothing; float32 is what people use
SHRINK_S = 120.0
TIMEOUT_S = 120.0  # of a job; samples are small
Draw = Callable[[int, int], list[Sample]]
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Failing:
    """A case that fails on an engine: in which dtype, which part (forward or gradient), and how (see `how`).

    `message` is what was said of the first quantity that failed.
    """

    case: str
    sample: Sample
    engine: str
    dtype: str
    part: Part
    how: str
    message: str


@dataclasses.dataclass
class Campaign:
    """What was done so far.

    Attributes:
        seed: what the numbers of the rounds are added to, times 1,000,003, to seed Hypothesis.
        layers: `plain` or `portable`.
        rounds: how many are done.
        samples: how many samples they held.
        ran: how many samples every engine executed.
        verdicts: quantities by `engine verdict`.
        seconds: of all rounds together.
        findings: by the name of their files: engine, dtype, part, how it fails, title, traits, and how many samples
            failed so.
    """

    seed: int
    layers: str
    rounds: int = 0
    samples: int = 0
    ran: dict[str, int] = dataclasses.field(default_factory=dict)
    verdicts: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    findings: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def save(self, folder: str) -> None:
        """Writes it into its folder."""
        write_text(str(pathlib.Path(folder) / "campaign.json"), json_text(dataclasses.asdict(self)))

    def covering(self, failing: Failing) -> dict[str, Any] | None:
        """The finding that looks like a failure: on that engine, failing so, and with no trait that it has not."""
        has = traits(failing.sample)
        for finding in self.findings.values():
            same = (finding["engine"], finding["how"]) == (failing.engine, failing.how)
            if same and set(finding["traits"]) <= has:
                return finding
        return None


def open_campaign(folder: str, seed: int, layers: str) -> Campaign:
    """The campaign of a folder, or a new one; the folder is made.

    Raises:
        InputError: where the folder holds a campaign of another seed or other layers, or cannot be written.
    """
    path = pathlib.Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        text = (path / "campaign.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return Campaign(seed, layers)
    except OSError as error:
        raise _unusable(folder, error) from None
    try:
        found = Campaign(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"folder {folder!r}: its campaign.json cannot be read ({error}); give another --folder"
        ) from None
    if (found.seed, found.layers) != (seed, layers):
        raise InputError(
            f"folder {folder!r} holds a campaign with --seed {found.seed} --layers {found.layers}; give these, or "
            f"another --folder"
        )
    return found


def run_campaign(
    campaign: Campaign, folder: str, engines: Sequence[str], device: str, seconds: float, draw: Draw, say: Say
) -> None:
    """Runs rounds until the time is over; at least one.

    Args:
        campaign: what was done so far; it goes on.
        folder: where it is written after every round.
        engines: engines to judge.
        device: `cpu` or `gpu`.
        seconds: after which no further round is begun.
        draw: draws samples: the number of the round's seed, and how many.
        say: told a line after every round and finding.
    """
    end = time.monotonic() + seconds
    every = Options(tuple(engines), layers=campaign.layers, device=device, timeout_s=TIMEOUT_S)
    with worker_pool(every) as pool:
        begun = False
        while not begun or time.monotonic() < end:
            begun = True
            dtype = "float32" if campaign.rounds % FLOAT32_EVERY == FLOAT32_EVERY - 1 else "float64"
            _round(campaign, folder, dataclasses.replace(every, dtypes=(dtype,)), pool, draw, say)


def _round(campaign: Campaign, folder: str, options: Options, pool: WorkerPool, draw: Draw, say: Say) -> None:
    start = time.monotonic()
    drawn = draw(1_000_003 * campaign.seed + campaign.rounds, ROUND)
    samples = {f"round{campaign.rounds}-{index}": sample for index, sample in enumerate(drawn)}
    cells = compare_cases([sample.case(name) for name, sample in samples.items()], options, pool=pool).cells
    failing = 0
    for one in _failing(pool, samples, cells, options):
        failing += 1
        finding = campaign.covering(one)
        if finding is None:
            finding = _shrink(pool, one, options, campaign, folder)
            say(f"{one.engine}: {finding['title']}")
        finding["samples"] += 1
    campaign.rounds += 1
    campaign.samples += len(samples)
    campaign.seconds += time.monotonic() - start
    campaign.verdicts = dict(Counter(campaign.verdicts) + Counter(f"{cell.engine} {cell.verdict}" for cell in cells))
    ran = {(cell.engine, cell.case) for cell in cells if cell.verdict != "unsupported"}
    campaign.ran = dict(Counter(campaign.ran) + Counter(engine for engine, _ in ran))
    campaign.save(folder)
    done = f"{campaign.samples} models in {campaign.seconds:.0f} s"
    say(f"round {campaign.rounds}, {options.dtypes[0]}: {failing} failures; {done}")


def shrink_failures(cases: Sequence[Case], cells: Sequence[Cell], options: Options, folder: str, say: Say) -> Campaign:
    """Shrinks what failed of some cases, and writes a script for each that looks like no other.

    Each case is made a sample first: the same model and sizes, other numbers.

    Args:
        cases: the cases.
        cells: what was judged of them.
        options: how.
        folder: where the scripts are written; it is made.
        say: told a line for each.
    """
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from None
    campaign = Campaign(0, options.layers)
    failed = {cell.case for cell in cells if cell.verdict in FAILS}
    samples = {case.name: sample_of(case) for case in cases if case.name in failed}
    campaign.samples = len(samples)
    with WorkerPool(options.timeout_s, threads=1) as pool:
        for one in _failing(pool, samples, cells, options):
            if not one.how:
                say(f"{one.engine} {one.case}: what fails is not the model's answer to drawn numbers; not shrunk")
                continue
            finding = campaign.covering(one)
            if finding is None:
                finding = _shrink(pool, one, options, campaign, folder)
                say(f"{one.engine} {one.case}: {finding['title']}")
            finding["samples"] += 1
    return campaign


def check(sample: Sample, engine: str, dtype: str, layers: str) -> None:
    """Returns if an engine agrees with the reference on a sample.

    Raises:
        ParityError: saying what differs, where and why.
    """
    options = Options((engine,), (dtype,), layers, timeout_s=TIMEOUT_S)
    compare_cases((sample.case("drawn"),), options).check()


def how(execution: Execution, sample: Sample, part: Part) -> str:
    """Return how a part of a sample fails: the cause, the kind of gradient, or the exception; empty if it does not."""
    try:
        if part is Part.FORWARD:
            return cause(execution)
        wrong = _wrong_gradients(execution, sample)
        return wrong[0].quantity.kind if wrong else ""
    except UnsupportedError:
        return ""
    except WorkerError as error:
        return error.exception if error.kind == "exception" else error.kind


def _wrong_gradients(execution: Execution, sample: Sample) -> list[Comparison]:
    """Return the gradients that diverge: of weights, inputs and given states."""
    if sample.loss is None:
        return []
    actual = execution.quantities(Part.GRADIENT)
    desired = dataclasses.replace(execution, engine=JUDGE).quantities(Part.GRADIENT)
    dtype, device = execution.dtype, execution.options.device
    comparisons = (
        compare(quantity, actual[quantity][0], arrays[0], tolerance(dtype, device, quantity.kind))
        for quantity, arrays in desired.items()
    )
    return [comparison for comparison in comparisons if comparison.verdict not in AGREES]


def traits(sample: Sample) -> set[str]:
    """What marks a sample: its layers with every argument that is not at its default, sizes left out, and its data."""
    found = {name for name in ("mask", "states", "loss") if getattr(sample, name)}
    found |= {"batches"} if sample.count > 1 else set()
    found |= {"initial_state"} if any(call.initial_state for call in sample.spec.calls) else set()
    stack: list[Layer] = list(sample.spec.layers)
    while stack:
        layer = stack.pop()
        name = type(layer).__name__
        found |= set() if name in ("InputLayer", "LSTM") else {name}
        for field in dataclasses.fields(layer):
            value = getattr(layer, field.name)
            if isinstance(value, Layer):
                stack.append(value)
            elif field.name not in SIZES and value != field.default and (field.name, value) != ("activation", "linear"):
                found.add(f"{name} {field.name}={value!r}")
    return found


def _unusable(folder: str, error: OSError) -> InputError:
    return InputError(f"folder {folder!r}: {error.strerror or error}; give another one")


def _failing(
    pool: WorkerPool, samples: dict[str, Sample], cells: Sequence[Cell], options: Options
) -> Iterator[Failing]:
    """Each sample once for every engine on which it fails: in its forward pass, or in its gradient alone."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.verdict in FAILS:
            found.setdefault((cell.case, cell.engine), []).append(cell)
    for (case, engine), wrong in found.items():
        part = Part.GRADIENT if all(cell.kind in GRADIENTS for cell in wrong) else Part.FORWARD
        dtype = "float64" if any(cell.dtype == "float64" for cell in wrong) else wrong[0].dtype
        execution = Execution(pool, engine, samples[case].case("drawn"), dtype, options)
        reason = how(execution, samples[case], part)
        yield Failing(case, samples[case], engine, dtype, part, reason, wrong[0].comparison.message)


def _shrink(pool: WorkerPool, one: Failing, options: Options, campaign: Campaign, folder: str) -> dict[str, Any]:
    """Shrinks a failure and writes what is left; returns the new finding."""

    def execution(sample: Sample) -> Execution:
        return Execution(pool, one.engine, sample.case("drawn"), one.dtype, options)

    def fails(sample: Sample) -> bool:
        return how(execution(sample), sample, one.part) == one.how

    sample = shrink(one.sample, fails, SHRINK_S) if one.how else one.sample
    name = f"{one.engine}-{len(campaign.findings) + 1}"
    title = one.message if one.how else "it agrees where it is traced"
    if one.part is Part.FORWARD and one.how in CAUSES:
        title = str(explain(execution(sample)))
    elif one.how in GRADIENTS:
        title = _wrong_gradients(execution(sample), sample)[0].message
    path = pathlib.Path(folder)
    text = script(Shown(sample, one.engine, one.dtype, options.layers, title, one.how))
    write_text(str(path / f"{name}.py"), text.rstrip("\n"))
    write_text(str(path / f"{name}.json"), sample.to_json())
    campaign.findings[name] = {
        "engine": one.engine, "dtype": one.dtype, "part": str(one.part), "how": one.how, "title": title,
        "traits": sorted(traits(sample)), "samples": 0,
    }  # fmt: skip
    return campaign.findings[name]
