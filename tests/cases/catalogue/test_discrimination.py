"""The cases discriminate: a fault changes nine of ten cases in which it can matter, by 1000 times their tolerance.

Faults are planted into the arrays that the reference receives: weights, inputs, masks. A fault can matter in a case if
it changes one of these arrays.
"""

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from multilstm.cases.catalogue import catalogue
from multilstm.compare import Quantity
from multilstm.compare.quantity import FORWARD
from multilstm.compare.tolerances import tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.part import Part
from multilstm.execution.quantities import quantities_of
from multilstm.jobs.job import Job
from multilstm.spec import Embedding, Masking
from multilstm.weights.initializers import discriminating_weights

OWN = {name: case for name, case in catalogue().items() if not name.startswith("peer-")}
GATES = "ifco"
FACTOR, SHARE = 1000, 0.9
DTYPES = ("float32", "float64")


def lstm_weights(job, change):
    """Return the job with `change(kind, array)` made of every kernel, recurrent_kernel and bias of its LSTMs."""
    weights = dict(job.weights)
    for name in weights:
        owner, _, kind = name.rpartition("/")
        if owner in job.spec.lstms:
            weights[name] = change(kind, weights[name])
    return dataclasses.replace(job, weights=weights)


def gates_swapped(first, second, job):
    order = list(range(4))
    order[first], order[second] = second, first
    return lstm_weights(job, lambda _, w: np.concatenate([np.split(w, 4, axis=-1)[k] for k in order], axis=-1))


def kernel_transposed(job):
    """Return the job with every kernel read in the other order of memory."""
    return lstm_weights(job, lambda kind, w: w.T.reshape(w.shape) if kind == "kernel" else w)


def recurrent_kernel_transposed(job):
    """Return the job with the recurrent kernel of each gate transposed."""

    def change(kind, w):
        return np.hstack([gate.T for gate in np.split(w, 4, axis=1)]) if kind == "recurrent_kernel" else w

    return lstm_weights(job, change)


def batches(job, change):
    steps = (dataclasses.replace(step, batch=change(step.batch)) for step in job.steps)
    return dataclasses.replace(job, steps=tuple(steps))


def shifted(job):
    """Return the job with the inputs one timestep late; the mask stays."""

    def change(batch):
        inputs = {name: np.roll(array, 1, axis=1) for name, array in batch.inputs.items()}
        return dataclasses.replace(batch, inputs=inputs)

    return batches(job, change)


def mask_dropped(job):
    """Return the answers without a mask, and with no padding that a Masking or Embedding layer finds."""
    layers = tuple(
        dataclasses.replace(layer, mask_value=1e30) if isinstance(layer, Masking)
        else dataclasses.replace(layer, mask_zero=False) if isinstance(layer, Embedding)
        else layer
        for layer in job.spec.layers
    )  # fmt: skip
    spec = dataclasses.replace(job.spec, layers=layers)
    return dataclasses.replace(batches(job, lambda batch: dataclasses.replace(batch, masks={})), spec=spec)


FAULTS = {
    **{
        f"{GATES[a]} for {GATES[b]}": functools.partial(gates_swapped, a, b)
        for a, b in itertools.combinations(range(4), 2)
    },
    "kernel transposed": kernel_transposed,
    "recurrent kernel transposed": recurrent_kernel_transposed,
    "shifted": shifted,
    "mask dropped": mask_dropped,
}


def job_of(case):
    weights = case.weights if case.weights is not None else discriminating_weights(case.spec, case.seed)
    return Job(case.spec, weights, tuple(case.forward_steps())[:2], dtype="float64")


@functools.cache
def right(name):
    """Return the job of a case and the reference's answer."""
    job = job_of(OWN[name])
    return job, answer(name, job)


def answer(name, job):
    found = quantities_of(Part.FORWARD, OWN[name], Executor(ReferenceEngine()).execute(job))
    return {quantity: arrays for quantity, arrays in found.items() if quantity.kind in FORWARD}


def can_matter(fault, job, wrong):
    if fault == "mask dropped":
        masks = [mask for step in job.steps for mask in step.batch.masks.values()]
        return any(not mask.all() for mask in masks) or is_padded(job)
    pairs = [(array, wrong.weights[name]) for name, array in job.weights.items()]
    for one, other in zip(job.steps, wrong.steps, strict=True):
        pairs += [(array, other.batch.inputs[name]) for name, array in one.batch.inputs.items()]
    return any(not np.array_equal(a, b) for a, b in pairs)


def is_padded(job):
    arrays = [array for step in job.steps for array in step.batch.inputs.values()]
    for layer in job.spec.layers:
        if isinstance(layer, Masking) and any((array == layer.mask_value).all(-1).any() for array in arrays):
            return True
        if isinstance(layer, Embedding) and layer.mask_zero and any((array == 0).any() for array in arrays):
            return True
    return False


def shows(desired, actual, dtype):
    """Whether some value differs by more than `FACTOR` times its tolerance."""
    for quantity, arrays in desired.items():
        row = tolerance(dtype, "cpu", quantity.kind)
        for one, other in zip(arrays, actual[quantity], strict=True):
            with np.errstate(invalid="ignore"):
                inside = np.abs(one - other) <= FACTOR * row.allowed(one)
            if not inside.all():  # a fault may overflow
                return True
    return False


def missed(fault, dtypes):
    """Return the cases in which a fault can matter, and those of them in which it does not show, by dtype."""
    matters, unseen = [], {dtype: [] for dtype in dtypes}
    for name in OWN:
        job, desired = right(name)
        if fault == "hidden for cell":
            if not any(quantity.kind == "cell" for quantity in desired):
                continue
            cells = {quantity.where for quantity in desired if quantity.kind == "cell"}
            actual = {
                swapped(quantity) if quantity.where in cells else quantity: arrays
                for quantity, arrays in desired.items()
            }
        else:
            wrong = FAULTS[fault](job)
            if not can_matter(fault, job, wrong):
                continue
            actual = answer(name, wrong)
        matters.append(name)
        for dtype in dtypes:
            if not shows(desired, actual, dtype):
                unseen[dtype].append(name)
    return matters, unseen


def swapped(quantity):
    kind, where = quantity
    return Quantity({"hidden": "cell", "cell": "hidden"}.get(kind, kind), where)


@pytest.mark.parametrize("name", OWN)
def test_no_case_overflows_or_is_tiny(name):
    """Very large or very small numbers would hide a fault in the tolerance."""
    _, desired = right(name)
    states = [array for quantity, arrays in desired.items() if quantity.kind == "cell" for array in arrays]
    assert all(np.isfinite(array).all() for arrays in desired.values() for array in arrays)
    assert all(0.01 < np.abs(array).max() < 100 for array in states)


@pytest.mark.parametrize("fault", [*FAULTS, "hidden for cell"])
def test_a_fault_shows_in_nine_of_ten_cases(fault):
    matters, unseen = missed(fault, DTYPES)
    assert len(matters) >= 100
    for dtype, names in unseen.items():
        assert len(names) <= (1 - SHARE) * len(matters), f"{dtype}: {len(names)} of {len(matters)} miss it: {names}"
