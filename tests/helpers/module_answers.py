"""The answers of a converted module in float64, compared with those of the reference."""

import numpy as np

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Job, Step

KEEP = ("outputs", "sequences", "states", "gradients")
PARTS = ("sequences", "last_outputs", "states", "gradients", "input_gradients", "state_gradients")
TOLERANCE = 1e-11  # of float64 answers, of gradients too


def assert_answers_of_the_reference(engine, case):
    """Raise AssertionError where an engine gives other answers than the reference for the first batch of a case."""
    batch = next(iter(case.forward.batches()))
    steps = [Step("forward", batch, keep=KEEP)]
    if case.loss and batch.targets:
        steps.append(Step("gradient", batch, keep=KEEP))
    job = Job(case.spec, case.initial_weights, tuple(steps), "float64", loss=case.loss)
    actual, desired = Executor(engine).execute(job), Executor(ReferenceEngine()).execute(job)
    assert actual.parameter_counts == desired.parameter_counts
    for answer, answer_desired in zip(actual.answers, desired.answers, strict=True):
        for output, output_desired in zip(answer.outputs, answer_desired.outputs, strict=True):
            np.testing.assert_allclose(output, output_desired, rtol=0, atol=TOLERANCE)
        for part in PARTS:
            arrays, arrays_desired = getattr(answer, part), getattr(answer_desired, part)
            assert set(arrays) == set(arrays_desired)
            for key, array in arrays.items():
                np.testing.assert_allclose(array, arrays_desired[key], rtol=0, atol=TOLERANCE, err_msg=f"{part} {key}")
