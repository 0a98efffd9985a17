"""The two calls that execute: `run` executes a model on one engine, `parity` compares engines with the reference."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from multilstm.api.arguments import (
    Inputs,
    answers_in,
    batch_in,
    check_without_inputs,
    model_in,
    targets_in,
    weights_in,
)
from multilstm.cases.case import Case, Fit
from multilstm.cases.recipes import GivenBatches
from multilstm.engines.registry import engine_row
from multilstm.errors import UsageError
from multilstm.execution.availability import available
from multilstm.execution.options import Options, as_names
from multilstm.files import AnyModel, LoadedModel, resolved
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Batch, Job, Step
from multilstm.jobs.validation import check_batch, check_range
from multilstm.report.report import Report
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array
from multilstm.spec.optimizers import Optimizer
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.hidden_masks import exercising_case
from multilstm.suite.recorded import quantities_from
from multilstm.workers import Pool, WorkerPool
from multilstm.workers.executor_pool import behind
from multilstm.workers.pool import TIMEOUT_S

__all__ = ["RunResult", "parity", "run"]


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The answer of one engine for a model.

    Attributes:
        outputs: the model's outputs, in order.
        sequences: for every recurrent layer with return_sequences, `[batch, timesteps, units]`.
        states: for every recurrent layer, its state after the last timestep, `[batch, units]` each.
        parameter_counts: by layer, as the framework counts them itself.
        implementation: the kernel that computed the LSTMs.
    """

    outputs: tuple[Array, ...]
    sequences: Mapping[str, Array]
    states: Mapping[str, AnyState]
    parameter_counts: Mapping[str, int]
    implementation: Implementation

    @property
    def output(self) -> Array:
        """The first output."""
        return self.outputs[0]


def run(  # noqa: PLR0913 - the public signature
    spec: AnyModel,
    engine: str,
    inputs: Inputs,
    *,
    weights: Mapping[str, Array] | None = None,
    states: Mapping[str, AnyState] | None = None,
    mask: Inputs | None = None,
    dtype: str = "float32",
    layers: str = "portable",
    device: str = "cpu",
) -> RunResult:
    """Execute a model on one engine, in inference, in a process of its own.

    Args:
        spec: the model: a spec, the result of `load`, the path of a file that `load` reads, or a `keras.Model`.
        engine: `keras-tensorflow`, `keras-jax`, `keras-torch`, `jax-scan`, `torch-lstm`, `keras2` or
            `reference`.
        inputs: `[batch, ...]`, or one array by name for every input of the model.
        weights: every weight by `layer/weight` in Keras's layout; None: those of a loaded model, or else
            `discriminating_weights(spec)`.
        states: initial states by layer (`spec.recurrent`), of `[batch, units]`: `State(hidden, cell)` of an LSTM,
            `HiddenState(hidden)` of a GRU or SimpleRNN; zero if absent.
        mask: boolean `[batch, timesteps]`, True where a timestep counts; or by input's name.
        dtype: `float32`, `float64`, one of Keras's policies `mixed_bfloat16` and `mixed_float16`, or, on a GPU, `tf32`.
        layers: for Keras engines, `portable` or `plain`.
        device: `cpu` or `gpu`.

    Returns:
        Outputs, sequences and states as NumPy arrays.

    Raises:
        InputError: if arrays do not fit the spec.
        UsageError: if a name is unknown.
        EngineUnavailableError: if the engine cannot run here.
        UnsupportedError: if the engine does not execute this spec.
        WorkerError: if the engine raised or crashed.
    """
    engine_row(engine)
    graph, weights = model_in(resolved(spec), weights)
    batch, all_weights = check_batch(graph, batch_in(graph, inputs, states, mask)), weights_in(graph, weights)
    job = Job(
        graph,
        all_weights,
        (Step("forward", batch, keep=("outputs", "sequences", "states")),),
        dtype=dtype,
        layers=layers,
        device=device,
    )
    check_range(batch, all_weights, (dtype,))
    with WorkerPool() as pool:
        result = pool.execute(engine, job)
    answer = result.answers[0]
    return RunResult(answer.outputs, answer.sequences, answer.states, result.parameter_counts, result.implementation)


