"""The test of repeatability finds a gradient whose bits change from one run to the next, and a failure."""

import dataclasses

import numpy as np

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.repeatability import trial
from multilstm.errors import UnsupportedError


def test_the_same_bits():
    test, implementation = trial(Executor(ReferenceEngine()), "cpu")
    assert (test.ok, test.detail) == (True, "8 gradients, the same bits")
    assert str(implementation) == "numpy float64"


def test_one_changed_bit_is_found():
    class Unsteady(ReferenceEngine):
        def prepare(self, job):
            program = super().prepare(job)
            step, calls = program.step, []

            def unsteady(*arguments):
                answer = step(*arguments)
                calls.append(None)
                first = next(iter(answer.gradients))
                up = np.nextafter(answer.gradients[first], np.inf) if len(calls) == 2 else answer.gradients[first]
                return dataclasses.replace(answer, gradients={**answer.gradients, first: up})

            program.step = unsteady
            return program

    test, _ = trial(Executor(Unsteady()), "cpu")
    assert (test.ok, test.detail) == (False, "1 of 8 have other bits")


def test_a_failure_is_a_finding():
    test, implementation = trial(Executor(ReferenceEngine()), "gpu")
    assert not test.ok
    assert "EngineUnavailableError" in test.detail
    assert str(implementation) == ""


def test_an_engine_without_gradients_computes_outputs_twice():
    class Inference(ReferenceEngine):
        def prepare(self, job):
            program = super().prepare(job)
            step = program.step

            def inference(kind, *arguments):
                if kind != "forward":
                    raise UnsupportedError("inference alone")
                return step(kind, *arguments)

            program.step = inference
            return program

    test, _ = trial(Executor(Inference()), "cpu")
    assert (test.ok, test.name, test.detail) == (True, "forward twice, float32", "1 outputs, the same bits")
