"""Shapes, masks, weights and arguments of the layers around an LSTM: structure, merging, pooling, convolution."""

import numpy as np
import pytest

from multilstm.errors import InputError, SpecError
from multilstm.spec import (
    ELU,
    Add,
    AdditiveAttention,
    Attention,
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv1D,
    Conv2D,
    ConvLSTM2D,
    Cropping1D,
    Dense,
    DepthwiseConv2D,
    Dot,
    Dropout,
    Flatten,
    GaussianNoise,
    GetItem,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    Input,
    LayerNormalization,
    LeakyReLU,
    Maximum,
    MaxNorm,
    MaxPooling1D,
    MaxPooling2D,
    Model,
    Multiply,
    Normalization,
    Permute,
    PReLU,
    ReLU,
    Rescaling,
    Reshape,
    Sequential,
    Softmax,
    SpatialDropout1D,
    SpatialDropout2D,
    Subtract,
    TimeDistributed,
    UnitNormalization,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
    from_json,
)
from multilstm.spec.layers import DISTRIBUTED

SHAPE, OPEN, IMAGE, FILM = (2, 6, 4), (None, None, 4), (2, 6, 5, 4), (None, None, 6, 5, 4)
ALL = slice(None)


@pytest.mark.parametrize(
    ("layer", "inputs", "output"),
    [
        (Flatten(), SHAPE, (2, 24)),
        (Flatten(), (2,), (2, 1)),
        (Flatten(), OPEN, (None, None)),
        (Reshape((3, 8)), SHAPE, (2, 3, 8)),
        (Reshape((-1, 3)), SHAPE, (2, 8, 3)),
        (Reshape((-1, 2, 2)), OPEN, (None, None, 2, 2)),
        (Reshape((24,)), SHAPE, (2, 24)),
        (Permute((2, 1)), SHAPE, (2, 4, 6)),
        (Permute((3, 1, 2)), (2, 6, 4, 5), (2, 5, 6, 4)),
        (ZeroPadding1D((1, 2)), SHAPE, (2, 9, 4)),
        (ZeroPadding1D(3), SHAPE, (2, 12, 4)),
        (ZeroPadding1D(), OPEN, OPEN),
        (Cropping1D((1, 2)), SHAPE, (2, 3, 4)),
        (UpSampling1D(3), SHAPE, (2, 18, 4)),
        (GetItem((ALL, -1)), SHAPE, (2, 4)),
        (GetItem((ALL, -1)), OPEN, (None, 4)),
        (GetItem((ALL, slice(1, None, 2))), SHAPE, (2, 3, 4)),
        (GetItem((ALL, slice(-9, 2), slice(3, 9))), SHAPE, (2, 2, 1)),
        (GetItem((ALL, slice(2))), OPEN, OPEN),
        (GetItem((ALL, None, ..., 0)), SHAPE, (2, 1, 6)),
        (GetItem((..., None)), OPEN, (None, None, 4, 1)),
        (GetItem((...,)), SHAPE, SHAPE),
        (MaxPooling1D(), (2, 7, 4), (2, 3, 4)),
        (MaxPooling1D(3, 2, "same"), (2, 7, 4), (2, 4, 4)),
        (AveragePooling1D(3, 1), SHAPE, (2, 4, 4)),
        (AveragePooling1D(2), OPEN, OPEN),
        (GlobalMaxPooling1D(), SHAPE, (2, 4)),
        (GlobalAveragePooling1D(keepdims=True), OPEN, (None, 1, 4)),
        (Conv1D(5, 3), SHAPE, (2, 4, 5)),
        (Conv1D(5, 3, padding="same", strides=2), (2, 7, 4), (2, 4, 5)),
        (Conv1D(5, 3, padding="causal", strides=2), SHAPE, (2, 3, 5)),
        (Conv1D(5, 3, dilation_rate=2), SHAPE, (2, 2, 5)),
        (Conv1D(4, 2, groups=2), OPEN, (None, None, 4)),
        (Conv2D(3, (2, 3), 2), IMAGE, (2, 3, 2, 3)),
        (Conv2D(3, 3, padding="same"), (None, None, 5, 4), (None, None, 5, 3)),
        (DepthwiseConv2D((2, 1), depth_multiplier=3), IMAGE, (2, 5, 5, 12)),
        (ZeroPadding2D(((1, 0), (2, 3))), IMAGE, (2, 7, 10, 4)),
        (ZeroPadding2D((1, 2)), IMAGE, (2, 8, 9, 4)),
        (MaxPooling2D(), IMAGE, (2, 3, 2, 4)),
        (AveragePooling2D((3, 2), 2, "same"), IMAGE, (2, 3, 3, 4)),
        (GlobalAveragePooling2D(), IMAGE, (2, 4)),
        (GlobalMaxPooling2D(keepdims=True), IMAGE, (2, 1, 1, 4)),
        (LayerNormalization((1, 2)), SHAPE, SHAPE),
        (BatchNormalization(), OPEN, OPEN),
        (ConvLSTM2D(3, 2), FILM, (None, 5, 4, 3)),
        (ConvLSTM2D(3, (2, 3), (2, 1), "same", return_sequences=True), FILM, (None, None, 3, 5, 3)),
        (ConvLSTM2D(3, 3, dilation_rate=2), FILM, (None, 2, 1, 3)),
        (UnitNormalization((1, 2)), OPEN, OPEN),
        (PReLU(shared_axes=(1,)), OPEN, OPEN),
        (Normalization(), OPEN, OPEN),
        (TimeDistributed(Flatten()), (2, 6, 3, 4), (2, 6, 12)),
        (TimeDistributed(Conv1D(5, 3)), (None, None, 7, 4), (None, None, 5, 5)),
        (TimeDistributed(GlobalMaxPooling1D()), (2, 6, 3, 4), (2, 6, 4)),
    ],
    ids=repr,
)
def test_output_shape(layer, inputs, output):
    assert layer.output_shapes(inputs) == (output,)


