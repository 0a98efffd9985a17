"""Answers of another program: judged like an engine's, located, and explained by a change of the whole model."""

import dataclasses

import numpy as np
import pytest

from multilstm.cases.given_inputs import given_batches
from multilstm.cases.model_case import example_case
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import InputError, UsageError
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.execution.quantities import quantities_of
from multilstm.jobs.job import Job
from multilstm.spec import LSTM, Bidirectional, Dense, Masking, Sequential
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.recorded import quantities_from, reference_answers

SPEC = Sequential(
    [Masking(), LSTM(3, return_sequences=True), Bidirectional(LSTM(4)), Dense(2, activation="softmax")],
    input_shape=(None, 3),
)
X = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
X[1, 4:] = 0
OPTIONS = Options(("reference",), ("float32", "float64"), quantities=("output", "sequence", "hidden", "cell"))


def case_of(spec=SPEC, weights=None):
    return example_case(spec, given_batches(spec, {"": X}), "given", weights)


def answers(spec=SPEC, weights=None):
    """Return the forward answers of a program with its own idea of the model, in float32."""
    case = case_of(spec, case_of().initial_weights if weights is None else weights)
    job = Job(spec, case.initial_weights, tuple(case.forward_steps()), "float64")
    quantities = quantities_of(Part.FORWARD, case, Executor(ReferenceEngine()).execute(job))
    return {str(quantity): arrays[0].astype(np.float32) for quantity, arrays in quantities.items()}


def judged(names, arrays, case=None):
    case = case or case_of()
    recorded = quantities_from(case, {name: arrays[name] for name in names})
    report = compare_cases([case], OPTIONS, recorded=recorded)
    return {str(cell.quantity): cell for cell in report.cells if cell.engine == "recorded"}


ALL = ("sequence:lstm", "hidden:bidirectional/forward", "cell:bidirectional/backward", "output")


def test_the_reference_judges_every_recorded_quantity():
    cells = judged(ALL, answers())
    assert {name: cell.verdict for name, cell in cells.items()} == dict.fromkeys(ALL, "bitwise")


@pytest.mark.parametrize("names", [("cell:lstm",), ("output", "hidden:lstm"), ALL], ids=" ".join)
def test_absent_quantities_are_named(names):
    arrays = answers()
    recorded = quantities_from(case_of(), {name: arrays[name] for name in names})
    report = compare_cases([case_of()], OPTIONS, recorded=recorded)
    forward = [name for name in arrays if name.split(":")[0] in OPTIONS.quantities]
    assert report.unrecorded == tuple(name for name in forward if name not in names)
    assert f"The recorded answers lack {', '.join(report.unrecorded[:6])}" in report.sentence


def test_the_reference_s_own_answers_agree():
    arrays = dict(reference_answers(case_of(), OPTIONS))
    cells = judged(arrays, arrays)
    assert {"output", "hidden:bidirectional/backward"} <= cells.keys()
    assert {cell.verdict for cell in cells.values()} == {"bitwise"}
    assert {cell.dtype for cell in cells.values()} == {"float64"}


def in_order(order):
    def permute(array):
        blocks = np.split(array, 4, axis=-1)
        return np.concatenate([blocks[gate] for gate in order], axis=-1)

    return {
        name: array if name.startswith("dense") else permute(array) for name, array in case_of().initial_weights.items()
    }


def with_bias(change):
    weights = case_of().initial_weights
    return {
        name: change(array) if "/bias" in name and "dense" not in name else array for name, array in weights.items()
    }


def one_later(bias):
    return bias + np.repeat([0, 1, 0, 0], len(bias) // 4).astype(np.float32)


MASKLESS = dataclasses.replace(SPEC.layers[1], mask_value=9.0)
UNMASKED = dataclasses.replace(SPEC, layers=(SPEC.layers[0], MASKLESS, *SPEC.layers[2:]))


def hard(layer):
    return dataclasses.replace(layer, recurrent_activation="hard_sigmoid") if isinstance(layer, LSTM) else layer


FAULTS = {
    "the gates were in the order i c f o": (SPEC, in_order((0, 2, 1, 3))),
    "the gates were in the order c o f i": (SPEC, in_order((3, 2, 0, 1))),
    "+1 were added to the bias of gate f": (SPEC, with_bias(one_later)),
    "there were no bias in an LSTM": (SPEC, with_bias(np.zeros_like)),
    "no timestep were masked": (UNMASKED, None),
    "recurrent_activation were hard_sigmoid": (SPEC.with_layers(hard), None),
}  # fmt: skip


@pytest.mark.parametrize("names", [ALL, ("output",)], ids=["all", "output"])
@pytest.mark.parametrize(("fault", "program"), FAULTS.items(), ids=FAULTS)
def test_a_fault_of_the_whole_model_is_named(names, fault, program):
    cell = judged(names, answers(*program))["output"]
    assert cell.verdict == "diverges"
    assert f"as if {fault}" in cell.comparison.explanation


def test_the_first_layer_and_timestep_are_named():
    arrays = answers()
    arrays["sequence:lstm"][1, 2, 1] += 1e-3
    arrays["hidden:bidirectional/forward"][0, 3] += 1e-3
    cells = judged(ALL, arrays)
    explanation = cells["hidden:bidirectional/forward"].comparison.explanation
    assert "first in LSTM 'lstm', timestep 2, row 1, unit 1" in explanation
    assert "as if" not in explanation
    assert cells["output"].verdict == "bitwise"


def test_answers_to_some_batches_are_refused():
    weights = case_of().initial_weights
    case = example_case(SPEC, given_batches(SPEC, {"input_layer@0": X, "input_layer@1": X}), "given", weights)
    with pytest.raises(InputError, match=r"answers is 1, expected 2, .* --inputs FILE"):
        quantities_from(case, {"output": X})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"output": X, "speed": X}, "'speed'; expected names such as output"),
        ({"hidden:other": X}, "'hidden:other'; the model has"),
        ({"output@0": X, "output@1": X}, "answers is 2, expected 1"),
        ({"gradient:lstm/kernel": X}, "expected names such as output"),
    ],
    ids=["kind", "layer", "batches", "gradient"],
)
def test_answers_that_no_forward_pass_has_are_refused(arrays, message):
    with pytest.raises(InputError, match=message):
        compare_cases([case_of()], OPTIONS, recorded=quantities_from(case_of(), arrays))


def test_a_wrong_shape_diverges():
    cell = judged(["output"], {"output": answers()["output"][:1]})["output"]
    assert cell.verdict == "diverges"
    assert "shape is (1, 2), expected (2, 2)" in cell.comparison.message


def test_recorded_answers_of_which_nothing_is_compared_are_refused():
    recorded = quantities_from(case_of(), {"output": answers()["output"]})
    options = dataclasses.replace(OPTIONS, quantities=("hidden", "cell"))
    with pytest.raises(UsageError, match="the recorded answers hold output, but of the quantities only hidden, cell"):
        compare_cases([case_of()], options, recorded=recorded)
