"""Contestants with a fault, for `test_measure.py`."""

import os

import numpy as np

from multilstm.bench.contestants.base import FORWARD, GRADIENT, AbstractContestant
from multilstm.bench.contestants.jax_scan import ScanContestant


class Faulty(AbstractContestant):
    """`multilstm.scan` with a fault in its answers, forward or gradient, or in its behaviour."""

    def __init__(self, forward, gradient):
        self._faults = {FORWARD: forward, GRADIENT: gradient}
        self._calls = 0

    def versions(self):
        return {"faulty": "1"}

    def prepare(self, problem):
        if self._faults[FORWARD] == "raises" and problem.shape.batch == 2:
            raise ZeroDivisionError("on purpose")
        return {quantity: self._spoilt(quantity, run) for quantity, run in ScanContestant().prepare(problem).items()}

    def _spoilt(self, quantity, run):
        def call():
            self._calls += 1
            if self._faults[quantity] == "crashes_when_timed" and self._calls > 2:
                os._exit(7)
            return run.call()

        return run._replace(call=call, arrays=lambda value: spoil(self._faults[quantity], run.arrays(value)))


def spoil(fault, arrays):
    name = next(iter(arrays))
    spoilt = np.array(arrays[name])
    if fault == "nudged":
        spoilt[0, 0, 0] += 1e-3
    elif fault == "nan":
        spoilt[-1, -1, -1] = np.nan
    elif fault == "shortened":
        spoilt = spoilt[:, :1]
    elif fault == "swapped_gates":
        i, f, c, o = np.split(spoilt, 4, -1)
        spoilt = np.concatenate([f, i, c, o], -1)
    elif fault == "missing_weight":
        return {key: array for key, array in arrays.items() if key != name}
    return {**arrays, name: spoilt}


def WithoutCuDNN():  # noqa: N802
    """Keras on JAX, pretending that there is a GPU, with JAX's own loop in place of cuDNN."""
    import sys

    from jax.experimental import rnn

    from multilstm.bench.contestants.keras_jax import KerasJaxContestant

    entered = []

    def lstm(x, h_0, c_0, weights, lengths, *, input_size, hidden_size, num_layers, dropout, bidirectional):
        entered.append(x)
        sizes = (input_size, hidden_size, num_layers, bidirectional)
        unpacked = rnn.unpack_lstm_weights(weights, *sizes)
        return rnn.lstm_ref(
            x, h_0, c_0, *unpacked, lengths, input_size, hidden_size, num_layers, dropout, bidirectional
        )

    class Contestant(AbstractContestant):
        def prepare(self, problem):
            return KerasJaxContestant().prepare(problem)

        def versions(self):
            return {"fused": "entered" if entered else "not entered"}

    rnn.lstm = lstm
    sys.modules["keras.src.backend.jax.rnn"]._is_gpu_available = lambda: True
    return Contestant()
