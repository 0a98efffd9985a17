"""Conditions of the table of drift: the places of an old model that a change of meaning touches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.cases.model_case import enough_timesteps
from multilstm.conversion.keras_file import draws_mask_per_gate
from multilstm.spec import BatchNormalization, Bidirectional, Call, Graph, Layer, Ref
from multilstm.spec.arguments import KERAS3_LACKS
from multilstm.spec.dialects.training import optimizer_config
from multilstm.spec.dialects.versions import Version
from multilstm.spec.layers.opaque import OpaqueLayer
from multilstm.spec.optimizers import RMSpropKeras2
from multilstm.spec.propagation import walk
from multilstm.spec.training import Training

__all__ = [
    "OldModel",
    "averages_deviations",
    "clips_together",
    "corrects_variance",
    "decays",
    "draws_mask_per_gate_somewhere",
    "has_hard_sigmoid",
    "has_hinge",
    "has_masked_loss",
    "has_rmsprop",
    "is_frozen",
    "is_held",
    "is_stateful",
    "masked_tensors",
    "pads_bidirectional",
    "penalizes_activity",
    "returns_state_before_first_timestep",
    "uses_unread_optimizer",
]

HINGES = ("Hinge", "SquaredHinge")
_LAYERS = "layer "


@dataclasses.dataclass(frozen=True)
class OldModel:
    """A model of Keras 1 or 2.

    Attributes:
        spec: the model, in terms of Keras 3.
        version: the version of Keras that wrote it.
        config: its training configuration as the file has it; None without one.
        training: its training in the meaning of the version; None without one, or for one that is not executed.
        held: the layers that the file calls with `training=False`.
    """

    spec: Graph
    version: Version
    config: Mapping[str, Any] | None = None
    training: Training | None = None
    held: tuple[str, ...] = ()

    @property
    def parts(self) -> Iterator[tuple[str, Layer]]:
        """Every layer and every layer inside a wrapper, with the name of the outer one."""
        for layer in self.spec.layers:
            for part in layer.nested:
                yield str(layer.name), part


def masked_tensors(spec: Graph) -> set[Ref]:
    """Return the tensors that carry a mask, whatever the numbers are."""
    timesteps = enough_timesteps(spec)
    inputs = {
        name: np.zeros((layer.batch_size or 1, *(size or timesteps for size in layer.shape)), layer.dtype)
        for name, layer in spec.inputs.items()
    }

    def apply(call: Call, layer: Layer, arrays: list[Any], masks: list[Any], states: list[Any]) -> Sequence[Any]:
        shapes = layer.output_shapes(*(array.shape for array in arrays))
        return [np.zeros([size or 1 for size in shape], np.float32) for shape in shapes]

    _, masks = walk(spec, inputs, {}, apply)
    return {ref for ref, mask in masks.items() if mask is not None}


def has_hard_sigmoid(old: OldModel) -> Sequence[str]:
    """Return the layers with the hard_sigmoid of Keras 1 and 2."""
    return _named(name for name, part in old.parts if any(_lacking(value) for value in vars(part).values()))


def draws_mask_per_gate_somewhere(old: OldModel) -> Sequence[str]:
    """Return the layers that draw a dropout mask for each gate."""
    return _named(name for name, part in old.parts if draws_mask_per_gate(part))


def has_masked_loss(old: OldModel) -> Sequence[str]:
    """Return the outputs with a mask, in a version whose losses count padding."""
    if old.training is None or not old.training.counts_padding:
        return ()
    masked = masked_tensors(old.spec)
    return tuple(f"output {old.spec.calls[ref.call].layer}" for ref in old.spec.outputs if ref in masked)


def has_rmsprop(old: OldModel) -> Sequence[str]:
    """Return the optimizer, if it is the RMSprop with epsilon outside of the root."""
    return _optimizer(old, old.training is not None and isinstance(old.training.optimizer, RMSpropKeras2))


def clips_together(old: OldModel) -> Sequence[str]:
    """Return the optimizer, if its `clipnorm` limits the norm of all gradients together."""
    given = _arguments(old).get("clipnorm")
    return _optimizer(old, bool(given) and old.version.clips_all_weights_together)


def decays(old: OldModel) -> Sequence[str]:
    """Return the optimizer, if its rate decays by the argument `decay`."""
    arguments = _arguments(old)
    return _optimizer(old, bool(arguments.get("decay")) and old.version.of_optimizer(arguments).has_decay)


def uses_unread_optimizer(old: OldModel) -> Sequence[str]:
    """Return the optimizer, if it is one whose defaults or formula changed, and that multilstm does not execute."""
    if old.config is None:
        return ()
    name, _ = optimizer_config(old.config)
    return (f"optimizer {name}",) if name in ("Adagrad", "Adadelta", "Adamax", "Nadam") else ()


def pads_bidirectional(old: OldModel) -> Sequence[str]:
    """Return the Bidirectional layers whose padding repeats the output before, in versions without zeros there."""
    if old.version.pads_bidirectional_with_zeros:
        return ()
    masked = masked_tensors(old.spec)
    calls = (call for number, call in enumerate(old.spec.calls) if Ref(number) in masked)
    return _named(call.layer for call in calls if isinstance(old.spec.layer(call.layer), Bidirectional))


def returns_state_before_first_timestep(old: OldModel) -> Sequence[str]:
    """Return the recurrent layers with a mask and an initial state, in versions that return this state as output."""
    if not old.version.returns_state_before_first_timestep:
        return ()
    masked = masked_tensors(old.spec)
    calls = [call for call in old.spec.calls if any(ref in masked for ref in call.inputs)]
    layers = [(call, part) for call in calls for part in old.spec.layer(call.layer).recurrent.values()]
    return _named(call.layer for call, part in layers if (call.initial_state or part.stateful) and not part.unroll)


def is_held(old: OldModel) -> Sequence[str]:
    """Return the layers called with `training=False` that compute otherwise in training."""
    calls = [call for call in old.spec.calls if call.layer in old.held]
    shapes = [[size or 1 for size in old.spec.tensor_shapes[call.inputs[0]]] for call in calls]
    layers = [old.spec.layer(call.layer) for call in calls]
    return _named(
        str(layer.name)
        for layer, shape in zip(layers, shapes, strict=True)
        if layer.statistics or isinstance(layer, OpaqueLayer) or any(layer.dropout_masks("", tuple(shape)))
    )


def has_hinge(old: OldModel) -> Sequence[str]:
    """Return the outputs whose loss is a hinge, in a version that keeps labels of 0 and 1."""
    if old.training is None or not old.version.takes_hinge_labels_as_they_are:
        return ()
    outputs = zip(old.spec.outputs, old.training.losses, strict=True)
    return tuple(f"output {old.spec.calls[ref.call].layer}" for ref, loss in outputs if loss in HINGES)


def penalizes_activity(old: OldModel) -> Sequence[str]:
    """Return the layers with a penalty of their output, in a version that does not divide it by the batch size."""
    if not old.version.sums_activity_penalties:
        return ()
    return _named(name for name, part in old.parts if part.activity is not None)


def is_frozen(old: OldModel) -> Sequence[str]:
    """Return each BatchNormalization that is not trained, in a version that then normalizes by the batch."""
    if not old.version.normalizes_frozen_layers_by_batches:
        return ()
    return _named(name for name, part in old.parts if isinstance(part, BatchNormalization) and not part.trainable)


def corrects_variance(old: OldModel) -> Sequence[str]:
    """Return each trained BatchNormalization whose moving variance Keras 3 would update otherwise."""
    layers = ((layer, len(shape)) for name, shape in old.spec.layer_inputs.items() for layer in (old.spec.layer(name),))
    return _named(
        str(layer.name)
        for layer, rank in layers
        for depth, part in enumerate(layer.nested)
        if isinstance(part, BatchNormalization) and part.trainable and old.version.corrects_variance(rank - depth)
    )


def averages_deviations(old: OldModel) -> Sequence[str]:
    """Return each trained BatchNormalization, in a version whose moving averages are of deviations."""
    if not old.version.averages_deviations:
        return ()
    return _named(name for name, part in old.parts if isinstance(part, BatchNormalization) and part.trainable)


def is_stateful(old: OldModel) -> Sequence[str]:
    """Return the stateful layers."""
    return _named(name.split("/")[0] for name, layer in old.spec.recurrent.items() if layer.stateful)


def _lacking(value: Any) -> bool:
    return isinstance(value, str) and value in KERAS3_LACKS


def _named(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(f"{_LAYERS}{name}" for name in dict.fromkeys(names))


def _arguments(old: OldModel) -> Mapping[str, Any]:
    return {} if old.config is None else optimizer_config(old.config)[1]


def _optimizer(old: OldModel, is_touched: bool) -> Sequence[str]:
    if not is_touched or old.config is None:
        return ()
    return (f"optimizer {optimizer_config(old.config)[0]}",)
