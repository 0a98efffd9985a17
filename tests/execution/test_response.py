"""The response to rounding: it widens the tolerance of a model that amplifies rounding, and of no other."""

import dataclasses

import numpy as np
import pytest

from multilstm.cases.case import Case
from multilstm.cases.recipes import GivenBatches
from multilstm.compare import Quantity, tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.execution.quantities import quantities_of
from multilstm.execution.response import MULTIPLE, UNIT, moved_by_rounding, perturbed
from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Batch
from multilstm.report.report import Report
from multilstm.report.terminal import to_text
from multilstm.spec import LSTM, Dense, Embedding, Sequential
from multilstm.suite.judge_part import judge_part
from multilstm.weights.initializers import discriminating_weights

SPEC = Sequential([LSTM(4, return_sequences=True), LSTM(3), Dense(2)], input_shape=(None, 5))
X = np.random.default_rng(0).uniform(-1, 1, (3, 7, 5)).astype(np.float32)


def case_of(amplified):
    """Return a case; amplified, its gates saturate, and its Dense layer multiplies by a thousand."""
    weights = discriminating_weights(SPEC)
    factors = {"lstm/recurrent_kernel": 30, "dense/kernel": 1e3} if amplified else {}
    weights = {name: (array * factors.get(name, 1)).astype(np.float32) for name, array in weights.items()}
    return Case("case", "", SPEC, GivenBatches((Batch({"input_layer": X}),)), weights=weights)


class Shifted:
    """A pool without processes: the reference, with a number added to the first output."""

    def __init__(self, shift):
        self.shift = shift

    def execute(self, engine, job):
        result = Executor(ReferenceEngine()).execute(dataclasses.replace(job, dtype="float64"))

        def changed(answer):
            output = answer.outputs[0].copy()
            output[0, 1] += self.shift
            return dataclasses.replace(answer, outputs=(output.astype(stored(job.dtype)),))

        return dataclasses.replace(result, answers=tuple(map(changed, result.answers)))


def judged(case, shift, dtype="float32", **tolerances):
    options = Options(("jax-scan",), (dtype,), quantities=("output",), **tolerances)
    execution = Execution(Shifted(shift), "jax-scan", case, dtype, options)
    judge = Execution(Shifted(0.0), "reference", case, dtype, options)

    def desired():
        return quantities_of(Part.FORWARD, case, judge.result(Part.FORWARD))

    (cell,) = judge_part(execution, Part.FORWARD, desired)
    return cell


def response_of(case, dtype="float32"):
    return MULTIPLE * max(moved_by_rounding(case, dtype, Part.FORWARD)["output"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_that_the_model_amplifies_agrees(dtype):
    case = case_of(amplified=True)
    response = response_of(case, dtype)
    assert response > 1e4 * UNIT[dtype]
    cell = judged(case, 0.9 * response, dtype)
    assert cell.verdict == {"float32": "within", "float64": "rounded"}[dtype]
    assert cell.comparison.response == pytest.approx(response)
    assert cell.comparison.tolerance.endswith(f", or {response:.1e}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_twice_as_much_diverges(dtype):
    case = case_of(amplified=True)
    cell = judged(case, 2 * response_of(case, dtype), dtype)
    assert cell.verdict == "diverges"
    assert cell.comparison.response == 0


@pytest.mark.parametrize(("dtype", "share"), [("float32", 1e-3), ("mixed_bfloat16", 0.1)])
def test_chaos_excuses_no_answer(dtype, share):
    """The rounding of a chaotic model moves its outputs by more than their size, so any answer would agree."""
    case = case_of(amplified=True)
    weights = {name: array * (3 if "recurrent" in name else 1) for name, array in case.initial_weights.items()}
    long = np.random.default_rng(3).uniform(-1, 1, (3, 100, 5)).astype(np.float32)
    case = dataclasses.replace(case, weights=weights, forward=GivenBatches((Batch({"input_layer": long}),)))
    judge = Execution(Shifted(0.0), "reference", case, dtype, Options(("jax-scan",), (dtype,)))
    (output,) = judge.quantities(Part.FORWARD)[Quantity("output")]
    largest = float(np.abs(output).max())
    assert response_of(case, dtype) > 2 * largest
    row = tolerance(dtype, "cpu", "output")
    assert judged(case, 0.9 * share * largest, dtype).verdict == "within"
    assert judged(case, 2 * share * largest + row.atol + row.rtol * largest, dtype).verdict == "diverges"


def test_a_tolerance_of_the_user_is_never_widened():
    case = case_of(amplified=True)
    assert judged(case, response_of(case), atol=1e-9, rtol=0.0).verdict == "diverges"


def test_a_small_model_responds_by_less_than_the_table_allows():
    case = case_of(amplified=False)
    assert response_of(case) < 1e-6
    assert judged(case, 5e-6).verdict == "diverges"


def test_the_report_counts_what_needs_the_response():
    case = case_of(amplified=True)
    cells = (judged(case, 0.9 * response_of(case)), judged(case, 0.0))
    text = " ".join(to_text(Report(cells, {})).split())
    assert "float32: 1 quantity beyond the table of tolerances, inside the rounding that this model amplifies" in text


def test_a_weight_moves_by_the_rounding_of_its_sums():
    spec = Sequential([Embedding(9, 5), LSTM(4)], input_shape=(None,), input_dtype="int32")
    weights = discriminating_weights(spec)
    moved = perturbed(spec, weights, 2.0**-24, seed=0)
    for name, terms in (
        ("lstm/kernel", 9),
        ("lstm/recurrent_kernel", 9),
        ("lstm/bias", 9),
        ("embedding/embeddings", 1),
    ):
        share = moved[name] / weights[name].astype(np.float64) - 1
        np.testing.assert_allclose(np.abs(share[weights[name] != 0]), 2.0**-24 * terms**0.5, rtol=1e-6)
        assert {-1.0, 1.0} <= set(np.sign(share).ravel())
