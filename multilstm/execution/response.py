"""The response of a model to rounding: the distance by which the reference moves when its weights move by rounding.

A sum of n products, rounded after each addition, is wrong by about sqrt(n) units in the last place of its terms. The
source is Higham and Mary 2019, https://doi.org/10.1137/18M1226312. A change of every weight by that much, with random
signs, changes the sums as much. So it moves all later values as the rounding of an engine does. A wide or trained model
amplifies it beyond the table of tolerances, which small models need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from multilstm.cases.case import Case
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities, quantities_of
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.jobs.job import Job
from multilstm.spec import Graph
from multilstm.spec.arrays import Array

__all__ = ["MULTIPLE", "SEEDS", "UNIT", "moved_by_rounding", "perturbed"]

# Half a unit in the last place, relative; for mixed precision and TF32, of the dtype that multiplies.
UNIT = {
    "float32": 2.0**-24,
    "float64": 2.0**-53,
    "mixed_bfloat16": 2.0**-9,
    "mixed_float16": 2.0**-12,
    "tf32": 2.0**-11,
}
SEEDS = 3
MULTIPLE = 4.0  # of the response; engines were seen at 1.6 times the response of a trained model of three wide LSTMs


def perturbed(spec: Graph, weights: Mapping[str, Array], unit: float, seed: int) -> dict[str, Array]:
    """Return the weights in float64, each changed by `unit * sqrt(n)` of itself with a random sign.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`.
        unit: half a unit in the last place, relative.
        seed: the seed of the signs.

    Returns:
        The weights; n is the number of terms of the layer's sums: `features + units` in an LSTM.
    """
    rng = np.random.default_rng(seed)
    terms: dict[str, int] = {}
    for name, shape in spec.weight_shapes.items():
        owner, _, weight = name.rpartition("/")
        terms[owner] = terms.get(owner, 0) + (math.prod(shape[:-1]) if "kernel" in weight else 0)
    return {
        name: array.astype(np.float64)
        * (1 + unit * math.sqrt(max(1, terms[name.rpartition("/")[0]])) * rng.choice([-1.0, 1.0], array.shape))
        for name, array in weights.items()
    }


def moved_by_rounding(case: Case, dtype: str, part: Part) -> dict[str, list[float]]:
    """Return by how much the reference moves when its weights move by the rounding of a dtype.

    Args:
        case: the case.
        dtype: the dtype whose rounding is meant.
        part: the forward pass or the gradient.

    Returns:
        For every quantity, by its text, the largest distance over all values of each batch.
    """
    steps = tuple(rounded_step(step, dtype) for step in part.steps(case))
    weights = {name: rounded(array, dtype) for name, array in case.initial_weights.items()}

    def answers(changed: Mapping[str, Array]) -> Quantities:
        job = Job(case.spec, changed, steps, "float64", loss=None if part is Part.FORWARD else case.loss)
        return quantities_of(part, case, Executor(ReferenceEngine()).execute(job))

    base = answers(weights)
    moved = {str(quantity): [0.0] * len(arrays) for quantity, arrays in base.items()}
    for seed in range(SEEDS):
        other = answers(perturbed(case.spec, weights, UNIT[dtype], seed))
        for quantity, arrays in base.items():
            distances = moved[str(quantity)]
            for batch, (array, changed) in enumerate(zip(arrays, other[quantity], strict=True)):
                distances[batch] = max(distances[batch], float(np.abs(array - changed).max(initial=0.0)))
    return moved
