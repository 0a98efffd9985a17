"""The changes of meaning that a newer Keras would make to an old model without an error, in numbers.

Keras 3 computes `hard_sigmoid` as relu6(x + 3) / 6, where Keras 1 and 2 have clip(0.2 x + 0.5, 0, 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from multilstm.cases.case import Case
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Job
from multilstm.spec import Graph, Layer
from multilstm.spec.arrays import Array

__all__ = ["NEW", "OLD", "drift", "outputs_moved", "replaced_activation"]

OLD, NEW = "hard_sigmoid_keras2", "hard_sigmoid"


def drift(case: Case) -> Iterator[str]:
    """Yield a sentence for each change of meaning that concerns the model of a case."""
    largest = outputs_moved(case)
    if largest is not None:
        yield f"Keras 3 would silently replace its hard_sigmoid: outputs would differ by {largest:.2g}."


def outputs_moved(case: Case) -> float | None:
    """Return the largest change of an output by the hard_sigmoid of Keras 3; None without that of Keras 2."""
    changed = replaced_activation(case.spec, OLD, NEW)
    if changed == case.spec:
        return None
    pairs = zip(_outputs(case, case.spec), _outputs(case, changed), strict=True)
    return max(float(np.abs(old - new).max(initial=0.0)) for old, new in pairs)


def replaced_activation(spec: Graph, old: str, new: str) -> Graph:
    """Return the model with one activation in place of another, in every layer and inside of wrappers."""

    def change(layer: Layer) -> Layer:
        changes: dict[str, Any] = {name: new for name, value in vars(layer).items() if value == old}
        return dataclasses.replace(layer, **changes) if changes else layer

    return spec.with_layers(change)


def _outputs(case: Case, spec: Graph) -> tuple[Array, ...]:
    """Return the reference's outputs for the first batch."""
    job = Job(spec, case.initial_weights, (next(case.forward_steps()),), "float64")
    return Executor(ReferenceEngine()).execute(job).answers[0].outputs
