"""Faults planted in the scan engine: the suite must catch, locate and explain each of them."""

import dataclasses
import itertools
import os
import pathlib

import pytest
from marks import needs

from multilstm.cases.catalogue import select
from multilstm.engines import registry
from multilstm.engines.registry import EngineRow
from multilstm.execution.options import Options
from multilstm.suite.compare_cases import compare_cases
from multilstm.workers import WorkerPool

pytestmark = needs("jax-scan")

GATES = {"input": "i", "forget": "f", "candidate": "c", "output": "o"}
# By fault: the case and the quantity that catch it, and words of its explanation: the first place, and a likely fault.
CAUGHT_BY = {
    **{
        f"{first}_and_{second}_swapped": (
            "seed4-two-features",
            "hidden",
            (
                f"'lstm', timestep 0, row 0, unit 0, gate {GATES[first]}:",
                f"gates {GATES[first]} and {GATES[second]} were",
            ),
        )
        for first, second in itertools.combinations(GATES, 2)
    },
    "mask_ignored": ("seed5-masked", "hidden", ("timestep 10", "the mask leaves this", "the mask were ignored")),
    "state_not_carried": (
        "seed1-stateful",
        "hidden",
        ("'lstm', batch 1, timestep 0", "every gate is right", "the initial state were ignored"),
    ),
    # After 96 timesteps nothing is left of the initial state; the first ones show it.
    "given_state_ignored": ("seed3-states", "sequence", ("timestep 0", "gate i:", "the initial state were ignored")),
    # The cell state is zero before the first timestep, so its forget gate does not act.
    "forget_bias_dropped": ("seed4-one-feature", "cell", ("timestep 1", "gate f:", "-1 were added to the bias")),
    "states_swapped": ("seed3-both-states", "cell", ("timestep 0", "hidden and cell state were exchanged")),
    # It is a weight of the hidden state, which is zero before the first timestep.
    "one_weight_nudged": ("seed4-two-features", "hidden", ("timestep 1, row 0, unit 0, gate i:",)),
    "one_step_late": (
        "seed2-functional",
        "sequence",
        ("timestep 0", "a later timestep", "the first that of the last"),
    ),
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Run a case's forward pass, in float32, with a fault of planted.py; one process serves all faults."""
    file = tmp_path_factory.mktemp("planted") / "fault"
    paths = (str(pathlib.Path(__file__).parent), os.environ.get("PYTHONPATH"))
    row = EngineRow("faulty", "planted:FaultyEngine", ("jax",), "jax", {"JAX_ENABLE_X64": "1"})
    with pytest.MonkeyPatch.context() as patch, WorkerPool(threads=1, parallel=2) as pool:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setenv("PLANTED_FAULT", str(file))
        patch.setitem(registry.ENGINES, "faulty", row)

        def run(fault: str, case: str, quantity: str):
            file.write_text(fault, encoding="utf-8")
            options = Options(("faulty",), ("float32",), quantities=(quantity,))
            return compare_cases(select((case,)), options, pool=pool).cells

        yield run


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_planted_fault_is_caught_and_explained(judge, fault):
    case, quantity, words = CAUGHT_BY[fault]
    cells = judge(fault, case, quantity)
    assert {cell.verdict for cell in cells} & {"diverges"}, [cell.comparison for cell in cells]
    assert "error" not in {cell.verdict for cell in cells}
    (explanation,) = {cell.comparison.explanation for cell in cells if cell.verdict == "diverges"}
    assert explanation.startswith("semantics: first in LSTM ")
    assert [phrase for phrase in words if phrase not in explanation] == [], explanation


@pytest.mark.parametrize(("case", "quantity"), sorted({caught[:2] for caught in CAUGHT_BY.values()}))
def test_without_a_fault_the_same_case_agrees(judge, case, quantity):
    """The process that ran the faults agrees again afterwards: no fault outlives its test."""
    cells = judge("", case, quantity)
    assert cells
    assert {cell.verdict for cell in cells} <= {"within", "bitwise"}
    assert {cell.comparison.explanation for cell in cells} == {""}


def test_an_engine_of_one_model_is_not_asked_for_its_parts(judge, monkeypatch):
    row = registry.ENGINES["faulty"]
    bound = dataclasses.replace(row, settings={**row.settings, registry.CONVERTED: "model.keras"})
    monkeypatch.setitem(registry.ENGINES, "faulty", bound)
    fault, (case, quantity, _) = next(iter(CAUGHT_BY.items()))
    cells = judge(fault, case, quantity)
    assert "diverges" in {cell.verdict for cell in cells}
    assert {cell.comparison.explanation for cell in cells} == {""}
