"""The digest of all that enters a part of a case, by which two machines know that they judged the same."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from multilstm.cases.case import Case
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities
from multilstm.spec import to_json
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import optimizer_to_dict

__all__ = ["digest"]


def digest(case: Case, part: Part, recorded: Quantities | None = None) -> str:
    """Return the SHA-256 of the model, the weights and the steps of a part, before any rounding to a dtype.

    Args:
        case: the case.
        part: the part of the case.
        recorded: answers of another program, which are judged in place of an engine's; None: none.
    """
    total = hashlib.sha256()

    def add(label: str, array: Array) -> None:
        array = np.ascontiguousarray(array)
        total.update(f"{label} {array.shape} {array.dtype.str}".encode() + array.tobytes())

    trained = part is not Part.FORWARD
    optimizer = optimizer_to_dict(case.optimizer) if part.trains and case.optimizer is not None else None
    settings = {"loss": case.loss if trained else None, "optimizer": optimizer}
    total.update(f"{to_json(case.spec)} {json.dumps(settings, sort_keys=True)}".encode())
    for name, array in case.initial_weights.items():
        add(name, array)
    for step in part.steps(case):
        total.update(f"{step.kind} {step.reset}".encode())
        batch = step.batch
        for group in (batch.inputs, batch.masks, batch.dropout):
            for name, array in group.items():
                add(name, array)
        for name, state in batch.states.items():
            for array in state:
                add(name, array)
        for array in batch.targets:
            add("target", array)
    for quantity, arrays in (recorded or {}).items():
        for array in arrays:
            add(str(quantity), array)
    return total.hexdigest()
