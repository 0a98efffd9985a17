"""One part of a case on one engine, judged: attempted, compared, matched with the ledger, explained."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from multilstm.compare import AGREES, Comparison, Quantity, compare_batches, tolerance
from multilstm.compare.quantity import FORWARD
from multilstm.engines.registry import JUDGE, engine_row
from multilstm.errors import MultilstmError, UnsupportedError, WorkerError
from multilstm.execution.execution import Execution
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities, quantities_of
from multilstm.execution.response import MULTIPLE, moved_by_rounding
from multilstm.execution.rounding import rounded
from multilstm.explain import explain, explain_error, first_block
from multilstm.jobs.implementation import Implementation
from multilstm.ledger.matching import Predicted, mark_known
from multilstm.ledger.predictions import predict
from multilstm.report.cells import Cell
from multilstm.spec.arrays import Array

# The largest gradient of a weight that sums to zero in float64, as a share of the largest one of its layer.
CANCELLED = 1e-13


@dataclasses.dataclass(frozen=True)
class Attempt:
    """The outcome of one part on one engine: quantities, or the error that ended it.

    Attributes:
        quantities: the engine's quantities; empty after an error.
        implementation: the kernel that computed the LSTMs; empty where nothing ran.
        seconds: the time of the job inside the engine.
        error: the error, or None.
    """

    quantities: Quantities
    implementation: Implementation = dataclasses.field(default_factory=Implementation)
    seconds: float = 0.0
    error: MultilstmError | None = None


def judge_part(execution: Execution, part: Part, desired: Callable[[], Quantities]) -> list[Cell]:
    """Execute one part of a case and judge every quantity of it.

    Args:
        execution: the case on the engine, in one dtype.
        part: the part.
        desired: returns the reference's quantities, or raises the WorkerError of the reference.

    Returns:
        One cell a quantity, explained if it diverges.
    """
    attempt = attempt_part(execution, part)
    try:
        quantities = desired()
    except WorkerError as error:
        quantities, attempt = {}, dataclasses.replace(attempt, error=error)
    cells = judge_attempt(execution, part, attempt, quantities)
    cells = _within_response(execution, part, cells, attempt.quantities, quantities)
    cells = mark_known(execution.case, cells, _comparison_with(execution, part, attempt.quantities))
    return _explained(execution, part, cells, attempt.error)


def judge_attempt(execution: Execution, part: Part, attempt: Attempt, desired: Quantities) -> list[Cell]:
    """Compare the quantities of an attempt with the desired ones, one cell a quantity."""
    actual = {} if attempt.error else attempt.quantities
    known = dict.fromkeys((*desired, *actual)) or dict.fromkeys(map(Quantity, part.kinds))
    options = execution.options
    return [
        Cell(
            case=execution.case.name,
            engine=execution.engine,
            device=options.device,
            dtype=execution.dtype,
            layers=options.layers,
            part=str(part),
            seconds=attempt.seconds,
            implementation=attempt.implementation,
            comparison=failed(quantity, attempt.error)
            if attempt.error
            else _compared(execution, quantity, actual.get(quantity, []), desired.get(quantity, [])),
        )
        for quantity in known
        if options.wants(quantity.kind)
    ]


def attempt_part(execution: Execution, part: Part) -> Attempt:
    """Execute one part of a case; an engine that fails or refuses it gives an attempt with an error."""
    try:
        result = execution.result(part)
    except (WorkerError, UnsupportedError) as error:
        return Attempt({}, error=error)
    quantities = quantities_of(part, execution.case, result)
    if execution.engine == JUDGE:  # it answers in float64, whatever the dtype of its job
        quantities = {
            quantity: [rounded(array, execution.dtype) for array in arrays] for quantity, arrays in quantities.items()
        }
    return Attempt(quantities, result.implementation, result.seconds)


def _within_response(
    execution: Execution, part: Part, cells: list[Cell], actual: Quantities, desired: Quantities
) -> list[Cell]:
    """Return the cells; those agree whose difference is rounding that the model itself amplifies.

    A gradient that is zero but for rounding is compared on the scale of the other gradients of its layer. Such is that
    of a bias below a BatchNormalization, which takes the bias away again.

    A tolerance of the user's own is never widened.
    """
    options = execution.options
    diverging = [cell for cell in cells if cell.verdict == "diverges" and cell.comparison.max_abs is not None]
    if not diverging or part.trains or options.atol is not None or options.rtol is not None:
        return cells
    moved = moved_by_rounding(execution.case, execution.dtype, part)
    agreeing = {}
    for cell in diverging:
        quantity = cell.quantity
        row = tolerance(execution.dtype, options.device, quantity.kind)
        response = MULTIPLE * max(moved.get(str(quantity), [0.0]))
        row = dataclasses.replace(row, response=response, scale=_scale_of_layer(quantity, desired))
        comparison = compare_batches(quantity, actual[quantity], desired[quantity], row)
        if comparison.verdict in AGREES:
            agreeing[quantity] = comparison
    return [dataclasses.replace(cell, comparison=agreeing.get(cell.quantity, cell.comparison)) for cell in cells]


def _scale_of_layer(quantity: Quantity, desired: Quantities) -> float:
    """Return the largest gradient of the layer of a weight whose own gradient is zero but for rounding; else 0."""
    if quantity.kind != "gradient":
        return 0.0
    layer = quantity.where.partition("/")[0]
    largest = {
        other.where: max((float(np.abs(array).max(initial=0.0)) for array in arrays), default=0.0)
        for other, arrays in desired.items()
        if other.kind == quantity.kind and other.where.partition("/")[0] == layer
    }
    scale = max(largest.values(), default=0.0)
    return scale if largest.get(quantity.where, scale) <= CANCELLED * scale else 0.0


def _comparison_with(execution: Execution, part: Part, actual: Quantities) -> Predicted:
    """Return a function that compares a cell's actual values with the reference's that has some predicted faults."""
    judge = dataclasses.replace(execution, engine=JUDGE)

    @functools.cache
    def answer(predictions: tuple[str, ...]) -> Quantities:
        try:
            return predict(judge, part, predictions)
        except WorkerError:  # the fault changes shapes that later layers or targets do not fit: no answer is predicted
            return {}

    def predicted(cell: Cell, predictions: tuple[str, ...]) -> tuple[Comparison, float]:
        quantity, desired = cell.quantity, answer(predictions).get(cell.quantity)
        if desired is None:
            return cell.comparison, math.inf
        comparison = _compared(execution, quantity, actual.get(quantity, []), desired)
        largest = max((float(np.abs(array).max(initial=0.0)) for array in desired), default=0.0)
        if comparison.max_abs is None or not largest or comparison.max_abs > _allowed_of_training(judge, cell, desired):
            return comparison, math.inf
        return comparison, comparison.max_abs / largest

    return predicted


def _allowed_of_training(judge: Execution, cell: Cell, desired: Sequence[Array]) -> float:
    """Return the largest difference of a trained weight that a bound explains; infinity for other quantities.

    It is half of the way that the weight went. A bound is a share of the weight, and a training of a small rate may
    stay inside it. Without this limit, an engine that does not train would be known.
    """
    name = cell.quantity.where.partition("/")[2]
    if cell.kind != "weights" or name not in judge.case.initial_weights:
        return math.inf
    initial = rounded(judge.case.initial_weights[name], judge.dtype)
    return 0.5 * max((float(np.abs(array - initial).max(initial=0.0)) for array in desired), default=0.0)


def failed(quantity: Quantity, error: MultilstmError) -> Comparison:
    """Return the comparison of a quantity that an engine refused to compute, or failed to."""
    verdict = "unsupported" if isinstance(error, UnsupportedError) else "error"
    return Comparison(quantity, verdict, message=str(error))


def _compared(
    execution: Execution, quantity: Quantity, actual: Sequence[Array], desired: Sequence[Array]
) -> Comparison:
    options = execution.options
    row = tolerance(execution.dtype, options.device, quantity.kind, options.atol, options.rtol)
    comparison = compare_batches(quantity, actual, desired, row)
    if comparison.verdict == "diverges" and actual and desired:
        block = first_block(execution.case.spec, quantity, actual[0], desired[0], row)
        comparison = dataclasses.replace(comparison, explanation=block)
    return comparison


def _explained(execution: Execution, part: Part, cells: list[Cell], error: MultilstmError | None) -> list[Cell]:
    """Return the cells, those of the forward part that failed with the explanation that they share."""
    if part is not Part.FORWARD or engine_row(execution.engine).executes_one_model:
        return cells
    broken = {cell.quantity for cell in cells if cell.verdict == "error"}
    if broken and isinstance(error, WorkerError) and error.kind in ("exception", "crash"):
        return with_explanations(cells, dict.fromkeys(broken, str(explain_error(execution))))
    wrong = {cell.quantity for cell in cells if cell.verdict == "diverges" and cell.kind in FORWARD}
    return with_explanations(cells, dict.fromkeys(wrong, str(explain(execution)))) if wrong else cells


def with_explanations(cells: list[Cell], explanations: Mapping[Quantity, str]) -> list[Cell]:
    """Return the cells, those of some quantities with an explanation."""
    return [
        dataclasses.replace(
            cell, comparison=dataclasses.replace(cell.comparison, explanation=explanations[cell.quantity])
        )
        if cell.quantity in explanations
        else cell
        for cell in cells
    ]
