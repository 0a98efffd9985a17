"""Conditions on one layer of a case: the functions of which the facts of the ledger are made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from multilstm.engines.reference.faults import changes_nothing
from multilstm.ledger.places import Place
from multilstm.spec import (
    GRU,
    LSTM,
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Dot,
    LayerNormalization,
    LeakyReLU,
    Normalization,
    ReLU,
    Rescaling,
)
from multilstm.spec.layers import Recurrent
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.penalties import Regularizer

Test = Callable[[Place], bool]


def never(place: Place) -> bool:
    """Return False."""
    return False


def always(place: Place) -> bool:
    """Return True."""
    return True


def training_is_open(place: Place) -> bool:
    """Whether the case leaves the training open."""
    return place.case.optimizer is None or place.case.example


def recurrent(test: Callable[[Recurrent], object]) -> Test:
    """Return a test for a layer with a state, alone or in a Bidirectional."""
    return lambda place: place.recurrent is not None and bool(test(place.recurrent))


def fused(test: Callable[[LSTM | GRU], object]) -> Test:
    """Return a test for a layer that has a fused path in Keras."""
    return lambda place: isinstance(place.layer, (LSTM, GRU)) and bool(test(place.layer))


def optimizer(test: Callable[[Optimizer], object]) -> Test:
    """Return a test for the optimizer of the case."""
    return lambda place: place.case.optimizer is not None and bool(test(place.case.optimizer))


def is_a(*types: type) -> Test:
    """Return a test for the class of the layer."""
    return lambda place: isinstance(place.layer, types)


def activation(*names: str) -> Test:
    """Return a test for an activation, also inside a TimeDistributed."""
    keys = ("activation", "recurrent_activation")
    return lambda place: any(getattr(place.inner, key, None) in names for key in keys)


def regularizer(*names: str) -> Test:
    """Return a test for the class of a regularizer, also inside a TimeDistributed."""
    return lambda place: any(
        isinstance(value, Regularizer) and type(value).__name__ in names for value in vars(place.inner).values()
    )


def starts_masked(place: Place) -> bool:
    """Whether the first timestep that the layer reads is masked in a sequence."""
    if place.recurrent is None:
        return False
    first = -1 if place.recurrent.go_backwards else 0
    return any(not mask[:, first].all() for mask in place.masks)


def masked(place: Place) -> bool:
    """Whether a mask reaches a layer with a state."""
    return place.recurrent is not None and bool(place.masks)


def fully_masked(place: Place) -> bool:
    """Whether all timesteps of a sequence are masked."""
    return any(not mask.any(axis=1).all() for mask in place.masks)


def has_relu_constants(place: Place) -> bool:
    """Whether the layer is a LeakyReLU, or a ReLU with an argument."""
    layer = place.inner
    return isinstance(layer, LeakyReLU) or (isinstance(layer, ReLU) and layer != ReLU(name=layer.name))


def has_rounded_numbers(place: Place) -> bool:
    """Whether the layer has numbers that Keras rounds."""
    layer = place.inner
    is_given = isinstance(layer, Normalization) and layer.mean is not None
    return is_given or isinstance(layer, Rescaling)


def pools_ends(place: Place) -> bool:
    """Whether the layer averages windows that reach over the ends."""
    return isinstance(place.inner, AveragePooling1D | AveragePooling2D) and place.inner.padding == "same"


def normalizes(place: Place) -> bool:
    """Whether the layer is a Dot with normalize=True."""
    return isinstance(place.layer, Dot) and place.layer.normalize


def reshapes_nothing(place: Place) -> bool:
    """Whether the layer is given a mask, and changes nothing."""
    return bool(place.masks) and changes_nothing(place.layer, place.input_shape)


def normalizes_one_masked_feature(place: Place) -> bool:
    """Whether the layer is a trained BatchNormalization of one feature, under a mask."""
    layer = place.layer
    one = isinstance(layer, BatchNormalization) and layer.trainable and place.input_shape[-1] == 1
    return one and bool(place.masks)


def misses_last_axis(place: Place) -> bool:
    """Whether the layer is a LayerNormalization without the last axis."""
    layer, shape = place.inner, place.input_shape
    return isinstance(layer, LayerNormalization) and place.layer is layer and len(shape) - 1 not in layer.axes(shape)


def not_finite(place: Place) -> bool:
    """Whether an input of a model with this recurrent layer has NaN or infinity."""
    arrays = [array for batch in place.batches for array in batch.inputs.values()]
    return place.recurrent is not None and any(not np.isfinite(array).all() for array in arrays)


def computes_without_bias(place: Place) -> bool:
    """Whether Keras's fused path computes a GRU without bias."""
    layer = place.layer
    if not isinstance(layer, GRU) or layer.use_bias or layer.recurrent_dropout or place.masks:
        return False
    return layer.reset_after and not layer.unroll and layer.use_cudnn == "auto"


def given_state(place: Place) -> bool:
    """Whether the recurrent layer is given an initial state."""
    return place.recurrent is not None and place.has_given_state


def probability_output(place: Place) -> bool:
    """Whether the layer is an output behind a sigmoid, or behind a softmax with labels that do not sum to one."""
    if place.ends_in("sigmoid"):
        return True
    targets = [target for batch in place.batches for target in batch.targets]
    return place.ends_in("softmax") and any(not np.allclose(target.sum(-1), 1) for target in targets)


def clips(optimizer: Optimizer) -> bool:
    """Whether the optimizer clips norms."""
    return bool(optimizer.clipnorm or optimizer.global_clipnorm)
