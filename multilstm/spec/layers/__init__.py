"""Layers as plain data: Keras 3's names, arguments, order and defaults, checked when they are made.

Each class holds all properties of its layer: arguments, shapes of outputs, weights and states, the mask rule, dropout
masks and phrases of the summary. A new layer is a class in the file of its family and a row in `LAYERS`.

Calling one layer object twice shares its weights. The meaning of an argument is that of Keras's documentation
(https://keras.io/api/layers/recurrent_layers/lstm/). Arguments of Keras that multilstm does not execute yet are
accepted at their default and refused by name at any other value.
"""

from multilstm.spec.arguments import ACTIVATIONS
from multilstm.spec.initializer_names import BIAS_INITIALIZERS, INITIALIZERS
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from multilstm.spec.layers.attention import AdditiveAttention, Attention
from multilstm.spec.layers.conv_lstm import ConvLSTM2D
from multilstm.spec.layers.convolution import Conv1D, Conv2D, DepthwiseConv2D
from multilstm.spec.layers.core import (
    Activation,
    ActivityRegularization,
    Dense,
    Dropout,
    Embedding,
    Masking,
    Rescaling,
    SpatialDropout1D,
    SpatialDropout2D,
)
from multilstm.spec.layers.inner_model import InnerModel, makes_mask, wrapper_count
from multilstm.spec.layers.input import Input, InputLayer
from multilstm.spec.layers.merging import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from multilstm.spec.layers.noise import AlphaDropout, GaussianDropout, GaussianNoise
from multilstm.spec.layers.normalization import BatchNormalization, LayerNormalization, Normalization, UnitNormalization
from multilstm.spec.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from multilstm.spec.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from multilstm.spec.layers.structure import (
    Cropping1D,
    Flatten,
    GetItem,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from multilstm.spec.layers.wrappers import DISTRIBUTED, MERGE_MODES, RECURRENT, Bidirectional, TimeDistributed

LAYERS: tuple[type[Layer], ...] = (
    *(InputLayer, Embedding, Masking, *RECURRENT, Bidirectional, Dense, TimeDistributed, Dropout, SpatialDropout1D),
    *(SpatialDropout2D, GaussianNoise, GaussianDropout, AlphaDropout, Rescaling, ActivityRegularization),
    *(Activation, ReLU, LeakyReLU, PReLU, ELU, Softmax),
    *(RepeatVector, Flatten, Reshape, Permute, GetItem, ZeroPadding1D, Cropping1D, UpSampling1D),
    *(Concatenate, Add, Subtract, Multiply, Average, Maximum, Minimum, Dot),
    *(Attention, AdditiveAttention),
    *(MaxPooling1D, AveragePooling1D, GlobalMaxPooling1D, GlobalAveragePooling1D, Conv1D),
    *(LayerNormalization, BatchNormalization, UnitNormalization, Normalization),
    *(Conv2D, DepthwiseConv2D, ZeroPadding2D),
    *(MaxPooling2D, AveragePooling2D, GlobalMaxPooling2D, GlobalAveragePooling2D),
)

__all__ = [
    "ACTIVATIONS",
    "BIAS_INITIALIZERS",
    "DISTRIBUTED",
    "ELU",
    "GRU",
    "INITIALIZERS",
    "LAYERS",
    "LSTM",
    "MERGE_MODES",
    "RECURRENT",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "ConvLSTM2D",
    "Cropping1D",
    "Dense",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GetItem",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "InnerModel",
    "Input",
    "InputLayer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "Recurrent",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SimpleRNN",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "Subtract",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "makes_mask",
    "wrapper_count",
]
