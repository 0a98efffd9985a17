"""Models with a layer that the reference does not compute: each engine is compared with every other one.

No engine is taken for the truth, and none is outvoted. Where two engines differ, both cells diverge, and the message of
each names the other. Where all agree, the verdict is `unjudged`: they may all be wrong in the same way.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from multilstm.compare import AGREES, Comparison, Quantity
from multilstm.compare.comparison import VERDICTS
from multilstm.execution.execution import Execution
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities
from multilstm.report.cells import Cell
from multilstm.suite.judge_part import Attempt, attempt_part, judge_attempt

__all__ = ["compare_all_pairs"]


def compare_all_pairs(executions: Sequence[Execution], part: Part) -> Iterator[tuple[Execution, list[Cell]]]:
    """Execute one part of a case on every engine, compare all pairs of answers, and yield the cells of each engine.

    Args:
        executions: the case in one dtype, once for each engine.
        part: the part.
    """
    with concurrent.futures.ThreadPoolExecutor(len(executions)) as threads:
        attempts = list(threads.map(lambda execution: attempt_part(execution, part), executions))
    answers = {
        execution.engine: attempt.quantities
        for execution, attempt in zip(executions, attempts, strict=True)
        if attempt.error is None
    }
    for execution, attempt in zip(executions, attempts, strict=True):
        others = {engine: quantities for engine, quantities in answers.items() if engine != execution.engine}
        yield execution, _cells(execution, part, attempt, others)


def _cells(execution: Execution, part: Part, attempt: Attempt, others: Mapping[str, Quantities]) -> list[Cell]:
    """Return one cell for each quantity of an engine: the weakest of its comparisons with all other engines."""
    if attempt.error is not None or not others:
        named = next(iter(others.values()), attempt.quantities)
        cells = judge_attempt(execution, part, attempt, named)
        return cells if attempt.error is not None else list(map(_alone, cells))
    compared = {other: judge_attempt(execution, part, attempt, desired) for other, desired in others.items()}
    by_quantity: dict[Quantity, dict[str, Cell]] = {}
    for other, cells in compared.items():
        for cell in cells:
            by_quantity.setdefault(cell.quantity, {})[other] = cell
    return [_weakest(cells) for cells in by_quantity.values()]


def _alone(cell: Cell) -> Cell:
    """Return the cell of an engine without a second one: nothing was compared."""
    message = f"{cell.quantity}: no second engine computed the model, and the reference does not compute it"
    return dataclasses.replace(cell, comparison=Comparison(cell.quantity, "unsupported", message=message))


def _weakest(cells: Mapping[str, Cell]) -> Cell:
    """Return the weakest of the comparisons of one quantity, with the largest distances.

    Args:
        cells: the comparison with each other engine, by its name.
    """
    weakest = max(cells.values(), key=lambda cell: VERDICTS.index(cell.verdict))
    comparisons = [cell.comparison for cell in cells.values()]
    agrees = weakest.verdict in AGREES
    return dataclasses.replace(
        weakest,
        comparison=dataclasses.replace(
            weakest.comparison,
            verdict="unjudged" if agrees else weakest.verdict,
            max_abs=max((c.max_abs for c in comparisons if c.max_abs is not None), default=None),
            share=max((c.share for c in comparisons if c.share is not None), default=None),
            max_ulp=max((c.max_ulp for c in comparisons if c.max_ulp is not None), default=None),
            message="; ".join(_differences(cells)),
        ),
    )


def _differences(cells: Mapping[str, Cell]) -> Iterator[str]:
    """Yield the difference from each engine with another answer; its answer is the `desired` one."""
    for other, cell in cells.items():
        if cell.verdict not in AGREES:
            yield f"against {other}, which is no judge: {cell.comparison.message}"
