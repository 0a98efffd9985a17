"""The parts of a case: which there are, how each is executed as jobs, and what it gives, by quantity.

A case has up to four parts, each a job (or, for long trainings, several in a row): `forward`, `gradient`, `program`,
and, in float64, exactly 100 `updates`. What a part gives is named `kind:where`, for example `hidden:lstm`,
`gradient:lstm/kernel`, `loss:program`, `weights:updates_10/lstm/kernel`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from multilstm.case import Case
from multilstm.compare.tolerances import EXACT, FORWARD, GRADIENTS, QUANTITIES, TRAINED
from multilstm.engines.registry import engine_row
from multilstm.errors import UsageError, choice
from multilstm.job import DEVICES, DTYPES, LAYERS, Array, Batch, Job, Result, Step, check_dtype, stored
from multilstm.spec import Graph
from multilstm.state import State
from multilstm.weights import discriminating_weights
from multilstm.workers import WorkerPool

Quantities = dict[str, list[Array]]  # by name, one array for every batch that gave it

PARTS = {
    "forward": (*EXACT, *FORWARD),
    "gradient": GRADIENTS,
    "program": ("loss", "accuracy", *TRAINED, "trained_hidden", "trained_cell"),
    "updates": ("loss", *TRAINED, "trained_hidden", "trained_cell"),
}
_JOB_BYTES = 64e6  # a longer training is cut into several jobs, each going on where the last one ended


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compare, and how.

    Attributes:
        engines: names of the engines to judge.
        dtypes: dtypes to compute in.
        layers: `portable` or `plain`.
        device: `cpu` or `gpu`.
        quantities: kinds to compare; empty: all.
        atol: replaces the tolerance table, with `rtol`.
        rtol: see `atol`.
        timeout_s: after which a job is given up.
    """

    engines: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32", "float64")
    layers: str = "portable"
    device: str = "cpu"
    quantities: tuple[str, ...] = ()
    atol: float | None = None
    rtol: float | None = None
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for quantity in self.quantities:
            if quantity not in QUANTITIES:
                raise UsageError(choice("quantity", quantity, QUANTITIES))
        if not self.dtypes:
            raise UsageError(f"no dtype is given; expected some of {', '.join(DTYPES)}")
        for dtype in self.dtypes:
            if dtype not in DTYPES:
                raise UsageError(choice("dtype", dtype, DTYPES))
        for what, given, known in (("layers", self.layers, LAYERS), ("device", self.device, DEVICES)):
            if given not in known:
                raise UsageError(choice(what, given, known))
        for dtype in self.dtypes:
            check_dtype(dtype, self.device)
        for name, value in (("atol", self.atol), ("rtol", self.rtol)):
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(f"{name} must be a finite number that is not negative, got {value}")
        if not 0 < self.timeout_s < math.inf:
            raise UsageError(f"the timeout must be a positive number of seconds, got {self.timeout_s}")

    def wants(self, quantity: str) -> bool:
        """Whether a quantity `kind:where` is to be compared."""
        return not self.quantities or quantity.split(":")[0] in self.quantities


def parts(case: Case, dtype: str, options: Options, engine: str = "reference") -> Iterator[str]:
    """The parts of a case that give something that is wanted.

    The 100 updates are made in float64 alone: they show that the rule of the optimizer is the same. In float32 they
    would show how training amplifies rounding, which is seen in the program's own losses. A witness does not train: it
    would repeat the optimizer's rule, and not show it. Under mixed precision, and in tf32, nobody trains: weights and
    updates are in float32, and what differs is seen in the gradient.
    """
    differentiates = dtype in case.trained_in
    trains = differentiates and not engine_row(engine).witness
    possible = {
        "forward": True,
        "gradient": differentiates and case.loss is not None and bool(case.spec.trainable_weights),
        "program": trains and bool(case.training) and dtype in ("float32", "float64"),
        "updates": trains and case.updates_on is not None and dtype == "float64",
    }
    for part, kinds in PARTS.items():
        if possible[part] and any(options.wants(kind) for kind in kinds):
            yield part


def execute(pool: WorkerPool, engine: str, case: Case, part: str, dtype: str, options: Options) -> Result:
    """Runs one part of a case on an engine, cut into several jobs where it is long.

    Raises:
        WorkerError: where the engine raised, crashed or timed out.
        UnsupportedError: where it does not execute this case.
    """
    steps = {
        "forward": case.forward_steps,
        "gradient": case.gradient_steps,
        "program": case.training_steps,
        "updates": case.update_steps,
    }[part]()
    weights = weights_of(case)
    if engine == "reference":  # it computes in float64, from what the others are given
        weights = {name: rounded(array, dtype) for name, array in weights.items()}
        steps = (rounded_step(step, dtype) for step in steps)
    job = Job(
        case.spec,
        weights,
        (),
        dtype="float64" if engine == "reference" else dtype,
        layers=options.layers,
        device="cpu" if engine == "reference" else options.device,
        # A forward pass of its own, which cases of one model share, whether or not they are trained.
        loss=None if part == "forward" else case.loss,
        loss_scale=loss_scale(next(case.forward.batches())) if (part, dtype) == ("gradient", "mixed_float16") else 1.0,
        optimizer=None if part == "forward" else case.optimizer,
    )
    merged: Result | None = None
    for chunk in _chunks(steps):
        result = pool.execute(engine, dataclasses.replace(job, steps=chunk))
        job = dataclasses.replace(
            job,
            weights=result.weights,
            slots=result.slots,
            carried=result.carried,
            iteration=job.iteration + sum(step.kind == "update" for step in chunk),
        )
        if merged is not None:
            answers, seconds = (*merged.answers, *result.answers), merged.seconds + result.seconds
            result = dataclasses.replace(result, answers=answers, seconds=seconds)
        merged = result
    assert merged is not None
    return merged


