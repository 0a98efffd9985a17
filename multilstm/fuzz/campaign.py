"""Campaigns: rounds of random samples on all engines, until the time is over. A campaign can be continued.

The folder of a campaign contains `campaign.json` with its counts. For every new kind of divergence it contains the
shrunk sample, `NAME.json`, and its reproducer, `NAME.py`. Only complete rounds are counted; an interrupted round is
repeated.
An engine that hangs costs a round one time-out, one more to repeat it, and the time for shrinking.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from multilstm.cases.case import Case
from multilstm.compare import FAILS
from multilstm.compare.quantity import GRADIENTS
from multilstm.engines.registry import JUDGE
from multilstm.errors import InputError, UnsupportedError, WorkerError, shown
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.explain import CAUSES, cause, explain
from multilstm.files.regular import read_text
from multilstm.fuzz.patience import ImpatientPool
from multilstm.fuzz.sample import Sample, sample_of
from multilstm.fuzz.script import Reproducer, script
from multilstm.fuzz.shrink import shrink
from multilstm.json_data import parse_json, typed
from multilstm.report.cells import Cell
from multilstm.report.files import write_text
from multilstm.report.text import counted, json_text
from multilstm.spec import Graph, Layer
from multilstm.suite.compare_cases import compare_cases, worker_pool
from multilstm.suite.judge_part import judge_part
from multilstm.workers import WorkerPool

SIZES = (
    *("name", "units", "filters", "n", "size", "input_dim", "output_dim", "depth_multiplier", "target_shape"),
    *("shape", "batch_size", "dtype", "mask_value", "rate", "seed", "kernel_size", "pool_size", "cropping"),
)
SIZE_LIMIT = 16 * 2**20  # bytes of campaign.json
ROUND = 20  # samples
FLOAT32_EVERY = 4  # rounds; float64 shows more differences, since rounding hides none, but float32 is used more
SHRINK_S = 120.0
TIMEOUT_S = 120.0  # of a job; samples are small, and after a time-out an engine is left out of the round
Draw = Callable[[int, int], list[Sample]]
OnMessage = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Failing:
    """A sample that fails on an engine.

    Attributes:
        execution: the sample's case on the engine, in the dtype in which it fails.
        sample: the sample.
        part: the part that fails: forward or gradient.
        symptom: the kind of failure, see `symptom_of`; empty if a new execution agrees.
        message: the message of the first quantity that failed.
    """

    execution: Execution
    sample: Sample
    part: Part
    symptom: str
    message: str

    def of(self, sample: Sample) -> Execution:
        """Return the execution of another sample on the same engine, in the same dtype."""
        return dataclasses.replace(self.execution, case=sample.case("drawn"))


@dataclasses.dataclass
class Finding:
    """A kind of failure, with the smallest sample that shows it in files of its name.

    Attributes:
        engine: the engine that fails.
        dtype: the dtype of the computation.
        part: `forward` or `gradient`.
        symptom: the kind of failure, see `symptom_of`.
        title: the difference, in words for a reader.
        traits: the traits of the smallest sample, see `traits`.
        samples: the number of samples that failed in this way.
    """

    engine: str
    dtype: str
    part: str
    symptom: str
    title: str
    traits: list[str]
    samples: int = 0


@dataclasses.dataclass
class Campaign:
    """The counts and findings of a campaign.

    Attributes:
        seed: the random seed. Round number n seeds Hypothesis with `1_000_003 * seed + n`.
        layers: `plain` or `portable`.
        rounds: the number of complete rounds.
        samples: the number of their samples.
        ran: by engine, the number of samples that it executed.
        verdicts: the number of quantities by `engine verdict`.
        seconds: the time of all rounds together.
        findings: the findings by the name of their files.
    """

    seed: int
    layers: str
    rounds: int = 0
    samples: int = 0
    ran: dict[str, int] = dataclasses.field(default_factory=dict)
    verdicts: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    findings: dict[str, Finding] = dataclasses.field(default_factory=dict)

    def save(self, folder: str) -> None:
        """Write the campaign into its folder."""
        write_text(str(pathlib.Path(folder) / "campaign.json"), json_text(dataclasses.asdict(self)))

    def covering(self, failing: Failing) -> Finding | None:
        """Return a finding of the same engine and symptom that has no trait beyond those of the failing sample."""
        sample_traits = traits(failing.sample)
        for finding in self.findings.values():
            same = (finding.engine, finding.symptom) == (failing.execution.engine, failing.symptom)
            if same and sample_traits.issuperset(finding.traits):
                return finding
        return None


def open_campaign(folder: str, seed: int, layers: str) -> Campaign:
    """Return the campaign of a folder, or a new one; a missing folder is created.

    Raises:
        InputError: if the folder contains a campaign with another seed or other layers, or cannot be written.
    """
    path = pathlib.Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path / "campaign.json"):
            return Campaign(seed, layers)
    except (OSError, ValueError) as error:  # such as a null character in the path
        raise _unusable(folder, error) from None
    try:
        text = read_text(path / "campaign.json", SIZE_LIMIT, "the counts of a campaign")
        campaign: Campaign = typed(Campaign, parse_json(text, SIZE_LIMIT), "the campaign")
    except InputError as error:
        raise InputError(f"folder {folder!r}: its campaign.json is unusable: {error}; give another --folder") from None
    if campaign.rounds < 0:
        raise InputError(f"folder {folder!r}: its campaign.json has {campaign.rounds} rounds; give another --folder")
    if (campaign.seed, campaign.layers) != (seed, layers):
        raise InputError(
            f"folder {folder!r} contains a campaign with --seed {campaign.seed} --layers {shown(campaign.layers)}; "
            f"give these, or another --folder"
        )
    return campaign


def run_campaign(
    campaign: Campaign,
    folder: str,
    engines: Sequence[str],
    device: str,
    seconds: float,
    draw: Draw,
    on_message: OnMessage,
    memory_gb: float | None = None,
) -> None:
    """Run rounds until the time is over; at least one.

    Args:
        campaign: the campaign, which is changed.
        folder: its folder, written after every round.
        engines: the engines to compare with the reference.
        device: `cpu` or `gpu`.
        seconds: the time after which no further round starts.
        draw: returns random samples for the seed of a round and a number of samples.
        on_message: called with one line after every round and finding, and before a round shrinks its failures.
        memory_gb: see `Options`.
    """
    end = time.monotonic() + seconds
    options = Options(tuple(engines), layers=campaign.layers, device=device, timeout_s=TIMEOUT_S, memory_gb=memory_gb)
    with worker_pool(options) as pool:
        first = True
        while first or time.monotonic() < end:
            first = False
            dtype = "float32" if campaign.rounds % FLOAT32_EVERY == FLOAT32_EVERY - 1 else "float64"
            _round(campaign, folder, dataclasses.replace(options, dtypes=(dtype,)), pool, draw, on_message)


def _round(
    campaign: Campaign, folder: str, options: Options, pool: WorkerPool, draw: Draw, on_message: OnMessage
) -> None:
    start = time.monotonic()
    drawn = draw(1_000_003 * campaign.seed + campaign.rounds, ROUND)
    samples = {f"round{campaign.rounds}-{index}": sample for index, sample in enumerate(drawn)}
    cells = compare_cases(
        [sample.case(name) for name, sample in samples.items()], options, pool=ImpatientPool(pool)
    ).cells
    count = len({(cell.case, cell.engine) for cell in cells if cell.verdict in FAILS})
    is_announced = False
    for failing in _failing(pool, samples, cells, options):
        finding = campaign.covering(failing)
        if finding is None:
            if not is_announced:
                on_message(f"round {campaign.rounds + 1}: shrinking the new ones of {counted(count, 'failure')}")
            is_announced = True
            finding = _shrink(failing, campaign, folder)
            on_message(f"{finding.engine}: {finding.title}")
        finding.samples += 1
    campaign.rounds += 1
    campaign.samples += len(samples)
    campaign.seconds += time.monotonic() - start
    campaign.verdicts = dict(Counter(campaign.verdicts) + Counter(f"{cell.engine} {cell.verdict}" for cell in cells))
    ran = {(cell.engine, cell.case) for cell in cells if cell.verdict != "unsupported"}
    campaign.ran = dict(Counter(campaign.ran) + Counter(engine for engine, _ in ran))
    campaign.save(folder)
    done = f"{campaign.samples} models in {campaign.seconds:.0f} s"
    on_message(f"round {campaign.rounds}, {options.dtypes[0]}: {counted(count, 'failure')}; {done}")


def shrink_failures(
    cases: Sequence[Case], cells: Sequence[Cell], options: Options, folder: str, on_message: OnMessage
) -> Campaign:
    """Shrink the failures of some cases, and write a script for each new kind of failure.

    A case becomes a sample first: the same model and sizes with random numbers.

    Args:
        cases: the cases.
        cells: the judged quantities of the cases.
        options: the options of the run.
        folder: the folder of the scripts; created if it is missing.
        on_message: called with one line for each failure.

    Returns:
        A campaign with the findings.
    """
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from None
    campaign = Campaign(0, options.layers)
    failed = {cell.case for cell in cells if cell.verdict in FAILS}
    samples = {case.name: sample_of(case) for case in cases if case.name in failed}
    campaign.samples = len(samples)
    with WorkerPool(options.timeout_s, threads=1, memory_gb=options.memory_gb) as pool:
        for failing in _failing(pool, samples, cells, options):
            label = f"{failing.execution.engine} {failing.execution.case.name}"
            if not failing.symptom:
                on_message(f"{label}: not shrunk, since the model's answer to random numbers agrees")
                continue
            finding = campaign.covering(failing)
            if finding is None:
                finding = _shrink(failing, campaign, folder)
                on_message(f"{label}: {finding.title}")
            finding.samples += 1
    return campaign


def check(sample: Sample, engine: str, dtype: str, layers: str) -> None:
    """Return if an engine agrees with the reference on a sample.

    Raises:
        ParityError: if a quantity differs. The message names its place and the cause.
    """
    options = Options((engine,), (dtype,), layers, timeout_s=TIMEOUT_S)
    compare_cases((sample.case("drawn"),), options).check()


def symptom_of(execution: Execution, sample: Sample, part: Part) -> str:
    """Return the kind of failure of one part of a sample; empty if it agrees.

    Returns:
        The cause of a wrong forward pass, the kind of a wrong gradient, or the class of an exception.
    """
    try:
        if part is Part.FORWARD:
            return cause(execution)
        wrong = _wrong_gradients(execution, sample)
        return wrong[0].kind if wrong else ""
    except UnsupportedError:
        return ""
    except WorkerError as error:
        return error.exception if error.kind == "exception" else error.kind


def _wrong_gradients(execution: Execution, sample: Sample) -> list[Cell]:
    """Return the gradients that fail: of weights, inputs and given states.

    Raises:
        WorkerError: if the engine raised an error that no row of the ledger explains.
    """
    if sample.loss is None:
        return []
    judge = dataclasses.replace(execution, engine=JUDGE)
    cells = judge_part(execution, Part.GRADIENT, lambda: judge.quantities(Part.GRADIENT))
    wrong = [cell for cell in cells if cell.verdict in FAILS]
    if any(cell.verdict == "error" for cell in wrong):
        execution.result(Part.GRADIENT)  # raises the error again
    return wrong


def traits(sample: Sample) -> set[str]:
    """Return the traits of a sample: its layers' arguments that are not at their default, and its kinds of data.

    Sizes are no traits.
    """
    labels = {name for name in ("mask", "states", "loss") if getattr(sample, name)}
    labels |= {"batches"} if sample.count > 1 else set()
    labels |= {"initial_state"} if any(call.initial_state for call in sample.spec.calls) else set()
    stack: list[Layer] = list(sample.spec.layers)
    while stack:
        layer = stack.pop()
        name = type(layer).__name__
        labels |= set() if name in ("InputLayer", "LSTM") else {name}
        for field in dataclasses.fields(layer):
            value = getattr(layer, field.name)
            if isinstance(value, Layer):
                stack.append(value)
            elif isinstance(value, Graph):
                stack += value.layers
            elif field.name not in SIZES and value != field.default and (field.name, value) != ("activation", "linear"):
                labels.add(f"{name} {field.name}={value!r}")
    return labels


def _unusable(folder: str, error: OSError | ValueError) -> InputError:
    return InputError(f"folder {folder!r}: {getattr(error, 'strerror', None) or error}; give another one")


def _failing(
    pool: WorkerPool, samples: dict[str, Sample], cells: Sequence[Cell], options: Options
) -> Iterator[Failing]:
    """Yield each sample once for every engine on which its forward pass fails, or its gradient alone."""
    failures: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.verdict in FAILS:
            failures.setdefault((cell.case, cell.engine), []).append(cell)
    for (name, engine), wrong in failures.items():
        part = Part.GRADIENT if all(cell.kind in GRADIENTS for cell in wrong) else Part.FORWARD
        dtype = "float64" if any(cell.dtype == "float64" for cell in wrong) else wrong[0].dtype
        sample = samples[name]
        execution = Execution(pool, engine, sample.case(name), dtype, options)
        symptom = symptom_of(execution, sample, part)
        yield Failing(execution, sample, part, symptom, wrong[0].comparison.message)


def _shrink(failing: Failing, campaign: Campaign, folder: str) -> Finding:
    """Shrink a failing sample, write the smallest one, and return the new finding."""

    def fails(sample: Sample) -> bool:
        return symptom_of(failing.of(sample), sample, failing.part) == failing.symptom

    engine, dtype, symptom = failing.execution.engine, failing.execution.dtype, failing.symptom
    sample = shrink(failing.sample, fails, SHRINK_S) if symptom else failing.sample
    name = f"{engine}-{len(campaign.findings) + 1}"
    title = _title(failing, sample)
    path = pathlib.Path(folder)
    text = script(Reproducer(sample, engine, dtype, failing.execution.options.layers, title, symptom))
    write_text(str(path / f"{name}.py"), text.rstrip("\n"))
    write_text(str(path / f"{name}.json"), sample.to_json())
    finding = Finding(engine, dtype, str(failing.part), symptom, title, sorted(traits(sample)))
    campaign.findings[name] = finding
    return finding


def _title(failing: Failing, sample: Sample) -> str:
    """Return the difference that the smallest sample shows, in words."""
    execution = failing.of(sample)
    if failing.part is Part.FORWARD and failing.symptom in CAUSES:
        return str(explain(execution))
    if failing.symptom in GRADIENTS:
        return _wrong_gradients(execution, sample)[0].comparison.message
    return failing.message if failing.symptom else "a new execution of the sample agrees"
