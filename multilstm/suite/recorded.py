"""Answers that another program recorded, judged like those of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from multilstm.cases.case import Case
from multilstm.cases.given_inputs import by_batch
from multilstm.compare import Quantity
from multilstm.compare.quantity import EXACT, FORWARD
from multilstm.engines.registry import JUDGE
from multilstm.errors import InputError, listed, shown
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities
from multilstm.explain.recorded import explain_recorded
from multilstm.report.cells import RECORDED, Cell
from multilstm.spec.arrays import Array
from multilstm.suite.judge_part import Attempt, judge_attempt, with_explanations
from multilstm.workers import WorkerPool

__all__ = ["RECORDED", "judge_recorded", "judged_in", "quantities_from", "reference_answers"]


def quantities_from(case: Case, arrays: Mapping[str, Array]) -> Quantities:
    """Return recorded answers by quantity, one array a batch.

    Args:
        case: the case, whose forward batches the answers belong to.
        arrays: by quantity (`output`, `output:1`, `sequence:lstm`, `hidden:lstm`, `cell:lstm`), followed by `@0`, `@1`
            and so on with several batches. The empty name is `output`.

    Raises:
        InputError: for names that are no quantities of a forward pass, or another number of batches.
    """
    batches = by_batch({name or "output": array for name, array in arrays.items()})
    count = len(list(case.forward_steps()))
    if len(batches) != count:
        raise InputError(
            f"the number of batches of the recorded answers is {len(batches)}, expected {count}, that of the inputs; "
            f"give the inputs that they answer: --inputs FILE, or inputs="
        )
    quantities: Quantities = {}
    for number, batch in enumerate(batches):
        for name, array in batch.items():
            quantity = Quantity.parse(name)
            if quantity.kind not in FORWARD:
                raise InputError(
                    f"the recorded answers hold {shown(name)}; expected names such as output, sequence:LAYER, "
                    f"hidden:LAYER or cell:LAYER; the kinds are {listed(FORWARD)}"
                )
            if len(quantities.setdefault(quantity, [])) != number:
                raise InputError(f"the recorded answers hold {shown(name)} for batch {number}, but not for all before")
            quantities[quantity].append(array)
    return quantities


def reference_answers(case: Case, options: Options) -> Iterator[tuple[str, Array]]:
    """Yield the reference's forward answers by the names that `quantities_from` reads.

    Args:
        case: the case.
        options: the options of the run; the reference computes in float64.

    Raises:
        WorkerError: if the reference fails.
    """
    with WorkerPool(options.timeout_s) as pool:
        quantities = Execution(pool, JUDGE, case, "float64", options).quantities(Part.FORWARD)
    for quantity, arrays in quantities.items():
        if quantity.kind not in EXACT:
            for number, array in enumerate(arrays):
                yield f"{quantity}@{number}" if len(arrays) > 1 else str(quantity), array


def judge_recorded(execution: Execution, recorded: Quantities, desired: Quantities) -> list[Cell]:
    """Judge recorded answers: one cell for each of their quantities.

    Args:
        execution: the case whose inputs the other program had, and the dtype in which its answers are judged.
        recorded: the answers, of `quantities_from`.
        desired: the reference's quantities.

    Raises:
        InputError: for quantities that the model does not have.
    """
    unknown = [str(quantity) for quantity in recorded if quantity not in desired]
    if unknown:
        known = [str(quantity) for quantity in desired if quantity.kind in FORWARD]
        raise InputError(f"the recorded answers hold {listed(map(shown, unknown))}; the model has {listed(known)}")
    case, dtype, options = execution.case, execution.dtype, execution.options
    actual = {quantity: [np.asarray(array, dtype) for array in arrays] for quantity, arrays in recorded.items()}
    expected = {quantity: desired[quantity] for quantity in actual}
    cells = judge_attempt(execution, Part.FORWARD, Attempt(actual), expected)
    wrong = [cell.quantity for cell in cells if cell.verdict == "diverges"]
    if not wrong:
        return cells
    return with_explanations(cells, dict.fromkeys(wrong, str(explain_recorded(case, actual, expected, dtype, options))))


def judged_in(recorded: Quantities, options: Options) -> str:
    """Return the dtype in which recorded answers are judged: their own, if the run has it, else the run's first."""
    wide = any(array.dtype == np.float64 for arrays in recorded.values() for array in arrays)
    own = "float64" if wide else "float32"
    return own if own in options.dtypes else options.dtypes[0]
