"""Models that between them have every kind of source that conversion to Flax writes."""

import numpy as np

from multilstm.cases.model_case import model_case
from multilstm.spec import (
    GRU,
    LSTM,
    Attention,
    Average,
    AveragePooling1D,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Conv2D,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GlobalMaxPooling2D,
    Input,
    LayerNormalization,
    Masking,
    MaxPooling1D,
    MaxPooling2D,
    Model,
    RepeatVector,
    Rescaling,
    Sequential,
    SimpleRNN,
    TimeDistributed,
)


def _encoder_decoder():
    encoded, decoded = Input((None, 3), name="class"), Input((None, 4), name="def")
    _, hidden, cell = LSTM(5, return_state=True, name="encoder")(encoded)
    sequence = LSTM(5, return_sequences=True, name="decoder")(decoded, initial_state=[hidden, cell])
    return Model([encoded, decoded], Dense(2, activation="softmax", name="x" * 60)(sequence))


def _both_states():
    x = Input((None, 3), name="x")
    states = Bidirectional(LSTM(4, return_state=True), merge_mode="ave", name="encoder")(x)
    merged = Concatenate(name="hidden")([states[1], states[3]])
    decoded = Bidirectional(LSTM(4, return_sequences=True), merge_mode=None, name="decoder")(
        x, initial_state=states[1:]
    )
    both = Average(name="both")(decoded)
    return Model(x, [states[0], merged, both])


def _masked_states():
    x = Input((None, 3), name="x")
    masked = Masking(-1.0, name="masking")(x)
    _, hidden, cell = LSTM(4, return_state=True, name="encoder")(masked)
    decoded = LSTM(4, return_sequences=True, name="decoder")(masked, initial_state=[hidden, cell])
    return Model(x, GRU(3, name="last")(decoded))


def _products():
    x = Input((5, 3), name="x")
    sequence = LSTM(4, return_sequences=True, name="lstm")(Rescaling(0.5, 0.25, name="scaled")(x))
    keys = LSTM(4, return_sequences=True, name="keys")(x)
    mixed = Attention(name="attention")([sequence, sequence, keys])
    products = Dot(axes=(2, 2), name="products")([mixed, keys])
    return Model(x, [mixed, LSTM(2, name="last")(products), Dot(1, name="both")([keys, x])])


MODELS = {
    "products": _products(),
    "plain": Sequential([LSTM(4), Dense(2)], input_shape=(None, 3)),
    "encoder_decoder": _encoder_decoder(),
    "both_states": _both_states(),
    "masked_states": _masked_states(),
    "masks": Sequential(
        [
            *(Masking(-1.0), Bidirectional(LSTM(4, return_sequences=True), "sum", name="a" * 50)),
            *(GRU(3, return_sequences=True), SimpleRNN(2, go_backwards=True), Dense(2, name="b" * 70)),
        ],
        input_shape=(None, 3),
    ),
    "gru": Sequential(
        [
            *(GRU(3, return_sequences=True), GRU(4, reset_after=False, return_sequences=True)),
            *(GRU(2, use_bias=False, return_sequences=True, activation="relu"), Bidirectional(GRU(3), "mul")),
        ],
        input_shape=(None, 3),
    ),
    "activations": Sequential(
        [
            LSTM(3, "leaky_relu", "hard_sigmoid_keras2", use_bias=False, return_sequences=True, go_backwards=True),
            *(SimpleRNN(3, "elu", use_bias=False), RepeatVector(2), Flatten(), Dense(2, "gelu")),
        ],
        input_shape=(None, 3),
    ),
    "normalization": Sequential(
        [
            *(LayerNormalization(center=False), Dropout(0.0), Bidirectional(LSTM(2, return_sequences=True), "ave")),
            *(BatchNormalization(), BatchNormalization(trainable=False), LSTM(2)),
        ],
        input_shape=(None, 3),
    ),
    "convolution": Sequential(
        [
            *(Embedding(9, 4), Conv1D(4, 3, strides=2, padding="same"), Conv1D(4, 2, padding="causal", groups=2)),
            *(AveragePooling1D(2, 1, padding="same"), MaxPooling1D(2), LSTM(3), Dense(2, "relu")),
        ],
        input_shape=(16,),
        input_dtype="int32",
    ),
    "images": Sequential(
        [
            *(TimeDistributed(Conv2D(3, 2, activation="tanh")), TimeDistributed(MaxPooling2D())),
            *(TimeDistributed(GlobalMaxPooling2D()), LSTM(3)),
        ],
        input_shape=(None, 5, 5, 2),
    ),
}


def case(name):
    """Return a case of a model, with masked timesteps where it has a Masking."""
    return model_case(MODELS[name], 2, 16 if name == "convolution" else 5, None)


def without_second_biases(spec, weights):
    """Set the second bias of the gates z and r of every GRU to zero."""
    for place, layer in spec.recurrent.items():
        if isinstance(layer, GRU) and layer.use_bias and layer.reset_after:
            bias = np.array(weights[f"{place}/bias"])
            bias[1, : 2 * layer.units] = 0
            weights[f"{place}/bias"] = bias