def parity(  # noqa: PLR0913 - the public signature
    spec: AnyModel,
    inputs: Inputs | None = None,
    *,
    targets: Array | Sequence[Array] | None = None,
    loss: str | None = None,
    optimizer: Optimizer | None = None,
    weights: Mapping[str, Array] | None = None,
    states: Mapping[str, AnyState] | None = None,
    mask: Inputs | None = None,
    dropout: Mapping[str, Array] | None = None,
    seed: int | None = None,
    engines: Sequence[str] | None = None,
    without: Sequence[str] = (),
    dtypes: Sequence[str] = ("float32", "float64"),
    layers: str = "portable",
    device: str = "cpu",
    atol: float | None = None,
    rtol: float | None = None,
    any_tolerance: bool = False,
    against: Array | Mapping[str, Array] | None = None,
    workers: WorkerPool | None = None,
    executor: Executor | Mapping[str, Executor] | None = None,
) -> Report:
    """Compare engines with the float64 reference on a user's own model and data.

    This always compares outputs, sequences, states and parameter counts. With `targets` and `loss` it also compares the
    gradients of weights, of float inputs, and of given states. With an `optimizer` it compares 100 updates in float64.
    Without `inputs` it compares what `multilstm parity MODEL` compares.

    Args:
        spec: see `run`.
        inputs: see `run`. None: random inputs that exercise the model, with a loss, gradients, and a short training.
        targets: an array for every output of the model.
        loss: `categorical_crossentropy` or `mean_squared_error`.
        optimizer: from `multilstm.spec.optimizers`; its learning rate may be a schedule of `multilstm.spec.schedules`.
        weights: see `run`.
        states: see `run`.
        mask: see `run`.
        dropout: the masks of Dropout layers and LSTMs in training, as in `multilstm.jobs.job.Batch`.
        seed: from 0 to 2**31 - 1; every engine then draws the dropout masks that `dropout` does not give. The seeds of
            the layers are those of `spec.with_seeds(seed)`. None: the layers' own.
        engines: the names of the engines; None: all that are installed, `keras2` for a model of Keras 0.3 to 2 alone.
        without: the names of engines that are left out, in place of `engines`.
        dtypes: the dtypes of the computation.
        layers: `portable` or `plain`.
        device: `cpu` or `gpu`.
        atol: an absolute tolerance. `atol` and `rtol` together replace the table of tolerances.
        rtol: a tolerance relative to each desired value.
        any_tolerance: allow `atol` and `rtol` above 1, with which almost everything agrees.
        against: answers of another program to the same inputs: the output, or arrays by quantity, such as `output`,
            `sequence:lstm`, `hidden:lstm`, `cell:lstm`. They are judged like an engine's, by the name `recorded`.
        workers: the processes of the engines, for several calls in a row; None: new ones, which end with the call.
        executor: a `concurrent.futures.Executor` that executes the jobs of all engines, or one for each engine by its
            name, which are then the engines. The processes or machines behind it need this version of multilstm.

    Returns:
        The report; `report.check()` raises if an engine does not agree.

    Raises:
        InputError: if arrays do not fit the spec.
        UsageError: if a name is unknown, a tolerance is no number from 0 to 1, or `engines` and `without` are given.
        EngineUnavailableError: if a named engine cannot run here.
    """
    model = resolved(spec)
    graph, weights = model_in(model, weights)
    graph = graph if seed is None else graph.with_seeds(seed)
    if inputs is None:
        data = (targets, loss, optimizer, states, mask, dropout, against)
        check_without_inputs(data)
        case = exercising_case(graph, weights=weights)
    else:
        batch = dataclasses.replace(
            batch_in(graph, inputs, states, mask),
            targets=targets_in(targets, loss, optimizer),
            dropout={} if dropout is None else dropout,
        )
        case = _case(graph, check_batch(graph, batch), weights_in(graph, weights), loss, optimizer)
    if isinstance(model, LoadedModel):
        case = dataclasses.replace(case, origin=model.origin, generation=model.provenance.generation)
    tolerances: dict[str, Any] = {"atol": atol, "rtol": rtol, "any_tolerance": any_tolerance}
    recorded = None if against is None else quantities_from(case, answers_in(against))
    with _pool(workers, executor, engines, case.generation, without) as (pool, names):
        left_out = () if executor is not None and engines is None else without
        availability = available(names, device, case.generation, pool, left_out)
        options = Options(availability.engines, as_names("dtypes", dtypes), layers, device, **tolerances)
        for batch in case.forward.batches():
            check_range(batch, case.initial_weights, options.dtypes)
        return compare_cases((case,), options, availability=availability, pool=pool, recorded=recorded)


@contextlib.contextmanager
def _pool(
    workers: WorkerPool | None,
    executor: Executor | Mapping[str, Executor] | None,
    engines: Sequence[str] | None,
    generation: int | None,
    without: Sequence[str],
) -> Iterator[tuple[Pool | None, Sequence[str] | None]]:
    """Yield the pool of a call, and the names of its engines."""
    if executor is None:
        yield workers, engines
        return
    if workers is not None:
        raise UsageError("workers and executor are both given; give one of them")
    if engines is None:
        default = available(None, "cpu", generation, without=without).engines
        engines = tuple(name for name in executor if name not in without) if isinstance(executor, Mapping) else default
    names = tuple(dict.fromkeys(as_names("engines", engines)))
    with behind(executor, names, TIMEOUT_S) as pool:
        yield pool, names


def _case(
    spec: Graph, batch: Batch, weights: Mapping[str, Array], loss: str | None, optimizer: Optimizer | None
) -> Case:
    arrays = [*batch.inputs.values(), *batch.targets, *weights.values(), *batch.dropout.values()]
    arrays += [array for state in batch.states.values() for array in state]
    data = GivenBatches((batch,))
    return Case(
        spec.name,
        "the given arrays",
        spec,
        data,
        loss=loss,
        optimizer=optimizer,
        training=(Fit(data),) if optimizer is not None else (),
        updates_on=data if optimizer is not None else None,
        weights=weights,
        exact_in_float32=all(array.dtype.kind != "f" or array.dtype.itemsize <= 4 for array in arrays),
    )
