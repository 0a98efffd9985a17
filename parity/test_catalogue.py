"""The parity suite: every quantity of every case, on every engine, in every dtype, against the float64 reference.

An id says everything: `test_part[keras-torch-cpu-seed5-float64-forward]`. Names, shapes, dtypes and counts are exact;
forward quantities computed in float64 have the same float32 bits as the reference; everything else is inside the row of
multilstm/compare/tolerances.py. Which cases have gradients and training here: see `cases.catalogue`.

`-m quick` takes the forward pass in float32 of every pair of options, of upstream issues and of peer vectors.
"""

import pytest

from multilstm.cases.case import Case
from multilstm.cases.catalogue import catalogue
from multilstm.cases.catalogue.seeds import PROGRAMS
from multilstm.compare.quantity import FORWARD
from multilstm.engines.registry import ENGINES
from multilstm.execution.options import Options
from multilstm.execution.part import due_parts
from multilstm.jobs.dtypes import MIXED

ENGINE_NAMES = [name for name in ENGINES if name != "reference"]


def kinds(case: Case, part: str) -> set[str]:
    """The kinds of quantities that a part of a case must give, from its spec alone: a missing one fails."""
    states = next(case.forward.batches()).states
    if part == "gradient":
        given = zip(("input_gradient", "state_gradient"), case.spec.sources(states), strict=True)
        return {"gradient"} | {kind for kind, any_ in given if any_}
    if part == "forward":
        shown = [lstm.return_sequences for name, lstm in case.spec.lstms.items() if "/" not in name]
        last = {kind for kind, sequences in (("sequence", True), ("last_output", False)) if sequences in shown}
        return {"parameter_count", "weight_shape", "output", "hidden", "cell"} | last
    trained = {"trained_hidden", "trained_cell"} if states else set()
    accuracy = {"accuracy"} if case.loss == "categorical_crossentropy" and part == "program" else set()
    slots = {"slots"} if case.optimizer.slots else set()
    return {"loss", "weights"} | trained | accuracy | slots


def quick(case: Case, dtype: str, part: str) -> bool:
    chosen = case.name.startswith(("issue-", "peer-")) or (case.name.startswith("sweep-") and bool(case.training))
    return chosen and dtype == "float32" and part == "forward"


def dtypes(case: Case, device: str) -> tuple[str, ...]:
    """In what a case is computed; in half precision one variant of each seed program, on a GPU, where tf32 comes with
    it, every one, and what decides on kernels."""
    on_gpu = device == "gpu"
    chosen = case.name.startswith(("seed", "gpu-")) if on_gpu else case.name in PROGRAMS
    return ("float32", "float64", *(MIXED if chosen else ()), *(("tf32",) if chosen and on_gpu else ()))


def trained(case: Case, dtype: str, device: str) -> bool:
    """Whether gradients and training are compared: on a CPU not of `gpu-*`, and in float32 of one variant of each seed
    program."""
    if device == "gpu":
        return True
    if case.name.startswith("gpu-"):
        return False
    return dtype == "float64" or not case.name.startswith("seed") or case.name in PROGRAMS


def pytest_generate_tests(metafunc):
    device = metafunc.config.getoption("--device")
    cells = [
        pytest.param(
            (engine, case.name, dtype, part),
            id="-".join((engine, device, case.name, dtype, part)),
            marks=[pytest.mark.quick] if quick(case, dtype, part) else [],
        )
        for engine in ENGINE_NAMES
        for case in catalogue().values()
        for dtype in dtypes(case, device)
        for part in map(str, due_parts(case, dtype, Options((engine,), device=device), engine))
        if part == "forward" or trained(case, dtype, device)
    ]
    metafunc.parametrize("cell", cells)


def test_part(cell, engines, judged):
    engine, name, dtype, part = cell
    engines.require(engine)
    found = judged.get(cell, [])
    assert found, f"{engine} gave nothing"
    if {one.verdict for one in found} == {"unsupported"}:
        assert ENGINES[engine].partial, f"only a partial engine may leave a case out: {found[0].comparison.message}"
        pytest.skip(found[0].comparison.message)
    wrong = [one for one in found if one.verdict not in agreeing(dtype, one.kind)]
    assert not wrong, "\n".join(f"{one.verdict}: {one.comparison.message or one.comparison}" for one in wrong)
    assert {one.kind for one in found} == kinds(catalogue()[name], part)


def agreeing(dtype: str, kind: str) -> set[str]:
    exact = {"equal", "bitwise", "rounded"}
    return exact if dtype == "float64" and kind in FORWARD else exact | {"within"}
