"""The rows of the table of layouts, executed: each framework's own LSTM gives the reference's answers in float64.

Sequence, hidden and cell state, and the gradients of weights, inputs and initial states are compared. All weights and
states are random. `python parity/layouts.py` does the same with 200 models, and with plain Keras.
"""

import dataclasses

import numpy as np
import pytest
from layouts import TOLERANCE
from layouts_drawn import distance, drawn, reference
from layouts_frameworks import FRAMEWORKS, without_a_framework

MODELS = 6
WITHOUT_GRADIENTS = {"onnx"}


@pytest.mark.filterwarnings("ignore:.*rnn_cell.LSTMCell.* is deprecated:UserWarning")
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_gives_the_answers_of_the_reference(name):
    framework = FRAMEWORKS[name]
    pytest.importorskip(framework.module)
    distances = {}
    for number in range(MODELS):
        problem = drawn(number, framework.dialect)
        answers = framework.answers(problem)
        assert (answers.gradients is None) == (name in WITHOUT_GRADIENTS)
        distances[number] = distance(answers, reference(problem))
    assert {number: value for number, value in distances.items() if not value <= TOLERANCE} == {}


def test_the_drawn_models_have_every_option_of_a_layout():
    problems = [drawn(number, "torch") for number in range(MODELS)]
    assert {len(problem.stack) for problem in problems} == {1, 2, 3}
    assert {problem.directions for problem in problems} == {1, 2}
    assert {problem.use_bias for problem in problems} == {True, False}


FAULTS = {
    "sequence": lambda answers: {"sequence": answers.sequence + 1e-11},
    "state": lambda answers: {"states": [state._replace(cell=state.cell + 1e-11) for state in answers.states]},
    "gradient": lambda answers: {
        "gradients": [[cell._replace(kernel=-cell.kernel) for cell in layer] for layer in answers.gradients]
    },
    "missing_state_gradient": lambda answers: {"state_gradients": None},
    "shape": lambda answers: {"input_gradient": answers.input_gradient[:, :1]},
    "nan": lambda answers: {"sequence": answers.sequence * np.nan},
}


@pytest.mark.parametrize("label", FAULTS)
def test_a_wrong_answer_is_seen(label):
    problem = next(p for p in (drawn(number, "torch") for number in range(MODELS)) if p.inputs.shape[1] > 1)
    desired = reference(problem)
    assert distance(desired, desired) == 0
    assert not distance(dataclasses.replace(desired, **FAULTS[label](desired)), desired) <= TOLERANCE


def test_every_executed_row_has_a_framework():
    assert list(without_a_framework()) == []
