"""Seed programs in plain Keras: every difference is known, by the expected rows of the ledger and no others."""

import pytest

from multilstm.cases.catalogue import select
from multilstm.engines.registry import ENGINES
from multilstm.execution.options import Options
from multilstm.suite.compare_cases import compare_cases

# By program and engine: the rows that explain the differences. All others agree.
EXPECTED = {
    ("seed1-stateful", "keras-jax"): {"stateful_state_is_lost"},
    ("seed1-stateful", "keras-torch"): {"stateful_training_raises"},
    ("seed2-stacked", "keras-tensorflow"): {"categorical_crossentropy_logits"},
    ("seed3-units", "keras-jax"): {"stateful_state_is_lost"},
    ("seed3-units", "keras-torch"): {"stateful_training_raises"},
    ("seed5-masked", "keras-tensorflow"): {"time_distributed_variable_length"},
}
PLAIN = ("seed1-stateful", "seed2-stacked", "seed2-functional", "seed3-units", "seed5-masked")
KERAS = tuple(name for name in ENGINES if name.startswith("keras-"))


@pytest.fixture(scope="module")
def plain():
    """Forward and gradient in float32, on the Keras engines that are installed."""
    engines = tuple(name for name in KERAS if not ENGINES[name].missing)
    quantities = ("parameter_count", "output", "sequence", "hidden", "cell", "gradient")
    return compare_cases(select(PLAIN), Options(engines, ("float32",), "plain", quantities=quantities)).cells


@pytest.mark.parametrize("engine", KERAS)
@pytest.mark.parametrize("program", PLAIN)
def test_every_difference_is_known(plain, program, engine):
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    cells = [cell for cell in plain if (cell.case, cell.engine) == (program, engine)]
    assert cells
    failing = [f"{cell.verdict}: {cell.comparison.message}" for cell in cells if cell.verdict in ("diverges", "error")]
    assert failing == []
    rows = {row.id for cell in cells for row in cell.comparison.known}
    assert rows == EXPECTED.get((program, engine), set())
