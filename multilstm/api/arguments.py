"""The arguments of the public functions: models, arrays, targets and weights become types of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.errors import InputError, UsageError, choice, shown
from multilstm.files import LoadedModel
from multilstm.jobs.job import Batch
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array, as_array, by_name
from multilstm.spec.optimizers import LOSSES, Optimizer
from multilstm.weights.initializers import discriminating_weights
from multilstm.weights.layout import check_weights

__all__ = ["Inputs", "answers_in", "batch_in", "check_without_inputs", "model_in", "targets_in", "weights_in"]

Inputs = Array | Mapping[str, Array]


def check_without_inputs(data: Sequence[object]) -> None:
    """Refuse data of the user's own that belongs to inputs, where no inputs are given."""
    names = ("targets", "loss", "optimizer", "states", "mask", "dropout", "against")
    given = [name for name, value in zip(names, data, strict=True) if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: given without inputs, to which they belong; give inputs too")


def answers_in(against: Array | Mapping[str, Array]) -> dict[str, Array]:
    """Return recorded answers by quantity, as NumPy arrays."""
    named = by_name("against", against if isinstance(against, Mapping) else {"output": against})
    return {name: as_array(f"against {name!r}", array) for name, array in named.items()}


def model_in(model: Any, weights: Mapping[str, Array] | None) -> tuple[Graph, Mapping[str, Array] | None]:
    """Return the spec, and the given weights or those of a loaded model; None where neither exists."""
    if isinstance(model, LoadedModel):
        return model.spec, model.weights if weights is None else weights
    if not isinstance(model, Graph):
        raise UsageError(
            f"the model is {type(model).__name__}, expected the result of multilstm.Model, multilstm.Sequential or "
            "multilstm.load, the path of a file, or a keras.Model"
        )
    return model, weights


def targets_in(
    targets: Array | Sequence[Array] | None, loss: str | None, optimizer: Optimizer | None
) -> tuple[Array, ...]:
    """Return one array for every output of the model; empty without targets."""
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise UsageError(
            f"optimizer is {shown(optimizer)}, expected an optimizer of multilstm, such as multilstm.Adam()"
        )
    if (targets is None) != (loss is None):
        given, missing = ("loss", "targets") if targets is None else ("targets", "loss")
        raise UsageError(f"targets and loss belong together, but only {given} is given; give {missing} too")
    if optimizer is not None and loss is None:
        raise UsageError("an optimizer needs targets and a loss, but neither is given; give both")
    if loss is not None and (not isinstance(loss, str) or loss not in LOSSES):
        raise UsageError(choice("loss", loss, LOSSES))
    expected = "expected a NumPy array, or a list with one for each output"
    if targets is None:
        return ()
    if not isinstance(targets, (np.ndarray, list, tuple)) or len(targets) == 0:
        raise InputError(f"targets: given {shown(targets)}, {expected}")
    arrays = (targets,) if isinstance(targets, np.ndarray) else tuple(targets)
    if not all(isinstance(array, np.ndarray) for array in arrays):
        types = ", ".join(type(array).__name__ for array in arrays)
        raise InputError(f"targets: {expected}, given: {types}")
    return arrays


def batch_in(spec: Graph, inputs: Inputs, states: Mapping[str, AnyState] | None, mask: Inputs | None) -> Batch:
    """Return the batch of inputs, states and masks, each by its name."""
    return Batch(
        _by_name(spec, inputs),
        masks={} if mask is None else _by_name(spec, mask),
        states={} if states is None else states,
    )


def _by_name(spec: Graph, arrays: Inputs) -> dict[str, Any]:
    """Return arrays by the name of the input; one array belongs to the only input."""
    if isinstance(arrays, Mapping):
        return dict(arrays)
    if len(spec.inputs) != 1:
        raise UsageError(
            f"the model has the inputs {', '.join(spec.inputs)}, but one array is given; give a dict with one for each"
        )
    return {next(iter(spec.inputs)): arrays}


def weights_in(spec: Graph, weights: Mapping[str, Array] | None) -> Mapping[str, Array]:
    """Return every weight by `layer/weight`: those given, once checked, or else random ones."""
    if weights is None:
        return discriminating_weights(spec)
    check_weights(spec, weights)
    return {name: np.asarray(array) for name, array in weights.items()}
