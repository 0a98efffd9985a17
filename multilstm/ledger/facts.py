"""Facts: conditions on one layer of a case, which the rows of the ledger name.

A fact may hold for certain: the spec, the batches, the dtype, the loss and the optimizer of the case prove it. Or it is
possible: the user of a model decides it later, for example the precision, or an optimizer that the case leaves open.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from multilstm.cases.case import Case
from multilstm.engines.reference.faults import changes_nothing
from multilstm.ledger.places import Place, places
from multilstm.spec import (
    GRU,
    LSTM,
    AdditiveAttention,
    Attention,
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    ConvLSTM2D,
    Dot,
    Embedding,
    GlobalAveragePooling1D,
    LayerNormalization,
    LeakyReLU,
    Masking,
    Normalization,
    ReLU,
    Rescaling,
    TimeDistributed,
)
from multilstm.spec.layers import Recurrent
from multilstm.spec.optimizers import SGD, Optimizer
from multilstm.spec.penalties import Regularizer
from multilstm.spec.schedules import Schedule

Test = Callable[[Place], bool]


def _never(place: Place) -> bool:
    return False


def _always(place: Place) -> bool:
    return True


def _training_is_open(place: Place) -> bool:
    """Whether the case leaves the training open."""
    return place.case.optimizer is None or place.case.example


@dataclasses.dataclass(frozen=True)
class Fact:
    """A condition on one layer of a case.

    Attributes:
        name: the name that rows use.
        text: the condition in words.
        certain: whether the condition holds in the case.
        possible: whether a user of the model may fulfil the condition, if it does not hold in the case.
    """

    name: str
    text: str
    certain: Test = _never
    possible: Test = _never

    def __str__(self) -> str:
        return self.text


def _recurrent(test: Callable[[Recurrent], object]) -> Test:
    return lambda place: place.recurrent is not None and bool(test(place.recurrent))


def _fused(test: Callable[[LSTM | GRU], object]) -> Test:
    """Return a test for a layer that has a fused path in Keras."""
    return lambda place: isinstance(place.layer, (LSTM, GRU)) and bool(test(place.layer))


def _optimizer(test: Callable[[Optimizer], object]) -> Test:
    return lambda place: place.case.optimizer is not None and bool(test(place.case.optimizer))


def _is(*types: type) -> Test:
    return lambda place: isinstance(place.layer, types)


def _activation(*names: str) -> Test:
    """Return a test for an activation, also inside a TimeDistributed."""
    keys = ("activation", "recurrent_activation")
    return lambda place: any(getattr(place.inner, key, None) in names for key in keys)


def _regularizer(*names: str) -> Test:
    """Return a test for the class of a regularizer, also inside a TimeDistributed."""
    return lambda place: any(
        isinstance(value, Regularizer) and type(value).__name__ in names for value in vars(place.inner).values()
    )


def _starts_masked(place: Place) -> bool:
    if place.recurrent is None:
        return False
    first = -1 if place.recurrent.go_backwards else 0
    return any(not mask[:, first].all() for mask in place.masks)


def _masked(place: Place) -> bool:
    return place.recurrent is not None and bool(place.masks)


def _fully_masked(place: Place) -> bool:
    return any(not mask.any(axis=1).all() for mask in place.masks)


def _has_relu_constants(place: Place) -> bool:
    layer = place.inner
    return isinstance(layer, LeakyReLU) or (isinstance(layer, ReLU) and layer != ReLU(name=layer.name))


def _has_rounded_numbers(place: Place) -> bool:
    layer = place.inner
    is_given = isinstance(layer, Normalization) and layer.mean is not None
    return is_given or isinstance(layer, Rescaling)


def _pools_ends(place: Place) -> bool:
    return isinstance(place.inner, AveragePooling1D | AveragePooling2D) and place.inner.padding == "same"


def _normalizes(place: Place) -> bool:
    return isinstance(place.layer, Dot) and place.layer.normalize


def _changes_nothing(place: Place) -> bool:
    return bool(place.masks) and changes_nothing(place.layer, place.input_shape)


def _normalizes_one_masked_feature(place: Place) -> bool:
    layer = place.layer
    one = isinstance(layer, BatchNormalization) and layer.trainable and place.input_shape[-1] == 1
    return one and bool(place.masks)


def _misses_last_axis(place: Place) -> bool:
    layer, shape = place.inner, place.input_shape
    return isinstance(layer, LayerNormalization) and place.layer is layer and len(shape) - 1 not in layer.axes(shape)


def _not_finite(place: Place) -> bool:
    arrays = [array for batch in place.batches for array in batch.inputs.values()]
    return place.recurrent is not None and any(not np.isfinite(array).all() for array in arrays)


def _computes_without_bias(place: Place) -> bool:
    """Whether Keras's fused path computes a GRU without bias."""
    layer = place.layer
    if not isinstance(layer, GRU) or layer.use_bias or layer.recurrent_dropout or place.masks:
        return False
    return layer.reset_after and not layer.unroll and layer.use_cudnn == "auto"


