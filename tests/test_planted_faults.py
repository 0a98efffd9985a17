"""A suite that cannot fail proves nothing: faults planted in the scan engine must be caught by it."""

import os
import pathlib

import pytest

from multilstm.catalogue import select
from multilstm.engines import registry
from multilstm.engines.registry import ENGINES, EngineRow
from multilstm.parts import Options
from multilstm.suite import run_suite

pytestmark = pytest.mark.skipif(bool(ENGINES["jax-scan"].missing), reason="jax is not installed")

GATES = ["InputForget", "InputCandidate", "InputOutput", "ForgetCandidate", "ForgetOutput", "CandidateOutput"]
CAUGHT_BY = {
    **{f"Swap{gates}": ("seed4-two-features", "hidden") for gates in GATES},
    "MaskIgnored": ("seed5-masked", "hidden"),
    "StateNotCarried": ("seed1-stateful", "hidden"),
    # After 96 timesteps nothing is left of the initial state; the first ones show it.
    "GivenStateIgnored": ("seed3-states", "sequence"),
    "ForgetBiasDropped": ("seed4-one-feature", "cell"),
    "StatesSwapped": ("seed3-both-states", "cell"),
    "OneWeightNudged": ("seed4-two-features", "hidden"),
    "OneStepLate": ("seed2-functional", "sequence"),
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
        return run_suite(select((case,)), options)

    return run


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_planted_fault_is_caught(judge, fault):
    case, quantity = CAUGHT_BY[fault]
    cells = judge(f"planted:{fault}", case, quantity)
    assert {cell.verdict for cell in cells} & {"diverges"}, [cell.comparison for cell in cells]
    assert "error" not in {cell.verdict for cell in cells}


@pytest.mark.parametrize(("case", "quantity"), sorted(set(CAUGHT_BY.values())))
def test_without_a_fault_the_same_case_agrees(judge, case, quantity):
    cells = judge(ENGINES["jax-scan"].target, case, quantity)
    assert cells
    assert {cell.verdict for cell in cells} <= {"within", "bitwise"}
