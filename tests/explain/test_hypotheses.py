"""Hypotheses: a faulty engine confirms the hypothesis of its fault, and no other."""

import dataclasses

import numpy as np
import pytest

from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.explain.hypotheses import HYPOTHESES, LSTMAnswer, confirmed, reference_answer
from multilstm.explain.side_by_side import Sides
from multilstm.explain.timestep import IsolatedLSTM
from multilstm.jobs.job import Answer
from multilstm.spec import LSTM, Input, Model
from multilstm.spec.arrays import State

LAYERS = {
    "last": LSTM(3),
    "sequence": LSTM(3, return_sequences=True),
    "zero_output": LSTM(3, return_sequences=True, zero_output_for_mask=True),
    "backwards": LSTM(3, return_sequences=True, go_backwards=True),
    "no_bias": LSTM(3, return_sequences=True, use_bias=False),
}
MASK = np.array([[False, True, True, False, True], [True, True, True, True, False]])


@dataclasses.dataclass(frozen=True)
class FaultyLSTM(IsolatedLSTM):
    """An LSTM on an engine that gives a fixed answer on the full sequence."""

    answer: LSTMAnswer | None = None

    def run(self, timesteps):
        output, hidden, cell = self.answer
        return Answer(outputs=(output,), states={"lstm": State(hidden, cell)})


def lstm_of(layer, mask=MASK, with_start=True):
    rng = np.random.default_rng(0)
    spec = Model(source := Input((5, 2)), layer(source))
    weights = {name.split("/")[1]: rng.uniform(-1, 1, shape) for name, shape in spec.weight_shapes.items()}
    start = State(rng.uniform(-1, 1, (2, 3)), rng.uniform(-1, 1, (2, 3))) if with_start else None
    sides = Sides(Execution(None, "keras-jax", None, "float64", Options(("keras-jax",))))
    return FaultyLSTM(sides, layer, weights, rng.uniform(-1, 1, (2, 5, 2)), mask, start, False)


def changes_an_answer(hypothesis, lstm):
    pairs = zip(hypothesis.answer(lstm), reference_answer(lstm), strict=True)
    return not all(np.array_equal(*pair) for pair in pairs)


CASES = [
    pytest.param(layer, hypothesis, id=f"{kind}-{hypothesis.name.replace(' ', '_')}")
    for kind, layer in LAYERS.items()
    for hypothesis in HYPOTHESES
    if hypothesis.applies(lstm_of(layer)) and changes_an_answer(hypothesis, lstm_of(layer))
]


@pytest.mark.parametrize(("layer", "hypothesis"), CASES)
def test_a_fault_confirms_its_own_hypothesis(layer, hypothesis):
    lstm = lstm_of(layer)
    faulty = hypothesis.answer(lstm)
    assert confirmed(dataclasses.replace(lstm, answer=faulty)) == (hypothesis,)


def test_every_hypothesis_applies_to_some_layer():
    assert {case.values[1] for case in CASES} == set(HYPOTHESES)


def test_names_are_unique():
    assert len({hypothesis.name for hypothesis in HYPOTHESES}) == len(HYPOTHESES)


def test_an_unknown_fault_confirms_none():
    lstm = lstm_of(LAYERS["sequence"])
    output, hidden, cell = reference_answer(lstm)
    assert confirmed(dataclasses.replace(lstm, answer=LSTMAnswer(output * 1.1, hidden, cell))) == ()


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_without_mask_and_state_their_faults_do_not_apply(layer):
    names = [hypothesis.name for hypothesis in HYPOTHESES if hypothesis.applies(lstm_of(layer, None, False))]
    assert not [name for name in names if "mask" in name or "initial state" in name]