def _given_state(place: Place) -> bool:
    return place.recurrent is not None and place.has_given_state


def _probability_output(place: Place) -> bool:
    """Whether the layer is an output behind a sigmoid, or behind a softmax with labels that do not sum to one."""
    if place.ends_in("sigmoid"):
        return True
    targets = [target for batch in place.batches for target in batch.targets]
    return place.ends_in("softmax") and any(not np.allclose(target.sum(-1), 1) for target in targets)


def _clips(optimizer: Optimizer) -> bool:
    return bool(optimizer.clipnorm or optimizer.global_clipnorm)


_ALL = (
    Fact("recurrent", "the layer has a state, alone or in a Bidirectional", _is(Recurrent)),
    Fact("conv_lstm", "the layer is a ConvLSTM2D", _is(ConvLSTM2D)),
    Fact("stateful", "stateful=True", _recurrent(lambda layer: layer.stateful)),
    Fact("unroll", "unroll=True", _recurrent(lambda layer: layer.unroll)),
    Fact(
        "go_backwards",
        "the layer runs backwards, as the second half of a Bidirectional does",
        _recurrent(lambda layer: layer.go_backwards),
    ),
    Fact("return_state", "return_state=True", _recurrent(lambda layer: layer.return_state)),
    Fact(
        "zero_output_for_mask",
        "zero_output_for_mask=True, as in both halves of a Bidirectional that returns sequences",
        _recurrent(lambda layer: layer.zero_output_for_mask),
    ),
    Fact("last_only", "return_sequences=False", _recurrent(lambda layer: not layer.return_sequences)),
    Fact("bidirectional", "the layer is half of a Bidirectional", lambda place: place.is_half),
    Fact(
        "dropout",
        "dropout is above 0, and recurrent_dropout is 0",
        _fused(lambda layer: layer.dropout and not layer.recurrent_dropout),
    ),
    Fact("drops", "the layer drops values in training", lambda place: any(place.inner.dropout_masks("", (1, 1, 1)))),
    Fact("implementation_1", "implementation=1", _fused(lambda layer: layer.implementation == 1)),
    Fact(
        "implementation_or_cudnn",
        "implementation or use_cudnn is not the default",
        _fused(lambda layer: layer.implementation == 1 or layer.use_cudnn != "auto"),
    ),
    Fact("use_cudnn_true", "use_cudnn=True", _fused(lambda layer: layer.use_cudnn is True)),
    Fact("masked", "a mask reaches the layer", _masked),
    Fact(
        "starts_masked",
        "the first timestep of a sequence, in the order of processing, is masked",
        _starts_masked,
        possible=_masked,
    ),
    Fact("not_finite", "an input contains NaN or infinity", _not_finite, possible=_always),
    Fact("initial_state", "an initial state is given to the layer", _given_state),
    Fact(
        "nonzero_state",
        "the layer begins with a state that may differ from zero",
        lambda place: _given_state(place) or _recurrent(lambda layer: layer.stateful)(place),
    ),
    Fact("one_state_for_all", "one initial state is given for the whole batch", possible=_always),
    Fact(
        "batch_of_one",
        "the batch size of the model is 1",
        lambda place: place.recurrent is not None and place.input_shape[0] == 1,
    ),
    Fact(
        "fixed_timesteps",
        "the model's Input fixes the number of timesteps",
        lambda place: place.recurrent is not None and place.input_shape[1] is not None,
    ),
    Fact(
        "gru_without_bias",
        "the layer is a GRU without bias, mask and unroll, in another dtype than float64",
        lambda place: _computes_without_bias(place) and place.dtype != "float64",
        possible=_computes_without_bias,
    ),
    Fact("selu", "the layer has the activation selu", _activation("selu")),
    Fact("gelu_or_leaky_relu", "the layer has the activation gelu or leaky_relu", _activation("gelu", "leaky_relu")),
    Fact(
        "hard_sigmoid_or_softplus",
        "the layer has the activation hard_sigmoid or softplus",
        _activation("hard_sigmoid", "softplus"),
    ),
    Fact("relu_constants", "the layer is a LeakyReLU, or a ReLU with an argument", _has_relu_constants),
    Fact(
        "rounded_numbers",
        "the layer is a Rescaling, or a Normalization by given moments",
        _has_rounded_numbers,
    ),
    Fact("average_pooling_same", "the layer is an AveragePooling1D or 2D with padding 'same'", _pools_ends),
    Fact("global_average", "the layer is a GlobalAveragePooling1D", _is(GlobalAveragePooling1D)),
    Fact("changes_nothing", "a Reshape, Permute or Cropping1D under a mask changes nothing", _changes_nothing),
    Fact(
        "one_masked_feature",
        "the layer is a BatchNormalization of one feature, with a mask",
        _normalizes_one_masked_feature,
    ),
    Fact("attention", "the layer is an Attention or an AdditiveAttention", _is(Attention, AdditiveAttention)),
    Fact("normalizing_dot", "the layer is a Dot with normalize=True", _normalizes),
    Fact(
        "fully_masked",
        "all timesteps of a sequence are masked",
        _fully_masked,
        possible=lambda place: bool(place.masks),
    ),
    Fact("normalizes_another_axis", "the layer is a LayerNormalization without the last axis", _misses_last_axis),
    Fact("regularizer", "the layer has a regularizer L1, L2 or L1L2", _regularizer("L1", "L2", "L1L2")),
    Fact(
        "l1",
        "the layer has a regularizer that takes absolute values",
        _regularizer("L1", "L1L2", "OrthogonalRegularizer"),
    ),
    Fact("orthogonal_regularizer", "the layer has an OrthogonalRegularizer", _regularizer("OrthogonalRegularizer")),
    Fact(
        "dot_product_attention",
        "the layer is a MultiHeadAttention or a GroupQueryAttention",
        lambda place: place.layer.class_name in ("MultiHeadAttention", "GroupQueryAttention"),
    ),
    Fact("time_distributed", "the layer is a TimeDistributed", _is(TimeDistributed)),
    Fact(
        "any_batch_and_timesteps",
        "the layer is a TimeDistributed whose input fixes neither batch size nor timesteps",
        lambda place: isinstance(place.layer, TimeDistributed) and place.input_shape[:2] == (None, None),
    ),
    Fact(
        "wrapper",
        "the layer is a Bidirectional or a TimeDistributed",
        lambda place: place.is_half or isinstance(place.layer, TimeDistributed),
    ),
    Fact(
        "biased",
        "the layer has a bias that is trained",
        lambda place: place.inner.trainable and getattr(place.inner, "use_bias", False),
    ),
    Fact("out_of_the_loss", "no output of the model depends on the layer", lambda place: not place.reaches_output),
    Fact("embedding", "the layer is an Embedding", _is(Embedding)),
    Fact("masking", "the layer is a Masking", _is(Masking)),
    Fact("stacked_cells", "the layer is an RNN of several cells, which no spec can express"),
    Fact("vmapped", "the model is vmapped, which Keras does not do"),
    Fact("exported", "the model is exported to ONNX with a free number of timesteps, which no run does"),
    Fact(
        "softmax_or_sigmoid_output",
        "the layer is an output behind a sigmoid, or behind a softmax with labels that do not sum to one",
        _probability_output,
        possible=lambda place: _training_is_open(place) and place.ends_in("softmax"),
    ),
    Fact(
        "categorical_crossentropy",
        "the loss is categorical_crossentropy",
        lambda place: place.case.loss == "categorical_crossentropy",
        possible=_training_is_open,
    ),
    Fact("trained", "gradients are computed", lambda place: place.case.loss is not None, possible=_training_is_open),
    Fact(
        "adam",
        "the optimizer is Adam",
        _optimizer(lambda optimizer: type(optimizer).__name__.startswith("Adam")),
        possible=_training_is_open,
    ),
    Fact(
        "adaptive_optimizer",
        "the optimizer's step is not linear in the gradient",
        _optimizer(lambda optimizer: not isinstance(optimizer, SGD) or _clips(optimizer) or bool(optimizer.clipvalue)),
        possible=_training_is_open,
    ),
    Fact(
        "centered_rmsprop",
        "the optimizer is a centered RMSprop",
        _optimizer(lambda optimizer: getattr(optimizer, "centered", False)),
        possible=_training_is_open,
    ),
    Fact(
        "momentum",
        "the optimizer has a momentum or a weight decay",
        _optimizer(lambda optimizer: getattr(optimizer, "momentum", 0) or optimizer.weight_decay),
        possible=_training_is_open,
    ),
    Fact(
        "weight_decay",
        "the optimizer has a weight decay",
        _optimizer(lambda optimizer: optimizer.weight_decay),
        possible=_training_is_open,
    ),
    Fact(
        "clipped",
        "the optimizer has a clipnorm or a global_clipnorm",
        _optimizer(_clips),
        possible=_training_is_open,
    ),
    Fact(
        "schedule",
        "the learning rate is a schedule",
        _optimizer(lambda optimizer: isinstance(optimizer.learning_rate, Schedule)),
        possible=_training_is_open,
    ),
    Fact("float64", "the computation is in float64", lambda place: place.dtype == "float64"),
    Fact("half", "the computation is in float16 or bfloat16", possible=_always),
    Fact(
        "mixed",
        "the computation is in mixed precision",
        lambda place: place.dtype in ("mixed_bfloat16", "mixed_float16"),
        possible=_always,
    ),
    Fact(
        "bfloat16",
        "the computation is in mixed_bfloat16",
        lambda place: place.dtype == "mixed_bfloat16",
        possible=_always,
    ),
)
FACTS: Mapping[str, Fact] = {fact.name: fact for fact in _ALL}


def certain_facts(case: Case, dtype: str) -> dict[str, frozenset[str]]:
    """Return the names of the facts that hold in a case that is computed in a dtype, by `Place.name`."""
    return {place.name: frozenset(fact.name for fact in _ALL if fact.certain(place)) for place in places(case, dtype)}


def possible_facts(case: Case, dtype: str) -> dict[str, frozenset[str]]:
    """Return the facts that hold in a case, or that a user of its model may fulfil; else as `certain_facts`."""
    return {
        place.name: frozenset(fact.name for fact in _ALL if fact.certain(place) or fact.possible(place))
        for place in places(case, dtype)
    }


def where(when: tuple[str, ...], facts: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Return the layers at which all facts of a row hold together."""
    return tuple(name for name, names in facts.items() if names.issuperset(when))
