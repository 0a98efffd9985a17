"""Contestants with a fault, for `test_measure.py`."""

import dataclasses
import os

import numpy as np

from multilstm.bench.contestants.base import AbstractContestant
from multilstm.bench.contestants.jax_scan import ScanContestant
from multilstm.errors import InputError


class Faulty(AbstractContestant):
    """`multilstm.scan` with a fault in its answers or in its behaviour."""

    def __init__(self, fault):
        self._fault = fault
        self._calls = 0

    def versions(self):
        return {"faulty": "1"}

    def product(self, left, right):
        return None

    def prepare(self, job, mode):
        if self._fault == "raises":
            raise ZeroDivisionError("on purpose")
        run = ScanContestant().prepare(job, mode)

        def call():
            self._calls += 1
            if self._fault == "crashes_when_timed" and self._calls > 1:
                os._exit(7)
            if self._fault == "refuses_when_timed" and self._calls > 1:
                raise InputError("an array that does not fit")
            return run.call()

        return dataclasses.replace(run, call=call, answers=lambda value: spoil(self._fault, run.answers(value)))


def spoil(fault, arrays):
    name = next(iter(arrays))
    spoilt = np.array(arrays[name])
    if fault == "nudged":
        spoilt.flat[0] += 1e-3
    elif fault == "nan":
        spoilt.flat[-1] = np.nan
    elif fault == "shortened":
        spoilt = spoilt[:1]
    elif fault == "swapped_gates":
        i, f, c, o = np.split(spoilt, 4, -1)
        spoilt = np.concatenate([f, i, c, o], -1)
    elif fault == "missing":
        return {key: array for key, array in arrays.items() if key != name}
    return {**arrays, name: spoilt}
