"""Facts: conditions on one layer of a case, which the rows of the ledger name.

A fact may hold for certain: the spec, the batches, the dtype, the loss and the optimizer of the case prove it. Or it is
possible: the user of a model decides it later, for example the precision, or an optimizer that the case leaves open.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from multilstm.cases.case import Case
from multilstm.ledger.conditions import (
    Test,
    activation,
    always,
    clips,
    computes_without_bias,
    fully_masked,
    fused,
    given_state,
    has_relu_constants,
    has_rounded_numbers,
    is_a,
    masked,
    misses_last_axis,
    never,
    normalizes,
    normalizes_one_masked_feature,
    not_finite,
    optimizer,
    pools_ends,
    probability_output,
    recurrent,
    regularizer,
    reshapes_nothing,
    starts_masked,
    training_is_open,
)
from multilstm.ledger.places import places
from multilstm.spec import (
    AdditiveAttention,
    Attention,
    ConvLSTM2D,
    Embedding,
    GlobalAveragePooling1D,
    Masking,
    TimeDistributed,
)
from multilstm.spec.layers import Recurrent
from multilstm.spec.optimizers import SGD
from multilstm.spec.schedules import Schedule


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
    certain: Test = never
    possible: Test = never

    def __str__(self) -> str:
        return self.text


_ALL = (
    Fact("recurrent", "the layer has a state, alone or in a Bidirectional", is_a(Recurrent)),
    Fact("conv_lstm", "the layer is a ConvLSTM2D", is_a(ConvLSTM2D)),
    Fact("stateful", "stateful=True", recurrent(lambda layer: layer.stateful)),
    Fact("unroll", "unroll=True", recurrent(lambda layer: layer.unroll)),
    Fact(
        "go_backwards",
        "the layer runs backwards, as the second half of a Bidirectional does",
        recurrent(lambda layer: layer.go_backwards),
    ),
    Fact("return_state", "return_state=True", recurrent(lambda layer: layer.return_state)),
    Fact(
        "zero_output_for_mask",
        "zero_output_for_mask=True, as in both halves of a Bidirectional that returns sequences",
        recurrent(lambda layer: layer.zero_output_for_mask),
    ),
    Fact("last_only", "return_sequences=False", recurrent(lambda layer: not layer.return_sequences)),
    Fact("bidirectional", "the layer is half of a Bidirectional", lambda place: place.is_half),
    Fact(
        "dropout",
        "dropout is above 0, and recurrent_dropout is 0",
        fused(lambda layer: layer.dropout and not layer.recurrent_dropout),
    ),
    Fact("drops", "the layer drops values in training", lambda place: any(place.inner.dropout_masks("", (1, 1, 1)))),
    Fact("implementation_1", "implementation=1", fused(lambda layer: layer.implementation == 1)),
    Fact(
        "implementation_or_cudnn",
        "implementation or use_cudnn is not the default",
        fused(lambda layer: layer.implementation == 1 or layer.use_cudnn != "auto"),
    ),
    Fact("use_cudnn_true", "use_cudnn=True", fused(lambda layer: layer.use_cudnn is True)),
    Fact("masked", "a mask reaches the layer", masked),
    Fact(
        "starts_masked",
        "the first timestep of a sequence, in the order of processing, is masked",
        starts_masked,
        possible=masked,
    ),
    Fact("not_finite", "an input contains NaN or infinity", not_finite, possible=always),
    Fact("large_integers", "an input has integers beyond 32 bits, which no run gives", possible=always),
    Fact("initial_state", "an initial state is given to the layer", given_state),
    Fact(
        "nonzero_state",
        "the layer begins with a state that may differ from zero",
        lambda place: given_state(place) or recurrent(lambda layer: layer.stateful)(place),
    ),
    Fact("one_state_for_all", "one initial state is given for the whole batch", possible=always),
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
        lambda place: computes_without_bias(place) and place.dtype != "float64",
        possible=computes_without_bias,
    ),
    Fact("selu", "the layer has the activation selu", activation("selu")),
    Fact("gelu_or_leaky_relu", "the layer has the activation gelu or leaky_relu", activation("gelu", "leaky_relu")),
    Fact(
        "hard_sigmoid_or_softplus",
        "the layer has the activation hard_sigmoid or softplus",
        activation("hard_sigmoid", "softplus"),
    ),
    Fact("relu_constants", "the layer is a LeakyReLU, or a ReLU with an argument", has_relu_constants),
    Fact(
        "rounded_numbers",
        "the layer is a Rescaling, or a Normalization by given moments",
        has_rounded_numbers,
    ),
    Fact("average_pooling_same", "the layer is an AveragePooling1D or 2D with padding 'same'", pools_ends),
    Fact("global_average", "the layer is a GlobalAveragePooling1D", is_a(GlobalAveragePooling1D)),
    Fact("changes_nothing", "a Reshape, Permute or Cropping1D under a mask changes nothing", reshapes_nothing),
    Fact(
        "one_masked_feature",
        "the layer is a BatchNormalization of one feature, with a mask",
        normalizes_one_masked_feature,
    ),
    Fact("attention", "the layer is an Attention or an AdditiveAttention", is_a(Attention, AdditiveAttention)),
    Fact("normalizing_dot", "the layer is a Dot with normalize=True", normalizes),
    Fact(
        "fully_masked",
        "all timesteps of a sequence are masked",
        fully_masked,
        possible=lambda place: bool(place.masks),
    ),
    Fact("normalizes_another_axis", "the layer is a LayerNormalization without the last axis", misses_last_axis),
    Fact("regularizer", "the layer has a regularizer L1, L2 or L1L2", regularizer("L1", "L2", "L1L2")),
    Fact(
        "l1",
        "the layer has a regularizer that takes absolute values",
        regularizer("L1", "L1L2", "OrthogonalRegularizer"),
    ),
    Fact("orthogonal_regularizer", "the layer has an OrthogonalRegularizer", regularizer("OrthogonalRegularizer")),
    Fact(
        "dot_product_attention",
        "the layer is a MultiHeadAttention or a GroupQueryAttention",
        lambda place: place.layer.class_name in ("MultiHeadAttention", "GroupQueryAttention"),
    ),
    Fact("time_distributed", "the layer is a TimeDistributed", is_a(TimeDistributed)),
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
    Fact("embedding", "the layer is an Embedding", is_a(Embedding)),
    Fact("masking", "the layer is a Masking", is_a(Masking)),
    Fact("stacked_cells", "the layer is an RNN of several cells, which no spec can express"),
    Fact("shares_a_path", "a layer of a model inside has the name of a layer outside, which no engine trains as `fit`"),
    Fact("vmapped", "the model is vmapped, which Keras does not do"),
    Fact("exported", "the model is exported to ONNX with a free number of timesteps, which no run does"),
    Fact(
        "softmax_or_sigmoid_output",
        "the layer is an output behind a sigmoid, or behind a softmax with labels that do not sum to one",
        probability_output,
        possible=lambda place: training_is_open(place) and place.ends_in("softmax"),
    ),
    Fact(
        "categorical_crossentropy",
        "the loss is categorical_crossentropy",
        lambda place: place.case.loss == "categorical_crossentropy",
        possible=training_is_open,
    ),
    Fact("trained", "gradients are computed", lambda place: place.case.loss is not None, possible=training_is_open),
    Fact(
        "adam",
        "the optimizer is Adam",
        optimizer(lambda optimizer: type(optimizer).__name__.startswith("Adam")),
        possible=training_is_open,
    ),
    Fact(
        "adaptive_optimizer",
        "the optimizer's step is not linear in the gradient",
        optimizer(lambda optimizer: not isinstance(optimizer, SGD) or clips(optimizer) or bool(optimizer.clipvalue)),
        possible=training_is_open,
    ),
    Fact(
        "centered_rmsprop",
        "the optimizer is a centered RMSprop",
        optimizer(lambda optimizer: getattr(optimizer, "centered", False)),
        possible=training_is_open,
    ),
    Fact(
        "momentum",
        "the optimizer has a momentum or a weight decay",
        optimizer(lambda optimizer: getattr(optimizer, "momentum", 0) or optimizer.weight_decay),
        possible=training_is_open,
    ),
    Fact(
        "weight_decay",
        "the optimizer has a weight decay",
        optimizer(lambda optimizer: optimizer.weight_decay),
        possible=training_is_open,
    ),
    Fact(
        "clipped",
        "the optimizer has a clipnorm or a global_clipnorm",
        optimizer(clips),
        possible=training_is_open,
    ),
    Fact(
        "schedule",
        "the learning rate is a schedule",
        optimizer(lambda optimizer: isinstance(optimizer.learning_rate, Schedule)),
        possible=training_is_open,
    ),
    Fact("float64", "the computation is in float64", lambda place: place.dtype == "float64"),
    Fact("half", "the computation is in float16 or bfloat16", possible=always),
    Fact(
        "mixed",
        "the computation is in mixed precision",
        lambda place: place.dtype in ("mixed_bfloat16", "mixed_float16"),
        possible=always,
    ),
    Fact(
        "bfloat16",
        "the computation is in mixed_bfloat16",
        lambda place: place.dtype == "mixed_bfloat16",
        possible=always,
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