@pytest.mark.parametrize(
    ("layer", "inputs", "output"),
    [
        (Add(), [(2, 6, 4), (2, 6, 4)], (2, 6, 4)),
        (Add(), [(2, 6, 1), (2, 6, 4), (None, 6, 4)], (2, 6, 4)),
        (Multiply(), [(None, None, 4), (None, 6, 1)], (None, 6, 4)),
        (Concatenate(1), [(2, 6, 4), (2, 3, 4)], (2, 9, 4)),
        (Concatenate(-2), [(2, None, 4), (2, 3, 4)], (2, None, 4)),
        (Concatenate(), [(2, 6, 4), (2, None, 3)], (2, 6, 7)),
        (Attention(), [(2, 6, 4), (2, 3, 4)], (2, 6, 4)),
        (Attention(), [(2, None, 4), (2, 3, 5), (2, 3, 4)], (2, None, 5)),
        (AdditiveAttention(), [OPEN, OPEN], OPEN),
        (Dot(2), [(2, 6, 4), (2, 3, 4)], (2, 6, 3)),
        (Dot((1, -1)), [(None, 6, 4), (2, 3, 5, 6)], (2, 4, 3, 5)),
        (Dot(-1), [(2, 4), (2, 3, 4)], (2, 3)),
        (Dot(1), [(2, 4), (2, 4)], (2, 1)),
    ],
    ids=repr,
)
def test_output_shape_of_several_inputs(layer, inputs, output):
    assert layer.output_shapes(*inputs) == (output,)


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (Reshape((5, 5)), [SHAPE], r"Reshape: target_shape \(5, 5\) does not hold the 24 numbers of each sequence"),
        (Reshape((-1, 5)), [SHAPE], r"Reshape: target_shape \(-1, 5\) does not hold the 24 numbers"),
        (Permute((2, 1)), [(2, 6)], "Permute: expected an input of 3 axes, one more than dims, given shape"),
        (GetItem((ALL, 6)), [SHAPE], r"GetItem: \[:, 6\] takes index 6 of an axis of 6 in \(2, 6, 4\)"),
        (GetItem((ALL, 0, -5)), [SHAPE], r"GetItem: \[:, 0, -5\] takes index -5 of an axis of 4"),
        (GetItem((ALL, 0, 0, 0)), [SHAPE], r"GetItem: \[:, 0, 0, 0\] has 4 items for the 3 axes of \(2, 6, 4\)"),
        (GetItem(0), [SHAPE], r"GetItem: \[0,\] takes a part of the batch; expected ':' for the first axis"),
        (GetItem((None, ALL)), [SHAPE], "takes a part of the batch"),
        (GetItem((slice(0, 2), 1)), [SHAPE], r"\[0:2, 1\] takes a part of the batch"),
        (GetItem((..., 0, 0, 0)), [SHAPE], "takes a part of the batch"),
        (GetItem((ALL, slice(4, 2))), [SHAPE], r"GetItem: \[:, 4:2\] of an input \(2, 6, 4\) is empty"),
        (Cropping1D((3, 3)), [SHAPE], r"Cropping1D: no timestep of an input \(2, 6, 4\) is left; cut fewer"),
        (MaxPooling1D(7), [SHAPE], r"MaxPooling1D: axis 1 of the input \(2, 6, 4\) is shorter than a window of 7"),
        (MaxPooling1D(2), [(2, 6)], r"MaxPooling1D: expected an input \[batch, timesteps, features\], given shape"),
        (Conv1D(2, 4, dilation_rate=2), [SHAPE], "Conv1D: axis 1 of the input .* is shorter than a window of 7"),
        (Conv1D(3, 1, groups=3), [SHAPE], "Conv1D: features is 4, which groups=3 does not divide"),
        (Conv1D(3, 1), [(2, 6, None)], "Conv1D: the last dimension .features. decides the shape of the weights"),
        (Softmax(3), [SHAPE], r"Softmax: axis is 3; expected 1 to 2 of the input \(2, 6, 4\)"),
        (Concatenate(0), [SHAPE, SHAPE], r"Concatenate: axis is 0; expected 1 to 2 of the input"),
        (Concatenate(1), [SHAPE, (2, 6, 3)], r"Concatenate: shapes differ in another axis than 1"),
        (Add(), [SHAPE], "Add: expected at least two inputs, given 1"),
        (Subtract(), [SHAPE] * 3, "Subtract: expected 2 inputs, given 3"),
        (Attention(), [SHAPE], r"Attention: expected the inputs \[query, value\] or \[query, value, key\], given 1"),
        (Attention(), [SHAPE, (2, 4)], r"Attention: expected inputs \[batch, timesteps, features\], given shape"),
        (Attention(), [SHAPE, (2, 6, 5)], r"Attention: query and key differ in features: \(2, 6, 4\) and \(2, 6, 5\)"),
        (AdditiveAttention(), [SHAPE, (2, 3, 4), SHAPE], "AdditiveAttention: value and key differ in timesteps"),
        (Dot(1), [SHAPE, (2, 3, 4)], r"Dot: axis 1 of \(2, 6, 4\) and axis 1 of \(2, 3, 4\) differ in size"),
        (Dot((0, 1)), [SHAPE, SHAPE], "Dot: axis is 0; expected 1 to 2 of the input"),
        (Dot(1), [SHAPE], "Dot: expected 2 inputs, given 1"),
        (Add(), [SHAPE, (2, 4)], r"Add: shapes do not fit each other: \(2, 6, 4\) and \(2, 4\)"),
        (Add(), [SHAPE, (1, 6, 4)], r"Add: shapes do not fit each other"),  # the batch is never repeated
        (LayerNormalization(1), [OPEN], r"LayerNormalization: the normalized axes may not vary; given shape"),
        (LayerNormalization(0), [SHAPE], "LayerNormalization: axis is 0; expected 1 to 2"),
        (BatchNormalization(1), [SHAPE], "BatchNormalization: axis is 1; multilstm executes the last axis alone"),
        (Conv2D(2, 2), [SHAPE], r"Conv2D: expected an input \[batch, rows, columns, channels\], given shape"),
        (MaxPooling2D((2, 6)), [IMAGE], "MaxPooling2D: axis 2 of the input .* is shorter than a window of 6"),
        (ConvLSTM2D(2, 2), [IMAGE], r"ConvLSTM2D: expected an input \[batch, timesteps, rows, columns, channels\]"),
        (ConvLSTM2D(2, 2), [(2, 3, None, 5, 4)], "ConvLSTM2D: rows and columns decide the shape of its states and may"),
        (ConvLSTM2D(2, 7), [FILM], "ConvLSTM2D: axis 1 of the input .* is shorter than a window of 7"),
        (ConvLSTM2D(2, 2, stateful=True), [FILM], "ConvLSTM2D: stateful=True carries one state for each sequence"),
        (PReLU(), [OPEN], "PReLU: an axis with a slope for each of its elements may not vary; given shape"),
        (PReLU(shared_axes=3), [SHAPE], "PReLU: axis is 3; expected 1 to 2"),
        (PReLU(alpha_constraint=MaxNorm(1.0, 2)), [SHAPE], "PReLU: alpha_constraint: MaxNorm has axis=2, expected an"),
        (Normalization(1), [OPEN], "Normalization: the axes of mean may not vary; given shape"),
        (
            Normalization(-1, (1.0, 2.0), (1.0, 2.0)),
            [SHAPE],
            r"Normalization: mean has the shape \(2,\), expected that",
        ),
        (UnitNormalization(0), [SHAPE], "UnitNormalization: axis is 0; expected 1 to 2"),
        (Rescaling((1.0, 2.0)), [SHAPE], r"Rescaling: scale has 2 numbers, the input \(2, 6, 4\)"),
        (SpatialDropout2D(0.5), [SHAPE], r"SpatialDropout2D: expected an input \[batch, rows, columns, channels\]"),
        (TimeDistributed(Dense(2)), [(2, 6)], r"TimeDistributed: expected an input \[batch, timesteps, ...\], given"),
    ],
    ids=repr,
)
def test_refuses_inputs(layer, inputs, message):
    with pytest.raises(SpecError, match=message):
        layer.output_shapes(*inputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reshape((0, 2)), "Reshape: target_shape must be a tuple of positive integers, of which one may be -1"),
        (lambda: Reshape((-1, -1)), "Reshape: target_shape must be a tuple of positive integers"),
        (lambda: Reshape(3), "Reshape: target_shape must be a tuple"),
        (lambda: Permute((1, 3)), r"Permute: dims must be a permutation of 1, 2, ... such as \(2, 1\), got \(1, 3\)"),
        (lambda: ZeroPadding1D((1, -1)), "ZeroPadding1D: padding must be an integer from 0 to below 2.*31, or 2 of"),
        (lambda: GetItem(()), "GetItem: key must have 1 to 32 items, got 0"),
        (lambda: GetItem((ALL,) * 33), "GetItem: key must have 1 to 32 items, got 33"),
        (lambda: GetItem((..., ...)), "GetItem: key must have one '...' at most"),
        (lambda: GetItem((ALL, 1.5)), "key must be made of integers, slices of integers, None and '...', got 1.5"),
        (lambda: GetItem((ALL, True)), "GetItem: key must be made of integers"),
        (lambda: GetItem((ALL, 2**31)), "GetItem: key must be made of integers"),
        (lambda: GetItem((ALL, slice("a"))), "GetItem: key must be made of integers"),
        (lambda: GetItem((ALL, slice(None, None, -1))), "GetItem: key must have steps of at least 1"),
        (lambda: GetItem((ALL, slice(None, None, 0))), "GetItem: key must have steps of at least 1"),
        (lambda: Sequential([GetItem((ALL, -1))], (4, 3)), "Sequential: GetItem is an operation of Keras, not a layer"),
        (lambda: Cropping1D((1, 2, 3)), "Cropping1D: cropping must be an integer from 0 to below"),
        (lambda: UpSampling1D(0), "UpSampling1D: size must be a positive integer, got 0"),
        (lambda: MaxPooling1D(2, 0), "MaxPooling1D: strides must be an integer from 1 to below"),
        (lambda: MaxPooling1D(True), "MaxPooling1D: pool_size must be an integer from 1 to below"),
        (lambda: MaxPooling1D(padding="causal"), "MaxPooling1D: unknown padding 'causal'"),
        (lambda: Flatten("channels_first"), "multilstm executes 'channels_last' alone; move the channels to the last"),
        (lambda: Conv1D(2, 3, 2, dilation_rate=2), "Conv1D: strides=.* Keras computes strides above 1 without"),
        (lambda: Conv1D(3, 2, groups=2), "Conv1D: filters is 3, which groups=2 does not divide"),
        (lambda: ReLU(-1.0), "ReLU: max_value must be a finite number, 0 or above, or None, got -1.0"),
        (lambda: ReLU(negative_slope=None), "ReLU: negative_slope must be a finite number, 0 or above, got None"),
        (lambda: LeakyReLU(-0.1), "LeakyReLU: negative_slope must be a finite number, 0 or above"),
        (lambda: ELU("a"), "ELU: alpha must be a finite number, got 'a'"),
        (lambda: BatchNormalization(momentum=1.5), "BatchNormalization: momentum must be a number from 0 to 1, got"),
        (lambda: BatchNormalization(renorm=True), "BatchNormalization: renorm is not executed by multilstm yet"),
        (lambda: LayerNormalization(epsilon=0), "LayerNormalization: epsilon must be a finite number above 0, got 0"),
        (lambda: LayerNormalization("last"), "LayerNormalization: axis must be the number of an axis, or a tuple of"),
        (lambda: Conv2D(2, (2, 2, 2)), "Conv2D: kernel_size must be an integer from 1 to below 2.*31, or 2 of them"),
        (lambda: Conv2D(2, 2, padding="causal"), "Conv2D: unknown padding 'causal'"),
        (lambda: ZeroPadding2D((1, 2, 3)), "ZeroPadding2D: padding must be an integer, or one or two for each of two"),
        (lambda: Attention(dropout=0.1), "dropout of attention scores is not executed by multilstm yet; given 0.1"),
        (lambda: Attention(score_mode="general"), "Attention: unknown score_mode 'general'"),
        (lambda: Dot((1, 2, 3)), "Dot: axes must be the number of an axis, or one for each of two inputs"),
        (lambda: ConvLSTM2D(2, 2, 2, dilation_rate=2), "ConvLSTM2D: strides=.* Keras computes strides above 1 without"),
        (lambda: ConvLSTM2D(2, 2, data_format="channels_first"), "multilstm executes 'channels_last' alone; move"),
        (lambda: GaussianNoise(1.5), "GaussianNoise: stddev must be a number from 0 to 1, got 1.5"),
        (lambda: PReLU(shared_axes=(0,)), r"PReLU: shared_axes must be numbers of axes, from 1, or None, got \(0,\)"),
        (lambda: Normalization(mean=1.0), "Normalization: mean is 1.0 and variance is None; give both"),
        (lambda: Normalization(mean=[[1], [2, 3]]), "Normalization: mean must be finite numbers, in lists"),
        (lambda: Rescaling("2"), "Rescaling: scale must be a finite number, or one for each feature, got '2'"),
        (lambda: Dropout(0.5, (None, 1, 2)), "Dropout: noise_shape is not executed by multilstm yet"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_refuses_arguments(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_weights_of_a_convolution():
    layer = Conv1D(6, 3, groups=2)
    assert layer.weight_shapes((None, None, 4)) == {"kernel": (3, 2, 6), "bias": (6,)}
    assert layer.parameter_formula((None, None, 4)) == "kernel_size*features*filters/groups + filters = 3*4*6/2 + 6"
    assert Conv1D(6, 3, use_bias=False).weight_shapes((None, None, 4)) == {"kernel": (3, 4, 6)}


def test_moving_statistics_are_weights_that_no_optimizer_changes():
    spec = Sequential([BatchNormalization(center=False, name="bn")], input_shape=(None, 4))
    names = ["gamma", "moving_mean", "moving_variance"]
    assert spec.weight_shapes == {f"bn/{name}": (4,) for name in names}
    assert spec.trainable_weights == ("bn/gamma",)
    assert spec.statistics == ("bn/moving_mean", "bn/moving_variance")
    frozen = Sequential([BatchNormalization(trainable=False, name="bn")], input_shape=(None, 4))
    assert frozen.trainable_weights == ()
    assert from_json(spec.to_json()) == spec


def test_weights_of_a_depthwise_convolution_are_named_as_in_keras():
    layer = DepthwiseConv2D((3, 2), depth_multiplier=5)
    assert layer.weight_shapes(IMAGE) == {"kernel": (3, 2, 4, 5), "bias": (20,)}
    assert layer.owner("kernel") == (layer, "depthwise")
    assert "= 3*2*4*5 + 4*5" in layer.parameter_formula(IMAGE)


@pytest.mark.parametrize(
    ("layer", "weights", "formula"),
    [
        (Attention(), {}, ""),
        (Attention(True), {"scale": ()}, "scale = 1"),
        (
            Attention(True, "concat"),
            {"scale": (), "concat_score_weight": ()},
            "scale + concat_score_weight = 1 + 1",
        ),
        (AdditiveAttention(), {"scale": (4,)}, "features = 4"),
        (AdditiveAttention(False), {}, ""),
    ],
    ids=repr,
)
def test_weights_of_an_attention(layer, weights, formula):
    assert layer.weight_shapes(SHAPE) == weights
    assert layer.parameter_formula(SHAPE) == formula


@pytest.mark.parametrize("argument", ["use_causal_mask", "return_attention_scores"])
def test_refuses_an_argument_of_the_call_of_an_attention(argument):
    x = Input((6, 4))
    text = Model(x, Attention(name="attention")([x, x])).to_json()
    given = text.replace('"kwargs": {}', f'"kwargs": {{"{argument}": false}}')
    assert given != text
    assert from_json(given) == from_json(text)
    with pytest.raises(SpecError, match=f"layer 'attention', call 0: {argument}: given True; expected False"):
        from_json(given.replace(f'"{argument}": false', f'"{argument}": true'))


def test_dropout_masks():
    (mask,) = SpatialDropout1D(0.4).dropout_masks("d", (2, None, 4))
    assert (mask.name, mask.rate, mask.shape) == ("d", 0.4, (2, 1, 4))
    (mask,) = TimeDistributed(SpatialDropout1D(0.4)).dropout_masks("t", (2, 6, 3, 4))
    assert (mask.name, mask.shape) == ("t", (2, 6, 1, 4))
    assert not list(SpatialDropout1D(0.0).dropout_masks("d", (2, 6, 4)))


EARLY, LATE = np.array([[1, 1, 0], [1, 0, 0]], bool), np.array([[0, 1, 0], [0, 0, 1]], bool)
X = np.zeros((2, 3, 4))


@pytest.mark.parametrize("layer", [Add(), Multiply(), Maximum()], ids=repr)
def test_a_merge_keeps_a_timestep_that_any_input_keeps_if_all_have_masks(layer):
    np.testing.assert_array_equal(layer.output_mask([X, X], [EARLY, LATE]), EARLY | LATE)
    assert layer.output_mask([X, X], [EARLY, None]) is None


@pytest.mark.parametrize("axis", [1, -2])
def test_masks_are_joined_along_the_timesteps(axis):
    layer = Concatenate(axis)
    np.testing.assert_array_equal(layer.output_mask([X, X], [EARLY, LATE]), np.hstack([EARLY, LATE]))
    np.testing.assert_array_equal(layer.output_mask([X, X], [None, LATE]), np.hstack([np.ones_like(LATE), LATE]))
    assert layer.output_mask([X, X], [None, None]) is None


DROP = [Flatten(), Reshape((4, 3)), Permute((2, 1)), ZeroPadding1D(), Cropping1D(), UpSampling1D(), Conv1D(2, 2)]
DROP += [MaxPooling1D(), AveragePooling1D(), GlobalMaxPooling1D(), GlobalAveragePooling1D(), GetItem((...,))]


@pytest.mark.parametrize("layer", DROP, ids=repr)
def test_drops_the_mask(layer):
    assert layer.output_mask([X], [EARLY]) is None


@pytest.mark.parametrize(
    "layer", [ReLU(), LeakyReLU(), ELU(), SpatialDropout1D(0.5), GaussianNoise(0.5), PReLU()], ids=repr
)
def test_passes_the_mask_on(layer):
    assert layer.output_mask([X], [EARLY]) is EARLY


@pytest.mark.parametrize("layer", [Attention(), AdditiveAttention()], ids=repr)
def test_an_attention_has_the_mask_of_its_query(layer):
    assert layer.output_mask([X, X], [EARLY, LATE]) is EARLY
    assert layer.output_mask([X, X], [None, LATE]) is None
    assert Dot(1).output_mask([X, X], [EARLY, LATE]) is None


def test_softmax_refuses_a_mask():
    with pytest.raises(InputError, match="Keras's Softmax reads as a mask of features; use Activation"):
        Softmax().output_mask([X], [EARLY])
    assert Softmax().output_mask([X], [None]) is None


@pytest.mark.parametrize("layer", DISTRIBUTED, ids=lambda layer: layer.__name__)
def test_the_layers_of_a_time_distributed_have_no_state_and_one_input(layer):
    assert layer.state_names.fget(None) == ()
    assert layer.output_shapes is Dense.output_shapes


def test_keras_json_holds_sizes_as_lists():
    spec = Sequential(
        [Conv1D(4, 3, padding="causal", dilation_rate=2), MaxPooling1D(2), ZeroPadding1D((1, 0)), Reshape((-1, 2))],
        input_shape=(6, 4),
    )
    text = spec.to_json()
    assert '"kernel_size": [3]' in text
    assert '"padding": [1, 0]' in text
    assert from_json(text) == spec
