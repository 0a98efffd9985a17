"""A pool that executes every job in this process: the judge's with the reference, the engine's with a fault in it."""

import dataclasses
import threading

import numpy as np
import pytest

from multilstm.engines.executor import Executor
from multilstm.engines.reference import engine as reference_engine
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.registry import JUDGE
from multilstm.jobs.dtypes import stored
from multilstm.spec import LSTM
from multilstm.spec.arrays import State


class FaultyPool:
    """A pool whose engines are the reference with a fault.

    Attributes:
        fault: called with a monkeypatch before a job of an engine; it returns a function of the result, or None.
        faults: the faults of plain Keras that the engines have, see `multilstm.engines.reference.faults`.
    """

    def __init__(self, fault=lambda patch: None, faults=()):
        self.fault, self.faults = fault, tuple(faults)
        self._lock = threading.Lock()

    def lanes(self, engine):
        return 1

    def close(self):
        pass

    def execute(self, engine, job):
        with self._lock, pytest.MonkeyPatch.context() as patch:
            if engine == JUDGE:
                return Executor(ReferenceEngine()).execute(job)
            change = self.fault(patch) or (lambda result: result)
            return change(Executor(ReferenceEngine()).execute(dataclasses.replace(job, faults=self.faults)))


def with_arrays(result, change):
    """Return a result whose arrays are all changed; counts stay."""

    def changed(value):
        if isinstance(value, State):
            return State(*map(changed, value))
        if isinstance(value, dict):
            return {name: changed(array) for name, array in value.items()}
        if isinstance(value, tuple):
            return tuple(map(changed, value))
        return value if value is None else change(np.asarray(value))

    def answer(one):
        values = {field.name: changed(getattr(one, field.name)) for field in dataclasses.fields(one)}
        return type(one)(**{**values, "loss": None if one.loss is None else float(values["loss"])})

    return dataclasses.replace(
        result,
        answers=tuple(map(answer, result.answers)),
        weights=changed(dict(result.weights)),
        slots=changed(dict(result.slots)),
    )


def scaled(factor, dtype):
    """Return a fault that multiplies all numbers of the answers, and stores them as an engine in that dtype does."""
    return lambda patch: lambda result: with_arrays(result, lambda array: (factor * array).astype(stored(dtype)))


def lstms_masked_by_zeros(patch):
    """Let every LSTM take the timesteps where the first input is zero for masked ones."""
    true_walk = reference_engine.walk

    def walk(spec, inputs, masks, apply):
        mask = (next(iter(inputs.values())) != 0).any(axis=-1)

        def masked(call, layer, arrays, given, passed):
            return apply(call, layer, arrays, [mask] if isinstance(layer, LSTM) else given, passed)

        return true_walk(spec, inputs, masks, masked)

    patch.setattr(reference_engine, "walk", walk)
