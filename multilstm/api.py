"""The library's two calls: `run` executes a model on one engine, `parity` compares engines with the reference."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from multilstm.cases.case import Case, Fit
from multilstm.cases.recipes import GivenBatches
from multilstm.engines.registry import engine_row
from multilstm.errors import InputError, UsageError, choice, shown
from multilstm.execution.availability import available
from multilstm.execution.options import Options, as_names
from multilstm.files import AnyModel, LoadedModel, load, resolved
from multilstm.files.compiled import Compiled, OptimizerState, compiled
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Batch, Job, Step
from multilstm.jobs.validation import check_batch, check_range
from multilstm.migration import Migration, migrate_model
from multilstm.report.data import Report
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array, as_array, by_name
from multilstm.spec.optimizers import LOSSES, Optimizer
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.conversion import Conversion, convert_model
from multilstm.suite.hidden_masks import exercising_case
from multilstm.suite.recorded import quantities_from
from multilstm.suite.targets import target_named, with_opset
from multilstm.weights.initializers import discriminating_weights
from multilstm.weights.layout import check_weights
from multilstm.workers import Pool, WorkerPool
from multilstm.workers.executor_pool import behind
from multilstm.workers.pool import TIMEOUT_S

Inputs = Array | Mapping[str, Array]


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
    graph, weights = _model(resolved(spec), weights)
    batch, all_weights = check_batch(graph, _batch(graph, inputs, states, mask)), _weights(graph, weights)
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
        UsageError: if a name is unknown, or a tolerance is no number from 0 to 1.
        EngineUnavailableError: if a named engine cannot run here.
    """
    model = resolved(spec)
    graph, weights = _model(model, weights)
    graph = graph if seed is None else graph.with_seeds(seed)
    if inputs is None:
        data = (targets, loss, optimizer, states, mask, dropout, against)
        _check_without_inputs(data)
        case = exercising_case(graph, weights=weights)
    else:
        batch = dataclasses.replace(
            _batch(graph, inputs, states, mask),
            targets=_targets(targets, loss, optimizer),
            dropout={} if dropout is None else dropout,
        )
        case = _case(graph, check_batch(graph, batch), _weights(graph, weights), loss, optimizer)
    if isinstance(model, LoadedModel):
        case = dataclasses.replace(case, origin=model.origin, generation=model.provenance.generation)
    tolerances: dict[str, Any] = {"atol": atol, "rtol": rtol, "any_tolerance": any_tolerance}
    recorded = None if against is None else quantities_from(case, _answers(against))
    with _pool(workers, executor, engines, case.generation) as (pool, names):
        availability = available(names, device, case.generation, pool)
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
) -> Iterator[tuple[Pool | None, Sequence[str] | None]]:
    """Yield the pool of a call, and the names of its engines."""
    if executor is None:
        yield workers, engines
        return
    if workers is not None:
        raise UsageError("workers and executor are both given; give one of them")
    if engines is None:
        engines = tuple(executor) if isinstance(executor, Mapping) else available(None, "cpu", generation).engines
    names = tuple(dict.fromkeys(as_names("engines", engines)))
    with behind(executor, names, TIMEOUT_S) as pool:
        yield pool, names


