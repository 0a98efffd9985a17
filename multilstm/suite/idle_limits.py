"""Limits of activations that no number of a run reaches: an engine without the limit would give the same answers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from multilstm.cases.case import Case
from multilstm.engines.executor import Executor
from multilstm.engines.reference.activations import FUNCTIONS, Function, with_functions
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Job
from multilstm.spec import Ref, ReLU
from multilstm.spec.arrays import Array
from multilstm.spec.subgraph import pruned
from multilstm.suite.hidden_masks import output_of

__all__ = ["idle_limits"]

# The arguments of an activation below or above which its slope is constant, but for that at 0.
LIMITS = {
    "relu6": (6.0,),
    "hard_sigmoid": (-3.0, 3.0),
    "hard_sigmoid_keras2": (-2.5, 2.5),
    "hard_silu": (-3.0, 3.0),
}


def idle_limits(case: Case) -> tuple[str, ...]:
    """Return the limits that no batch of a user's model reaches, in words, such as `the upper limit of relu6`.

    Those of a ReLU with a `max_value` are named by its layer, all others by the activation.
    """
    if not case.example or case.spec.opaque:
        return ()
    return (*_of_layers(case), *_of_activations(case))


def _of_layers(case: Case) -> Iterator[str]:
    for index, call in enumerate(case.spec.calls):
        layer = case.spec.layer(call.layer)
        limit = layer.max_value if isinstance(layer, ReLU) else None
        part = None if limit is None else pruned(case.spec, case.spec.calls, (Ref(index),))
        if limit is None or part is None:
            continue
        if all(output_of(part, case.initial_weights, b).max(initial=0.0) < limit for b in case.forward.batches()):
            yield f"the upper limit of {call.layer}"


def _of_activations(case: Case) -> Iterator[str]:
    values = (value for layer in case.spec.layers for part in layer.nested for value in vars(part).values())
    names = list(dict.fromkeys(value for value in values if isinstance(value, str) and value in LIMITS))
    extremes = _extremes(case, names)
    for name in names:
        lowest, highest = extremes[name]
        idle = [limit for limit in LIMITS[name] if not (highest > limit if limit > 0 else lowest < limit)]
        if len(idle) > 1:
            yield f"a limit of {name}"
        elif idle:
            yield f"the {'upper' if idle[0] > 0 else 'lower'} limit of {name}"


def _extremes(case: Case, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest argument of activations in the forward pass of the reference."""
    extremes = dict.fromkeys(names, (math.inf, -math.inf))

    def watched(name: str) -> Function:
        def forward(z: Array) -> Array:
            lowest, highest = extremes[name]
            extremes[name] = min(lowest, float(z.min(initial=lowest))), max(highest, float(z.max(initial=highest)))
            return FUNCTIONS[name].forward(z)

        return Function(forward, FUNCTIONS[name].pullback)

    if names:
        weights = {name: np.asarray(array, np.float64) for name, array in case.initial_weights.items()}
        steps = tuple(dataclasses.replace(step, keep=("outputs",)) for step in case.forward_steps())
        with with_functions({name: watched(name) for name in names}):
            Executor(ReferenceEngine()).execute(Job(case.spec, weights, steps, dtype="float64"))
    return extremes
