"""Layers around an LSTM: one model a family of layers, in which the output of each layer is an output of the model.

So one compiled program tests many layers, and a comparison names the layer that differs. An LSTM or a Dense layer is
below each of them, so that the gradient of their inputs matters.

A model with masks meets several kinds of mask. Unless `full`, one kind has gradients and training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from multilstm.cases.case import Case
from multilstm.cases.random_batches import PADDING, RandomBatches, shortened, trainable
from multilstm.spec import (
    ELU,
    GRU,
    L1,
    L2,
    LSTM,
    Activation,
    ActivityRegularization,
    Add,
    AdditiveAttention,
    AlphaDropout,
    Attention,
    Average,
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Conv2D,
    Cropping1D,
    Dense,
    DepthwiseConv2D,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GetItem,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    Graph,
    Input,
    LayerNormalization,
    LeakyReLU,
    Masking,
    Maximum,
    MaxPooling1D,
    MaxPooling2D,
    Minimum,
    Model,
    Multiply,
    NonNeg,
    Normalization,
    Permute,
    PReLU,
    ReLU,
    RepeatVector,
    Rescaling,
    Reshape,
    Sequential,
    SimpleRNN,
    Softmax,
    SpatialDropout1D,
    SpatialDropout2D,
    Subtract,
    TimeDistributed,
    UnitNormalization,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from multilstm.spec.optimizers import Adam

BATCH, TIMESTEPS, FEATURES = 3, 6, 4
ALL = slice(None)
UNMASKED = 99.0  # a mask_value that no input has


def layers(full: bool = False) -> Iterator[Case]:
    """Yield the cases of all models."""
    for number, (name, (make, kinds)) in enumerate(MODELS.items()):
        spec = make()
        for place, kind in enumerate(kinds):
            by_value = kind != "none"
            data = RandomBatches(spec, BATCH, TIMESTEPS, 1, kind, by_value, seed=9000 + 10 * number + place)
            suffix = "" if kind == "none" else f"-mask-{kind}"
            case = trainable(f"layer-{name}{suffix}", f"{name.replace('_', ' ')}, mask {kind}", data, Adam(), number)
            yield case if full else shortened(case, place == len(kinds) - 1)


def _structure() -> Graph:
    x = Input((TIMESTEPS, FEATURES))
    y = LSTM(4, return_sequences=True)(x)
    single = [Flatten(), Reshape((-1, 3)), Permute((2, 1)), ZeroPadding1D((1, 2)), Cropping1D((2, 1)), UpSampling1D(3)]
    single += [GetItem((ALL, -1)), GetItem((ALL, slice(1, None, 2), None, slice(-3, 3))), GetItem((..., 0))]
    last = Reshape((2, 2))(LSTM(4)(x))
    return Model(x, [*(layer(y) for layer in single), last])


def _activation() -> Graph:
    x = Input((TIMESTEPS, FEATURES))
    y = Dense(5)(LSTM(3, return_sequences=True)(Dense(FEATURES)(x)))
    kinds = [
        *(ReLU(), ReLU(max_value=0.3), ReLU(negative_slope=0.2), ReLU(0.5, 0.1, 0.2), ReLU(threshold=0.1)),
        *(LeakyReLU(), LeakyReLU(0.05), ELU(), ELU(0.7), Softmax(), Softmax(1)),
    ]
    return Model(x, [kind(y) for kind in kinds])


def _merging() -> Graph:
    """Return all merges of two tensors with different masks, and of these with a third that has none.

    The masks of `early` and `late` differ by one timestep. The mask of `all_kept` is True everywhere.
    """
    x = Input((TIMESTEPS, FEATURES))
    early = Dense(3)(Masking(PADDING)(Cropping1D((0, 1))(x)))
    late = Dense(3)(Masking(PADDING)(Cropping1D((1, 0))(x)))
    all_kept = Dense(3)(Masking(UNMASKED)(Cropping1D((1, 0))(x)))
    free = Dense(3)(Cropping1D((1, 0))(x))
    one = Dense(1)(Masking(PADDING)(Cropping1D((0, 1))(x)))  # one feature, which is repeated
    merges = [Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate]
    two = [merge()([early, late]) for merge in merges]
    more = [merge()([late, free]) for merge in (Multiply, Maximum, Minimum)]
    more += [merge()([early, free, late]) for merge in (Add, Multiply, Average, Maximum)]
    more += [Minimum()([free, early, late]), Maximum()([early, late, all_kept]), Maximum()([late, all_kept])]
    more += [Add()([one, late]), Multiply()([late, one]), Concatenate(1)([early, late]), Concatenate(-2)([late, free])]
    without_mask = [ZeroPadding1D(0), GetItem((...,))]
    return Model(x, [*two, *more, *(LSTM(2)(layer(two[0])) for layer in without_mask)])


def _attention() -> Graph:
    """Return attentions with masks of query and value, of which no row is fully masked, and products of tensors."""
    x = Input((TIMESTEPS, FEATURES))
    query = Dense(3)(Masking(PADDING)(Cropping1D((0, 2))(x)))
    value = Dense(3)(Masking(PADDING)(x))
    key = Dense(3)(x)
    flat = Dense(3)(LSTM(2)(x))
    kinds = [
        *(Attention(), Attention(use_scale=True), Attention(score_mode="concat"), Attention(True, "concat")),
        *(AdditiveAttention(), AdditiveAttention(use_scale=False)),
    ]
    three = [kind([key, value, key]) for kind in (Attention(True), AdditiveAttention())]
    dots = [Dot(2)([query, value]), Dot((2, 1))([query, Reshape((3, 6))(value)]), Dot(-1, normalize=True)([key, value])]
    dots += [Dot((1, 2))([flat, key]), Dot((-1, 1))([key, flat]), Dot(1, normalize=True)([flat, Dense(3)(flat)])]
    dots += [
        Dot((1, 1))([Reshape((TIMESTEPS, 3, 1))(key), value]),
        Dot(-1)([flat, Reshape((2, 3, 3))(Dense(18)(flat))]),
    ]
    state = LSTM(2)(Attention()([query, value]))  # under the mask of the query
    return Model(x, [*(kind([query, value]) for kind in kinds), *three, Attention()([value, key]), *dots, state])


def _pooling() -> Graph:
    x = Input((TIMESTEPS, FEATURES))
    y = Dense(3)(Masking(PADDING)(x))
    pools = [
        *(MaxPooling1D(), MaxPooling1D(3, 2), MaxPooling1D(3, 2, "same"), MaxPooling1D(2, 3, "same")),
        *(AveragePooling1D(), AveragePooling1D(3, 1), AveragePooling1D(3, 2, "same"), AveragePooling1D(4, 1, "same")),
        *(GlobalAveragePooling1D(), GlobalAveragePooling1D(keepdims=True)),
        *(GlobalMaxPooling1D(), GlobalMaxPooling1D(keepdims=True)),
    ]
    outputs = [pool(y) for pool in pools]
    return Model(x, [*outputs, LSTM(2)(outputs[0])])


def _convolution() -> Graph:
    x = Input((TIMESTEPS, FEATURES))
    y = LSTM(4, return_sequences=True)(x)
    convolutions = [
        *(Conv1D(3, 2), Conv1D(3, 3, padding="same"), Conv1D(2, 3, 2, "same"), Conv1D(2, 4, 3)),
        *(Conv1D(2, 3, padding="causal"), Conv1D(2, 2, 2, "causal"), Conv1D(3, 2, padding="causal", dilation_rate=2)),
        *(Conv1D(3, 2, padding="same", dilation_rate=3), Conv1D(4, 3, groups=2, activation="tanh")),
        Conv1D(3, 3, activation="gelu", use_bias=False),
    ]
    return Model(x, [convolution(y) for convolution in convolutions])


def _normalization() -> Graph:
    """Return all normalizations; a bias below one of the batch would have no gradient but rounding."""
    x = Input((TIMESTEPS, FEATURES))
    y = Dense(3, "tanh")(Masking(PADDING)(x))
    shared = BatchNormalization(momentum=0.7, name="shared")
    kinds = [
        *(BatchNormalization(momentum=0.9), BatchNormalization(center=False, epsilon=0.1)),
        *(BatchNormalization(scale=False, beta_constraint=NonNeg()), BatchNormalization(gamma_regularizer=L2(0.1))),
        BatchNormalization(2, trainable=False),
        *(LayerNormalization(), LayerNormalization(epsilon=0.1, scale=False), LayerNormalization(1, center=False)),
        *(LayerNormalization((1, 2)), LayerNormalization(gamma_regularizer=L2(0.1))),
    ]
    sequence = LSTM(2, return_sequences=True)(Cropping1D(1)(y))  # without a mask
    free = BatchNormalization(momentum=0.8)(Dense(2, use_bias=False)(sequence))
    flat = BatchNormalization(momentum=0.5)(Dense(3, use_bias=False)(Flatten()(x)))
    twice = shared(Dense(3, use_bias=False)(shared(y)))
    return Model(x, [*(kind(y) for kind in kinds), free, flat, twice])


def _images() -> Graph:
    """Return the layers of images, above an LSTM: each sequence as one of 6 rows, 5 columns and 4 channels."""
    x = Input((TIMESTEPS, FEATURES))
    y = Reshape((TIMESTEPS, 5, 4))(Dense(20)(LSTM(3, return_sequences=True)(x)))
    kinds = [
        *(Conv2D(3, 2), Conv2D(2, (3, 2), padding="same", activation="tanh"), Conv2D(2, 3, (2, 1), "same")),
        *(Conv2D(4, 2, groups=2, use_bias=False), Conv2D(2, (2, 1), dilation_rate=(2, 3))),
        *(DepthwiseConv2D(2), DepthwiseConv2D(3, 2, "same", 2), DepthwiseConv2D((2, 3), depth_multiplier=3)),
        *(ZeroPadding2D(), ZeroPadding2D(((1, 0), (2, 3))), MaxPooling2D(), MaxPooling2D((3, 2), 2, "same")),
        *(AveragePooling2D((2, 3)), AveragePooling2D(2, (2, 1), "same")),
        *(GlobalAveragePooling2D(), GlobalMaxPooling2D(), GlobalAveragePooling2D(keepdims=True)),
        *(TimeDistributed(Conv1D(2, 2)), BatchNormalization(momentum=0.8)),
    ]
    return Model(x, [kind(y) for kind in kinds])


def _time_distributed() -> Graph:
    """Return layers inside of a TimeDistributed; its timesteps hold 6 rows of 2 features."""
    x = Input((TIMESTEPS, FEATURES))
    y = Reshape((TIMESTEPS, 6, 2))(Dense(12)(LSTM(3, return_sequences=True)(x)))
    inner = [
        *(Dense(2, "tanh"), Activation("sigmoid"), LeakyReLU(), Dropout(0.4), SpatialDropout1D(0.3)),
        *(Flatten(), Reshape((3, 4)), Permute((2, 1)), ZeroPadding1D(1), Cropping1D((1, 2)), UpSampling1D(2)),
        *(Conv1D(3, 2, activation="relu"), MaxPooling1D(2), AveragePooling1D(3, 2, "same")),
        *(GlobalAveragePooling1D(), GlobalMaxPooling1D(), Softmax(), LayerNormalization()),
    ]
    repeated = TimeDistributed(RepeatVector(2))(Dense(2)(x))
    images = TimeDistributed(Reshape((3, 2, 2)))(y)
    kinds = [Conv2D(2, 2), DepthwiseConv2D(2), ZeroPadding2D(), MaxPooling2D(2), AveragePooling2D((2, 1))]
    kinds += [GlobalAveragePooling2D(), GlobalMaxPooling2D(), BatchNormalization(momentum=0.8)]
    return Model(x, [*(TimeDistributed(layer)(y) for layer in inner), repeated,
                     *(TimeDistributed(layer)(images) for layer in kinds)])  # fmt: skip


def _sentences() -> Graph:
    """Return a document of sentences: an Embedding and recurrent layers inside of a TimeDistributed."""
    tokens = Input((TIMESTEPS, 5), dtype="int32")
    words = TimeDistributed(Embedding(7, 3))(tokens)
    inner = [
        *(LSTM(3, recurrent_activation="hard_sigmoid"), GRU(2, go_backwards=True), SimpleRNN(2, "relu")),
        *(Bidirectional(LSTM(2)), Bidirectional(GRU(2, reset_after=False, return_sequences=True), "sum")),
    ]
    sentences = [TimeDistributed(layer)(words) for layer in inner]
    last = LSTM(3)(Concatenate()(sentences[:4]))
    return Model(tokens, [last, *sentences, TimeDistributed(LSTM(2))(Embedding(7, 2)(tokens))])


def _masked_words() -> Graph:
    """Return a document of sentences whose models mask words, and layers whose masks a TimeDistributed loses."""
    tokens = Input((TIMESTEPS, 5), dtype="int32")
    words = Sequential([Embedding(7, 3, mask_zero=True), Dense(3, "tanh"), GRU(3)], (None,), input_dtype="int32")
    word = Input((5,), dtype="int32")
    table = Embedding(7, 2, mask_zero=True)(word)
    forward = LSTM(2, return_sequences=True, name="forward")(table)
    backward = LSTM(2, go_backwards=True, kernel_regularizer=L2(0.1), name="backward")(table)
    both = Concatenate()([LSTM(2, name="top")(forward), backward, GlobalMaxPooling1D()(forward)])
    sentence = TimeDistributed(Model(word, both, name="sentence"), name="sentences")(tokens)
    zeros = TimeDistributed(Masking())(TimeDistributed(Embedding(7, 2, mask_zero=True))(tokens))
    pages = Reshape((3, 2, 5))(tokens)
    page = Sequential([TimeDistributed(words), LSTM(2)], (2, 5), input_dtype="int32", name="page")
    documents = [TimeDistributed(words, name="documents")(tokens), TimeDistributed(page, name="pages")(pages)]
    nested = TimeDistributed(TimeDistributed(words), name="nested")(pages)
    outputs = [LSTM(2)(layer) for layer in (sentence, TimeDistributed(LSTM(2))(zeros), *documents)]
    return Model(tokens, [*outputs, sentence, nested])


def _noise() -> Graph:
    """Return layers that are given noise in training, and layers with a number or a slope for each feature."""
    x = Input((TIMESTEPS, FEATURES))
    y = Dense(4)(LSTM(3, return_sequences=True)(x))
    noises = [GaussianNoise(0.2), GaussianDropout(0.3), AlphaDropout(0.3), ActivityRegularization(0.01, 0.02)]
    noises += [Dense(2, activity_regularizer=L2(0.1)), Conv1D(2, 2, activity_regularizer=L1(0.1))]
    slopes = [PReLU(), PReLU(shared_axes=(1,), alpha_regularizer=L2(0.1)), Rescaling(0.5, -1.0)]
    others = [Rescaling((1.0, 2.0, 3.0, 4.0), (0.1, 0.2, 0.3, 0.4)), UnitNormalization(), UnitNormalization((1, 2))]
    others += [Normalization(), Normalization((1, 2), invert=True), Normalization(None, 0.5, 4.0)]
    others += [Normalization(-1, (0.1, 0.2, 0.3, 0.4), (1.0, 2.0, 3.0, 4.0), invert=True)]
    inside = [TimeDistributed(layer) for layer in (GaussianNoise(0.3), AlphaDropout(0.2), PReLU())]
    image = Reshape((TIMESTEPS, 2, 2))(y)
    images = [SpatialDropout2D(0.4)(image), SpatialDropout2D(0.4, seed=3)(image)]
    return Model(x, [*(layer(y) for layer in (*noises, *slopes, *others, *inside)), *images])


def _text_model() -> Graph:
    """Return a common stack over sequences of any length, whose padding is found and then dropped."""
    stack = [Masking(PADDING), SpatialDropout1D(0.3), Conv1D(5, 3, padding="same", activation="relu"), MaxPooling1D(2)]
    return Sequential([*stack, LSTM(4, dropout=0.2), Dense(2, "softmax")], input_shape=(None, FEATURES))


def _residual() -> Graph:
    """Return two LSTMs whose outputs are added; their masks pass on to a mean over the timesteps that count."""
    x = Input((None, FEATURES))
    masked = Masking(PADDING)(x)
    first = LSTM(4, return_sequences=True)(masked)
    second = LSTM(4, return_sequences=True)(first)
    return Model(x, [GlobalAveragePooling1D()(Add()([first, second])), Multiply()([first, second])])


MASKED = ("right", "left", "holes")
# By name: the model, and its kinds of mask; they are in the values of the input, where a Masking layer finds them.
MODELS: dict[str, tuple[Callable[[], Graph], tuple[str, ...]]] = {
    "structure": (_structure, ("none",)),
    "activation": (_activation, ("none",)),
    "merging": (_merging, MASKED),
    "attention": (_attention, MASKED),
    "pooling": (_pooling, ("right", "full_row")),
    "convolution": (_convolution, ("none",)),
    "normalization": (_normalization, ("right", "holes")),
    "images": (_images, ("none",)),
    "time_distributed": (_time_distributed, ("none",)),
    "sentences": (_sentences, ("none",)),
    "masked_words": (_masked_words, ("full_row",)),
    "text_model": (_text_model, MASKED),
    "residual": (_residual, (*MASKED, "full_row")),
    "noise": (_noise, ("none",)),
}