def _check_without_inputs(data: Sequence[object]) -> None:
    """Refuse data of the user's own that belongs to inputs, where no inputs are given."""
    names = ("targets", "loss", "optimizer", "states", "mask", "dropout", "against")
    given = [name for name, value in zip(names, data, strict=True) if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: given without inputs, to which they belong; give inputs too")


def convert(
    model: AnyModel, to: str = "torch", *, weights: Mapping[str, Array] | None = None, opset: int | None = None
) -> Conversion:
    """Convert a model into another framework, and prove that the result gives the same answers.

    The converted files are executed in a process of their own. Outputs, sequences and states, and gradients where the
    files have them, are compared with the float64 reference, in float32 and float64.

    Args:
        model: as in `run`.
        to: the framework or format. `torch`: an `nn.Module` and its state dict. `flax-nnx` and `flax-linen`: a module
            and its parameters; `equinox` and `haiku` too. `scan`: a program, the model and its weights. `onnx`: a
            file for inference. `keras`: a `.keras` file with its training. `keras2`: a file of Keras 2. `tf1`: code of
            TensorFlow 1 and its variables.
        weights: every weight by `layer/weight`; None: those of a loaded model, or else random ones.
        opset: for ONNX, the version of its operators, 14 to 22; None: 17.

    Returns:
        Files, comparison and notes; `save(path)` writes them.

    Raises:
        UnsupportedError: for a layer or an option that the framework lacks.
        ParityError: if the files give other answers.
        InputError: if the weights do not fit the spec.
        UsageError: for an unknown framework, and for an opset that does not fit.
        EngineUnavailableError: if the framework is not installed.
    """
    target, source = with_opset(target_named(to), opset), resolved(model)
    given = compiled(source) if isinstance(source, LoadedModel) else Compiled()
    if weights is not None:  # the arrays of the optimizer belong to the weights of the file
        given = dataclasses.replace(given, state=OptimizerState())
    spec, weights = _model(source, weights)
    if weights is not None:
        check_weights(spec, weights)
    return convert_model(spec, weights, target, compiled=given)


def migrate(
    path: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    keras_version: str | None = None,
    updates: int = 100,
) -> Migration:
    """Translate a model file of Keras 1 or 2 into a `.keras` file of Keras 3 that means the same, and prove it.

    Args:
        path: the model: HDF5, or the JSON of `model.to_json()`.
        weights: the file of the weights, where `path` holds none.
        keras_version: the version of Keras that wrote the model, such as `2.2.4`, where the file does not state it.
        updates: the number of updates with the optimizer of the file that are compared, if it has one.

    Returns:
        The file, the changes of meaning that touch the model, and the comparisons; `save(path)` writes the file.

    Raises:
        UsageError: for a model of Keras 3 or of another program, or of an unknown version.
        InputError: for a file that cannot be read.
        SpecError: for a layer or an option that multilstm does not execute.
        ParityError: if the new file gives other answers.
        EngineUnavailableError: if Keras or PyTorch is not installed.
    """
    if updates < 1:
        raise UsageError(f"updates must be at least 1, given {updates}")
    return migrate_model(load(path, weights, keras_version=keras_version), updates)


def _answers(against: Array | Mapping[str, Array]) -> dict[str, Array]:
    """Return recorded answers by quantity, as NumPy arrays."""
    named = by_name("against", against if isinstance(against, Mapping) else {"output": against})
    return {name: as_array(f"against {name!r}", array) for name, array in named.items()}


def _model(model: Any, weights: Mapping[str, Array] | None) -> tuple[Graph, Mapping[str, Array] | None]:
    """Return the spec, and the given weights or those of a loaded model."""
    if isinstance(model, LoadedModel):
        return model.spec, model.weights if weights is None else weights
    if not isinstance(model, Graph):
        raise UsageError(
            f"the model is {type(model).__name__}, expected the result of multilstm.Model, multilstm.Sequential or "
            "multilstm.load, the path of a file, or a keras.Model"
        )
    return model, weights


def _targets(
    targets: Array | Sequence[Array] | None, loss: str | None, optimizer: Optimizer | None
) -> tuple[Array, ...]:
    """Return one array for every output; empty without targets."""
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise UsageError(
            f"optimizer is {shown(optimizer)}, expected an optimizer of multilstm, such as multilstm.Adam()"
        )
    if (targets is None) != (loss is None):
        given, missing = ("loss", "targets") if targets is None else ("targets", "loss")
        raise UsageError(f"targets and loss belong together, but only {given} is given; give {missing} too")
    if optimizer is not None and loss is None:
        raise UsageError("an optimizer needs targets and a loss, but neither is given; give both")
    if loss is not None and (not isinstance(loss, str) or loss not in LOSSES):
        raise UsageError(choice("loss", loss, LOSSES))
    expected = "expected a NumPy array, or a list with one for each output"
    if targets is None:
        return ()
    if not isinstance(targets, (np.ndarray, list, tuple)) or len(targets) == 0:
        raise InputError(f"targets: given {shown(targets)}, {expected}")
    arrays = (targets,) if isinstance(targets, np.ndarray) else tuple(targets)
    if not all(isinstance(array, np.ndarray) for array in arrays):
        types = ", ".join(type(array).__name__ for array in arrays)
        raise InputError(f"targets: {expected}, given: {types}")
    return arrays


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


def _batch(spec: Graph, inputs: Inputs, states: Mapping[str, AnyState] | None, mask: Inputs | None) -> Batch:
    return Batch(
        _by_name(spec, inputs),
        masks={} if mask is None else _by_name(spec, mask),
        states={} if states is None else states,
    )


def _by_name(spec: Graph, arrays: Inputs) -> dict[str, Any]:
    if isinstance(arrays, Mapping):
        return dict(arrays)
    if len(spec.inputs) != 1:
        raise UsageError(
            f"the model has the inputs {', '.join(spec.inputs)}, but one array is given; give a dict with one for each"
        )
    return {next(iter(spec.inputs)): arrays}


def _weights(spec: Graph, weights: Mapping[str, Array] | None) -> Mapping[str, Array]:
    if weights is None:
        return discriminating_weights(spec)
    check_weights(spec, weights)
    return {name: np.asarray(array) for name, array in weights.items()}