def loss_scale(batch: Batch) -> float:
    """The power of two next below the number of terms whose mean is the loss of a batch: the largest of its outputs.

    The loss's derivative by an output is that of a term divided by their number; times this, it is the term's again,
    which float16 holds, where the mean over 90,000 timesteps leaves it steps of 6e-8 for derivatives of 1e-5.
    """
    return 2.0 ** int(math.log2(max(1, *(target[..., :1].size for target in batch.targets))))


def weights_of(case: Case) -> Mapping[str, Array]:
    """The weights of a case: its own, or those that its seed makes."""
    return case.weights if case.weights is not None else _made(case.spec, case.seed)


@functools.lru_cache(64)
def _made(spec: Graph, seed: int) -> Mapping[str, Array]:
    """Every engine and every part asks for them again, and engines are not all at the same case."""
    return discriminating_weights(spec, seed)


def rounded(array: Array, dtype: str) -> Array:
    """The array in the dtype that arrays of such a job have; integers and booleans as they are."""
    kept = np.dtype(stored(dtype))
    return array.astype(kept) if array.dtype.kind == "f" and array.dtype.itemsize > kept.itemsize else array


def rounded_step(step: Step, dtype: str) -> Step:
    """The step with its arrays in the precision of `dtype`."""
    batch = step.batch
    return dataclasses.replace(
        step,
        batch=Batch(
            {name: rounded(array, dtype) for name, array in batch.inputs.items()},
            tuple(rounded(array, dtype) for array in batch.targets),
            batch.masks,
            {name: State(*(rounded(array, dtype) for array in state)) for name, state in batch.states.items()},
            {name: rounded(array, dtype) for name, array in batch.dropout.items()},
        ),
    )


def _chunks(steps: Iterable[Step]) -> Iterator[tuple[Step, ...]]:
    chunk: list[Step] = []
    size = 0.0
    for step in steps:
        chunk.append(step)
        size += sum(array.nbytes for array in (*step.batch.inputs.values(), *step.batch.targets))
        if size > _JOB_BYTES:
            yield tuple(chunk)
            chunk, size = [], 0.0
    if chunk:
        yield tuple(chunk)


def collect(part: str, case: Case, result: Result) -> Quantities:
    """What a part gave, by quantity, one array for every batch that gave it."""
    found: Quantities = {}

    def add(quantity: str, array: object) -> None:
        found.setdefault(quantity, []).append(np.asarray(array))

    if part == "forward":
        add("parameter_count", sum(result.parameter_counts.values()))
        for layer, count in result.parameter_counts.items():
            add(f"parameter_count:{layer}", count)
        for name, array in result.weights.items():
            add(f"parameter_count:{name}", array.size)
            add(f"weight_shape:{name}", array.shape)
    trained = "trained_" if part in ("program", "updates") else ""
    several = len(case.spec.outputs) > 1
    reset = len(result.answers) if part == "forward" and any(lstm.stateful for lstm in case.spec.lstms.values()) else 0
    for number, answer in enumerate(result.answers, 1):
        for index, array in enumerate(answer.outputs):
            add(f"output:{index}" if several else "output", array)
        for name, array in answer.sequences.items():
            add(f"sequence:{name}", array)
        for name, array in answer.last_outputs.items():
            add(f"last_output:{name}", array)
        for name, state in answer.states.items():
            where = f"/{part}" if trained else "/after_reset" if number == reset else ""
            for field, array in state._asdict().items():
                add(f"{trained}{field}:{name}{where}", array)
        for name, array in answer.gradients.items():
            add(f"gradient:{name}", array)
        for name, array in answer.input_gradients.items():
            add(f"input_gradient:{name}", array)
        for name, state in answer.state_gradients.items():
            for field, array in state._asdict().items():
                add(f"state_gradient:{name}/{field}", array)
        for name, array in answer.weights.items():
            add(f"weights:{part}_{number}/{name}", array)
        for name, array in answer.slots.items():
            add(f"slots:{part}_{number}/{name}", array)
    if trained:
        dtype = next(iter(result.weights.values())).dtype
        add(f"loss:{part}", np.array([answer.loss for answer in result.answers], dtype))
        accuracies = [answer.accuracy for answer in result.answers if answer.accuracy is not None]
        if accuracies and part == "program":
            add(f"accuracy:{part}", np.array(accuracies, dtype))
    if part == "program":
        for name, array in result.weights.items():
            add(f"weights:{part}/{name}", array)
        for name, array in result.slots.items():
            add(f"slots:{part}/{name}", array)
    return found
