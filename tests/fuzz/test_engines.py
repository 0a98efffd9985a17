"""Hypothesis in the test suite: a few drawn models on every engine, the same ones in every run."""

import pytest
from hypothesis import given, settings

from multilstm.engines.registry import ENGINES
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.frameworks.private_hypothesis import without_constants_of_modules
from multilstm.fuzz.campaign import symptom_of
from multilstm.fuzz.strategies import samples

DTYPE = "float64"  # in which rounding hides nothing
ENGINE_NAMES = [name for name in ENGINES if name != "reference"]


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_drawn_models_agree(engine, pool):
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    options = Options((engine,), (DTYPE,))

    @settings(max_examples=10)
    @given(samples())
    def agrees(sample):
        execution = Execution(pool, engine, sample.case("drawn"), DTYPE, options)
        found = {part: symptom_of(execution, sample, part) for part in (Part.FORWARD, Part.GRADIENT)}
        # A model may amplify rounding beyond the row of an ordinary one.
        assert found[Part.FORWARD] in ("", "rounding"), sample.to_json()
        assert found[Part.GRADIENT] == "", sample.to_json()

    with without_constants_of_modules():  # the same models, whatever the other tests imported
        agrees()
