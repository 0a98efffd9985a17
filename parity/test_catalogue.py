"""The parity suite: every quantity of every case, on every engine, in every dtype, against the float64 reference.

An id says everything: `test_quantity[keras-torch-cpu-seed5-float64-hidden]`. Names, shapes, dtypes and counts are
exact; forward quantities computed in float64 have the same float32 bits as the reference; everything else is inside
the row of multilstm/compare/tolerances.py.
"""

import pytest

from multilstm.case import Case
from multilstm.catalogue import catalogue
from multilstm.compare.tolerances import FORWARD
from multilstm.engines.base import sources
from multilstm.engines.registry import ENGINES
from multilstm.job import DTYPES

ENGINE_NAMES = [name for name in ENGINES if name != "reference"]


def kinds(case: Case, engine: str) -> list[str]:
    """The kinds of quantities that a case must give, from its spec alone: a missing one fails."""
    found = ["parameter_count", "weight_shape", "output", "hidden", "cell"]
    shown = [lstm.return_sequences for name, lstm in case.spec.lstms.items() if "/" not in name]
    found += [kind for kind, sequences in (("sequence", True), ("last_output", False)) if sequences in shown]
    if case.loss is not None:
        found.append("gradient")
        inputs, states = sources(case.spec, next(case.forward.batches()).states)
        found += [kind for kind, given in (("input_gradient", inputs), ("state_gradient", states)) if given]
    if case.training and not ENGINES[engine].witness:
        found += ["loss", "weights"]
        if case.optimizer.slots:
            found.append("slots")
        if case.loss == "categorical_crossentropy":
            found.append("accuracy")
        if next(case.forward.batches()).states:
            found += ["trained_hidden", "trained_cell"]
    return found


CELLS = [
    (engine, case.name, dtype, kind)
    for engine in ENGINE_NAMES
    for case in catalogue().values()
    for dtype in DTYPES
    for kind in kinds(case, engine)
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join((cell[0], "cpu", *cell[1:])))
def test_quantity(cell, judged):
    engine, _, dtype, kind = cell
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    found = judged.get(cell, [])
    assert found, f"{engine} gave no {kind}"
    if {one.verdict for one in found} == {"unsupported"}:
        assert ENGINES[engine].witness, f"only a witness may leave a case out: {found[0].comparison.message}"
        pytest.skip(found[0].comparison.message)
    agree = {"equal", "bitwise", "rounded"} if dtype == "float64" and kind in FORWARD else None
    agree = agree or {"equal", "bitwise", "rounded", "within"}
    wrong = [one for one in found if one.verdict not in agree]
    assert not wrong, "\n".join(f"{one.verdict}: {one.comparison.message or one.comparison}" for one in wrong)
