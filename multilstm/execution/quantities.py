"""The quantities that a result holds, by name."""

from __future__ import annotations

import numpy as np

from multilstm.cases.case import Case
from multilstm.jobs.job import Result
from multilstm.spec.arrays import Array

Quantities = dict[str, list[Array]]  # by name, one array for every batch that gave it


def collect(part: str, case: Case, result: Result) -> Quantities:
    """What a part gave, by quantity, one array for every batch that gave it."""
    found: Quantities = {}

    def add(quantity: str, array: object) -> None:
        found.setdefault(quantity, []).append(np.asarray(array))

    if part == "forward":
        add("parameter_count", sum(result.parameter_counts.values()))
        for layer, count in result.parameter_counts.items():
            add(f"parameter_count:{layer}", count)
        for name, array in result.weights.items():
            add(f"parameter_count:{name}", array.size)
            add(f"weight_shape:{name}", array.shape)
    trained = "trained_" if part in ("program", "updates") else ""
    several = len(case.spec.outputs) > 1
    reset = len(result.answers) if part == "forward" and any(lstm.stateful for lstm in case.spec.lstms.values()) else 0
    for number, answer in enumerate(result.answers, 1):
        for index, array in enumerate(answer.outputs):
            add(f"output:{index}" if several else "output", array)
        for name, array in answer.sequences.items():
            add(f"sequence:{name}", array)
        for name, array in answer.last_outputs.items():
            add(f"last_output:{name}", array)
        for name, state in answer.states.items():
            where = f"/{part}" if trained else "/after_reset" if number == reset else ""
            for field, array in state._asdict().items():
                add(f"{trained}{field}:{name}{where}", array)
        for name, array in answer.gradients.items():
            add(f"gradient:{name}", array)
        for name, array in answer.input_gradients.items():
            add(f"input_gradient:{name}", array)
        for name, state in answer.state_gradients.items():
            for field, array in state._asdict().items():
                add(f"state_gradient:{name}/{field}", array)
        for name, array in answer.weights.items():
            add(f"weights:{part}_{number}/{name}", array)
        for name, array in answer.slots.items():
            add(f"slots:{part}_{number}/{name}", array)
    if trained:
        dtype = next(iter(result.weights.values())).dtype
        add(f"loss:{part}", np.array([answer.loss for answer in result.answers], dtype))
        accuracies = [answer.accuracy for answer in result.answers if answer.accuracy is not None]
        if accuracies and part == "program":
            add(f"accuracy:{part}", np.array(accuracies, dtype))
    if part == "program":
        for name, array in result.weights.items():
            add(f"weights:{part}/{name}", array)
        for name, array in result.slots.items():
            add(f"slots:{part}/{name}", array)
    return found
