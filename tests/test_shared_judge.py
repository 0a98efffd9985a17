"""The parity suite computes each answer of the reference once: parity/shared_judge.py."""

import dataclasses

import numpy as np
from faulty_pool import FaultyPool
from shared_judge import SharedJudge

from multilstm.cases.catalogue import select
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part


class Counting(FaultyPool):
    """A pool that counts the jobs of each engine."""

    def __init__(self):
        super().__init__()
        self.engines = []

    def execute(self, engine, job):
        self.engines.append(engine)
        return super().execute(engine, job)


def quantities(folder, pool, name, part, dtype="float64", engine="reference"):
    """Return the quantities of a case by the pool of another process."""
    (case,) = select([name])
    execution = Execution(SharedJudge(pool, folder), engine, case, dtype, Options(("jax-scan",)))
    return execution.quantities(part)


def test_a_kept_answer_is_the_computed_one(tmp_path):
    pool = Counting()
    for part in (Part.FORWARD, Part.GRADIENT, Part.PROGRAM):
        first, second = (quantities(tmp_path, pool, "model-embedding-mask-full_row", part) for _ in range(2))
        assert first.keys() == second.keys()
        for quantity, arrays in first.items():
            for one, other in zip(arrays, second[quantity], strict=True):
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)
    assert pool.engines == ["reference"] * 3


def test_jobs_that_differ_have_answers_of_their_own(tmp_path):
    pool = Counting()
    for name, dtype in (("issue-keras-23462-stateful_backward", "float64"), ("option-stateful", "float64")):
        quantities(tmp_path, pool, name, Part.FORWARD, dtype)
    (case,) = select(["option-stateful"])
    other = dataclasses.replace(case, weights={name: 2 * array for name, array in case.initial_weights.items()})
    execution = Execution(SharedJudge(pool, tmp_path), "reference", other, "float64", Options(("jax-scan",)))
    execution.quantities(Part.FORWARD)
    assert pool.engines == ["reference"] * 3


def test_other_engines_always_compute(tmp_path):
    pool = Counting()
    for _ in range(2):
        quantities(tmp_path, pool, "option-stateful", Part.FORWARD, engine="jax-scan")
    assert pool.engines == ["jax-scan"] * 2
    assert not list(tmp_path.iterdir())
