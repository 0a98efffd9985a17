"""The scan engine with a fault in it, one class a fault: what a suite of LSTM parity has to catch.

Each class puts its fault where it would really stand: into the layer that multilstm.scan's models call, or into the
engine that carries the states.
"""

import inspect

import jax.numpy as jnp

from multilstm.engines import jax_scan
from multilstm.engines.jax_scan import JaxScanEngine
from multilstm.scan import forward
from multilstm.spec.arrays import State


def swap_gates(array, first, second):
    """Exchanges two of the four gates (i, f, c, o) along the last axis."""
    gates = jnp.split(array, 4, axis=-1)
    gates[first], gates[second] = gates[second], gates[first]
    return jnp.concatenate(gates, axis=-1)


def faulty(change):
    """An engine whose LSTM layer computes `change(lstm, params, x, options)`."""

    def make():
        true_lstm = forward.lstm

        def wrong_lstm(*arguments, **keywords):
            options = dict(inspect.signature(true_lstm).bind(*arguments, **keywords).arguments)
            return change(true_lstm, options.pop("params"), options.pop("x"), options)

        forward.lstm = wrong_lstm
        return JaxScanEngine()

    return make


def _swapped(first, second):
    def change(lstm, params, x, options):
        return lstm(type(params)(*(swap_gates(p, first, second) for p in params)), x, **options)

    return change


def _mask_ignored(lstm, params, x, options):
    return lstm(params, x, **{**options, "mask": None})


def _forget_bias_dropped(lstm, params, x, options):
    units = params.bias.shape[-1] // 4
    return lstm(params._replace(bias=params.bias.at[units : 2 * units].add(-1.0)), x, **options)


def _states_swapped(lstm, params, x, options):
    sequence, state = lstm(params, x, **options)
    return sequence, State(state.cell, state.hidden)


def _given_state_ignored(lstm, params, x, options):
    return lstm(params, x, **{**options, "state": None})


def _one_weight_nudged(lstm, params, x, options):
    return lstm(params._replace(recurrent_kernel=params.recurrent_kernel.at[0, 0].add(1e-4)), x, **options)


def _one_step_late(lstm, params, x, options):
    return lstm(params, jnp.roll(x, 1, axis=1), **options)


SwapInputForget = faulty(_swapped(0, 1))
SwapInputCandidate = faulty(_swapped(0, 2))
SwapInputOutput = faulty(_swapped(0, 3))
SwapForgetCandidate = faulty(_swapped(1, 2))
SwapForgetOutput = faulty(_swapped(1, 3))
SwapCandidateOutput = faulty(_swapped(2, 3))
MaskIgnored = faulty(_mask_ignored)
ForgetBiasDropped = faulty(_forget_bias_dropped)
StatesSwapped = faulty(_states_swapped)
GivenStateIgnored = faulty(_given_state_ignored)
OneWeightNudged = faulty(_one_weight_nudged)
OneStepLate = faulty(_one_step_late)


class StateNotCarried:
    """Forgets what stateful layers carried: every batch starts at zero."""

    def __new__(cls):
        program = jax_scan._Program
        true_step = program.step

        def step(self, kind, batch, states):
            stateful = {name for name, lstm in self._job.spec.lstms.items() if lstm.stateful}
            return true_step(self, kind, batch, {k: v for k, v in states.items() if k not in stateful})

        program.step = step
        return JaxScanEngine()
