"""The scan engine with planted faults that a suite of LSTM parity has to catch.

Most faults are in the LSTM layer that the models of multilstm.scan call; one is in the carrying of states. The
environment variable PLANTED_FAULT names a file that holds the name of the fault: one worker process serves all faults.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import pathlib

import jax
import jax.numpy as jnp

from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.engines.jax_scan import JaxScanEngine
from multilstm.frameworks import jax as jax_platform
from multilstm.scan import recurrent
from multilstm.spec.arrays import State

GATES = ("input", "forget", "candidate", "output")  # in the order of the last axis
true_lstm = recurrent.lstm


def swap_gates(array, first, second):
    """Exchange two of the four gates (i, f, c, o) along the last axis."""
    gates = jnp.split(array, 4, axis=-1)
    gates[first], gates[second] = gates[second], gates[first]
    return jnp.concatenate(gates, axis=-1)


def _swapped(first, second, params, x, options):
    return true_lstm(type(params)(*(swap_gates(array, first, second) for array in params)), x, **options)


def _mask_ignored(params, x, options):
    return true_lstm(params, x, **{**options, "mask": None})


def _forget_bias_dropped(params, x, options):
    units = params.bias.shape[-1] // 4
    return true_lstm(params._replace(bias=params.bias.at[units : 2 * units].add(-1.0)), x, **options)


def _states_swapped(params, x, options):
    sequence, state = true_lstm(params, x, **options)
    return sequence, State(state.cell, state.hidden)


def _given_state_ignored(params, x, options):
    return true_lstm(params, x, **{**options, "state": None})


def _one_weight_nudged(params, x, options):
    return true_lstm(params._replace(recurrent_kernel=params.recurrent_kernel.at[0, 0].add(1e-4)), x, **options)


def _one_step_late(params, x, options):
    return true_lstm(params, jnp.roll(x, 1, axis=1), **options)


IN_LAYER = {
    **{
        f"{GATES[first]}_and_{GATES[second]}_swapped": functools.partial(_swapped, first, second)
        for first, second in itertools.combinations(range(4), 2)
    },
    "mask_ignored": _mask_ignored,
    "forget_bias_dropped": _forget_bias_dropped,
    "states_swapped": _states_swapped,
    "given_state_ignored": _given_state_ignored,
    "one_weight_nudged": _one_weight_nudged,
    "one_step_late": _one_step_late,
}
STATE_NOT_CARRIED = "state_not_carried"


class FaultyEngine(AbstractEngine):
    """`jax-scan` with the fault that the file names."""

    platform = jax_platform

    def __init__(self):
        self.scan = JaxScanEngine()

    def prepare(self, job):
        return FaultyProgram(self.scan, job)

    def operations(self):
        return self.scan.operations()


class FaultyProgram(AbstractProgram):
    """A program of `jax-scan`, compiled anew for each fault."""

    compiled_for = None  # the fault in the compiled functions of this process

    def __init__(self, scan, job):
        self.scan, self.job, self.fault, self.program = scan, job, None, None

    def load(self, weights, slots, iteration):
        fault = pathlib.Path(os.environ["PLANTED_FAULT"]).read_text(encoding="utf-8")
        if FaultyProgram.compiled_for != fault:
            jax.clear_caches()
            FaultyProgram.compiled_for, recurrent.lstm = fault, _faulty_lstm(fault)
        if self.fault != fault:
            self.fault, self.program = fault, self.scan.prepare(self.job)
        self.program.load(weights, slots, iteration)

    def step(self, kind, batch, states):
        if self.fault == STATE_NOT_CARRIED:
            stateful = {name for name, lstm in self.job.spec.lstms.items() if lstm.stateful}
            states = {name: state for name, state in states.items() if name not in stateful}
        return self.program.step(kind, batch, states)

    def weights(self):
        return self.program.weights()

    def slots(self):
        return self.program.slots()

    def parameter_counts(self):
        return self.program.parameter_counts()

    @property
    def places(self):
        return self.program.places

    @property
    def implementation(self):
        return self.program.implementation


def _faulty_lstm(fault):
    """Return the layer with a fault; the true one for a fault elsewhere or an empty name."""
    if fault in ("", STATE_NOT_CARRIED):
        return true_lstm
    change = IN_LAYER[fault]

    def lstm(*arguments, **keywords):
        options = dict(inspect.signature(true_lstm).bind(*arguments, **keywords).arguments)
        return change(options.pop("params"), options.pop("x"), options)

    return lstm
