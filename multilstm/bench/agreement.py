"""Agreement of a contestant's answers with the reference's, in units of the parity suite's tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from multilstm.bench.contestants.base import named_outputs, prefixed
from multilstm.bench.modes import Mode
from multilstm.bench.workload import Workload
from multilstm.compare.tolerances import tolerance
from multilstm.engines.registry import JUDGE
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Job
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.workers import WorkerPool

__all__ = ["Agreement", "agreement", "desired_answers"]

# The largest distance from the trained weights, as a share of the update, both as norms over all weights. Measured on
# the grid `quick` in float32: 1e-5. The margin is for gradients as small as their rounding error, whose step in an
# adaptive optimizer has a random sign.
UPDATE_SHARE = 0.02
# The same for each weight alone. A bias has few numbers, and more of them may be as small as their rounding error.
TENSOR_SHARE = 0.3
KINDS = {"outputs": "output", "gradients": "gradient", "weights": "weights"}


class Agreement(NamedTuple):
    """The distance of all answers of a contestant.

    Attributes:
        error: the largest difference of a tensor, divided by its largest desired value. None if names or shapes
            differ, or a number is not finite.
        distance: the largest difference in units of the tolerance; above 1 the answers disagree.
        reason: the reason why the answers disagree; empty where they agree.
    """

    error: float | None
    distance: float | None
    reason: str


def desired_answers(pool: WorkerPool, workload: Workload, mode: Mode, dtype: str) -> dict[str, Array]:
    """Return the reference's answers by name: `0/output:1`, `gradient:lstm/kernel` or `weights:lstm/kernel`.

    The reference computes in float64, from numbers rounded to `dtype`.
    """
    job = (
        workload.job(mode, dtype, "cpu", "plain") if dtype != "tf32" else workload.job(mode, "float32", "cpu", "plain")
    )
    steps = tuple(rounded_step(step, dtype) for step in job.steps)
    weights = {name: rounded(array, dtype) for name, array in job.weights.items()}
    exact = Job(job.spec, weights, steps, dtype="float64", loss=job.loss, optimizer=job.optimizer)
    answers = pool.execute(JUDGE, exact).answers
    if mode.keep == "outputs":
        return named_outputs(answer.outputs for answer in answers)
    return prefixed(KINDS[mode.keep], getattr(answers[-1], mode.keep))


def agreement(
    mode: Mode, actual: Mapping[str, Array], desired: Mapping[str, Array], workload: Workload, dtype: str, device: str
) -> Agreement:
    """Return the distance of a contestant's answers from the desired ones.

    Trained weights are also compared with the initial ones. An update may stay inside the tolerance, which is a share
    of the weight, so that a contestant without an update would agree.

    Args:
        mode: the mode of both.
        actual: the contestant's arrays by name.
        desired: the reference's arrays.
        workload: the model with its initial weights.
        dtype: the dtype of the computation.
        device: the contestant's device.
    """
    if actual.keys() != desired.keys():
        return Agreement(None, None, f"it answers {_listed(actual)}, expected {_listed(desired)}")
    row, growth = tolerance(dtype, device, KINDS[mode.keep]), _growth(workload.spec)
    error = distance = 0.0
    for name, array in desired.items():
        if actual[name].shape != array.shape:
            return Agreement(None, None, f"its {name} has shape {actual[name].shape}, expected {array.shape}")
        if actual[name].dtype.itemsize > np.dtype(stored(dtype)).itemsize:
            return Agreement(None, None, f"its {name} has dtype {actual[name].dtype}, expected {stored(dtype)}")
        if not np.isfinite(actual[name]).all():
            return Agreement(None, None, f"its {name} has numbers that are not finite")
        difference = np.abs(actual[name].astype("float64") - array)
        with np.errstate(divide="ignore", invalid="ignore"):
            units = np.nan_to_num(difference / (row.allowed(array) * growth), posinf=math.inf)
        distance = max(distance, float(units.max(initial=0.0)))
        largest = float(np.abs(array).max(initial=0.0))
        error = max(error, float(difference.max(initial=0.0)) / largest if largest else 0.0)
    reason = f"its answer is {distance:.2g} times the tolerance away" if distance > 1 else ""
    if not reason and mode.keep == "weights":
        reason = _fault_of_update(actual, desired, workload, dtype)
    return Agreement(error, distance if math.isfinite(distance) else None, reason)


def _fault_of_update(actual: Mapping[str, Array], desired: Mapping[str, Array], workload: Workload, dtype: str) -> str:
    """Return the reason why trained weights do not come from the desired update; empty if they do."""
    away = way = 0.0
    for name, array in desired.items():
        initial = rounded(workload.weights[name.removeprefix(f"{KINDS['weights']}:")], dtype).astype("float64")
        if (actual[name] == initial).all() and (array.astype(stored(dtype)) != initial).any():
            return f"its {name} is not trained"
        distances = float(((actual[name] - array) ** 2).sum()), float(((initial - array) ** 2).sum())
        if (share := _share(*distances)) > TENSOR_SHARE:
            return f"its {name} is away from the trained one by {share:.0%} of the update"
        away, way = away + distances[0], way + distances[1]
    share = _share(away, way)
    return f"its weights are away from the trained ones by {share:.0%} of the update" if share > UPDATE_SHARE else ""


def _share(away: float, way: float) -> float:
    """Return the root of the quotient of two sums of squares; 0 without an update."""
    return math.sqrt(away / way) if way else 0.0


def _growth(spec: Graph) -> float:
    """Return the factor by which rounding errors of a large model may exceed the tolerance.

    The tolerance is for sums of up to 200 products a gate. The float32 error of a sum of n products grows with
    sqrt(n), and every layer adds its own error. Source: Higham, Accuracy and Stability of Numerical Algorithms,
    section 3.1.
    """
    kernels = [
        sum(math.prod(spec.weight_shapes[f"{name}/{kernel}"][:-1]) for kernel in ("kernel", "recurrent_kernel"))
        for name in spec.recurrent
    ]
    layers = len({name.split("/")[0] for name in spec.recurrent})
    return max(1.0, math.sqrt(max(kernels, default=1) / 200)) * max(1, layers)


def _listed(arrays: Mapping[str, Array]) -> str:
    return ", ".join(arrays) or "nothing"
