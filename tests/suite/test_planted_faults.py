"""A suite that cannot fail proves nothing: faults planted in the scan engine must be caught by it."""

import itertools
import os
import pathlib

import pytest

from multilstm.cases.catalogue import select
from multilstm.engines import registry
from multilstm.engines.registry import ENGINES, EngineRow
from multilstm.execution.options import Options
from multilstm.suite.compare_cases import compare_cases

pytestmark = pytest.mark.skipif(bool(ENGINES["jax-scan"].missing), reason="jax is not installed")

GATES = {"Input": "i", "Forget": "f", "Candidate": "c", "Output": "o"}
# By fault: the case and the quantity that catch it, and what is said of it: where it parts, and as if what.
CAUGHT_BY = {
    **{
        f"Swap{first}{second}": (
            "seed4-two-features",
            "hidden",
            (
                f"'lstm', timestep 0, row 0, unit 0, gate {GATES[first]}:",
                f"gates {GATES[first]} and {GATES[second]} were",
            ),
        )
        for first, second in itertools.combinations(GATES, 2)
    },
    "MaskIgnored": ("seed5-masked", "hidden", ("timestep 10", "the mask leaves this", "the mask were ignored")),
    "StateNotCarried": (
        "seed1-stateful",
        "hidden",
        ("'lstm', batch 1, timestep 0", "every gate is right", "the initial state were ignored"),
    ),
    # After 96 timesteps nothing is left of the initial state; the first ones show it.
    "GivenStateIgnored": ("seed3-states", "sequence", ("timestep 0", "gate i:", "the initial state were ignored")),
    # The cell state is zero before the first timestep: its forget gate does not act.
    "ForgetBiasDropped": (
        "seed4-one-feature",
        "cell",
        ("timestep 1", "gate f:", "-1 were added to the bias"),
    ),
    "StatesSwapped": ("seed3-both-states", "cell", ("timestep 0", "hidden and cell state were exchanged")),
    # It is a weight of the hidden state, which is zero before the first timestep.
    "OneWeightNudged": ("seed4-two-features", "hidden", ("timestep 1, row 0, unit 0, gate i:",)),
    "OneStepLate": ("seed2-functional", "sequence", ("timestep 0", "a later timestep", "the first that of the last")),
}


@pytest.fixture
def judge(monkeypatch):
    """Runs one case's forward pass, in float32, on a class of planted.py."""
    paths = (str(pathlib.Path(__file__).parent), os.environ.get("PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))

    def run(target: str, case: str, quantity: str):
        row = EngineRow("scan", target, ("jax",), "jax", {"JAX_ENABLE_X64": "1"})
        monkeypatch.setitem(registry.ENGINES, "scan", row)
        options = Options(("scan",), ("float32",), quantities=(quantity,))
        return compare_cases(select((case,)), options).cells

    return run


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_planted_fault_is_caught_and_explained(judge, fault):
    case, quantity, said = CAUGHT_BY[fault]
    cells = judge(f"planted:{fault}", case, quantity)
    assert {cell.verdict for cell in cells} & {"diverges"}, [cell.comparison for cell in cells]
    assert "error" not in {cell.verdict for cell in cells}
    (explanation,) = {cell.comparison.explanation for cell in cells if cell.verdict == "diverges"}
    assert explanation.startswith("semantics: first in LSTM ")
    assert [words for words in said if words not in explanation] == [], explanation


@pytest.mark.parametrize(("case", "quantity"), sorted({caught[:2] for caught in CAUGHT_BY.values()}))
def test_without_a_fault_the_same_case_agrees(pool, case, quantity):
    options = Options(("jax-scan",), ("float32",), quantities=(quantity,))
    cells = compare_cases(select((case,)), options, pool=pool).cells
    assert cells
    assert {cell.verdict for cell in cells} <= {"within", "bitwise"}
    assert {cell.comparison.explanation for cell in cells} == {""}
