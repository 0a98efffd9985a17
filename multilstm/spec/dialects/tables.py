"""The arguments of the layers of Keras 0.3 to 2 that Keras 3 names otherwise, as data.

The sources are keras/legacy/interfaces.py of Keras 2.2.4, the layers of Keras 1.2.2, and tf-keras 2.21. A class without
a row keeps its arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["ANY", "EVERYWHERE", "FLAGS", "MERGES", "RECURRENT", "REFUSED", "ROWS", "Renamed", "Row"]

ANY: tuple[Any, ...] = ()  # in `dropped`: every value


@dataclasses.dataclass(frozen=True)
class Renamed:
    """The name of an argument in Keras 3, and its values there where they differ.

    Attributes:
        name: in Keras 3.
        values: the values of the old argument, with those of the new; None: the same values.
    """

    name: str
    values: Mapping[Any, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """One class of an old Keras.

    Attributes:
        into: its class in Keras 3.
        renamed: its arguments that Keras 3 names otherwise.
        joined: arguments of Keras 3 that are lists of several old ones.
        dropped: its arguments that Keras 3 lacks, with the only values that are read; `ANY` for those without effect.
        noted: its arguments that act in training alone and are left out, with a note where they are not 0.
        added: the arguments of Keras 3 that say what the old class always did.
        note: the note of a model that has the class.
    """

    into: str
    renamed: Mapping[str, Renamed] = dataclasses.field(default_factory=dict)
    joined: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    dropped: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    noted: tuple[str, ...] = ()
    added: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    note: str = ""


def _renamed(**names: str) -> dict[str, Renamed]:
    return {old: Renamed(new) for old, new in names.items()}


def _of_weights(kernel: str = "kernel") -> dict[str, Renamed]:
    """Return the renames of a kernel `W` and a bias `b`."""
    return _renamed(
        init=f"{kernel}_initializer", bias="use_bias", W_regularizer=f"{kernel}_regularizer",
        b_regularizer="bias_regularizer", W_constraint=f"{kernel}_constraint", b_constraint="bias_constraint",
    )  # fmt: skip


_ORDER = {"dim_ordering": Renamed("data_format", {"tf": "channels_last", "th": "channels_first"})}
_BORDER = Renamed("padding")
_WINDOW = {**_ORDER, "border_mode": _BORDER}
_IMPLEMENTATION = {0: 1, 1: 1, 2: 2}
_RECURRENT: dict[str, Renamed] = {
    **_of_weights(),
    **_renamed(
        output_dim="units", inner_init="recurrent_initializer", inner_activation="recurrent_activation",
        U_regularizer="recurrent_regularizer", U_constraint="recurrent_constraint", dropout_W="dropout",
        dropout_U="recurrent_dropout",
    ),
    "consume_less": Renamed("implementation", {"cpu": 1, "mem": 1, "gpu": 2}),
    "implementation": Renamed("implementation", _IMPLEMENTATION),
    "forget_bias_init": Renamed("unit_forget_bias", {"one": True, "ones": True, "zero": False, "zeros": False}),
}  # fmt: skip
_RECURRENT_OF_ONE_WAY = {key: value for key, value in _RECURRENT.items() if value.name != "implementation"}
_RECURRENT_DROPPED: dict[str, tuple[Any, ...]] = {
    "input_dim": ANY, "input_length": ANY, "time_major": (False,), "truncate_gradient": (-1,), "ragged": (False,),
    "enable_caching_device": ANY, "num_constants": (None, 0),
}  # fmt: skip
_ONE_WAY: dict[str, tuple[Any, ...]] = {**_RECURRENT_DROPPED, "consume_less": ANY, "implementation": ANY}
_CONVOLUTION = {
    **_of_weights(),
    **_WINDOW,
    **_renamed(nb_filter="filters", filter_length="kernel_size", subsample="strides", subsample_length="strides"),
    "atrous_rate": Renamed("dilation_rate"),
}
_POOLING = {**_WINDOW, **_renamed(pool_length="pool_size", stride="strides")}
_CUDNN: dict[str, tuple[Any, ...]] = {**_RECURRENT_DROPPED, "implementation": ANY}
_INPUTS: dict[str, tuple[Any, ...]] = {"input_dim": ANY, "input_length": ANY}


def _dense(**more: Renamed) -> dict[str, Renamed]:
    return {**_of_weights(), **_renamed(output_dim="units"), **more}


ROWS: Mapping[str, Row] = {
    "InputLayer": Row("InputLayer", _renamed(input_dtype="dtype"), dropped={"trainable": ANY}),
    "LSTM": Row("LSTM", _RECURRENT, dropped=_RECURRENT_DROPPED),
    "GRU": Row("GRU", _RECURRENT, dropped=_RECURRENT_DROPPED),
    "SimpleRNN": Row("SimpleRNN", _RECURRENT_OF_ONE_WAY, dropped=_ONE_WAY),
    "CuDNNLSTM": Row(
        "LSTM",
        dropped=_CUDNN,
        added={"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True},
        note="CuDNNLSTM is an LSTM with tanh and sigmoid; its weights are laid out otherwise",
    ),
    "CuDNNGRU": Row(
        "GRU",
        dropped=_CUDNN,
        added={"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "reset_after": True},
        note="CuDNNGRU is a GRU with tanh, sigmoid and reset_after; its weights are laid out otherwise",
    ),
    "Bidirectional": Row("Bidirectional", dropped={**_INPUTS, "weights": (None,), "num_constants": (None, 0)}),
    "TimeDistributed": Row("TimeDistributed", dropped=_INPUTS),
    "Embedding": Row(
        "Embedding",
        {
            **_renamed(init="embeddings_initializer", W_regularizer="embeddings_regularizer"),
            **_renamed(W_constraint="embeddings_constraint"),
        },
        dropped={"input_length": ANY, "activity_regularizer": (None,)},
        noted=("dropout",),  # of whole tokens of the vocabulary
    ),
    "Dense": Row("Dense", _dense(), dropped=_INPUTS),
    "TimeDistributedDense": Row("Dense", _dense(), dropped=_INPUTS),
    "Activation": Row("Activation", dropped={"beta": ANY, "target": ANY, "activity_regularizer": (None,)}),
    "Dropout": Row("Dropout", _renamed(p="rate")),
    "SpatialDropout1D": Row("SpatialDropout1D", _renamed(p="rate"), dropped={"noise_shape": (None,)}),
    "SpatialDropout2D": Row("SpatialDropout2D", {**_renamed(p="rate"), **_ORDER}, dropped={"noise_shape": (None,)}),
    "GaussianDropout": Row("GaussianDropout", _renamed(p="rate")),
    "GaussianNoise": Row("GaussianNoise", _renamed(sigma="stddev")),
    "Convolution1D": Row("Conv1D", _CONVOLUTION, dropped=_INPUTS),
    "Conv1D": Row("Conv1D", _CONVOLUTION, dropped=_INPUTS),
    "AtrousConvolution1D": Row("Conv1D", _CONVOLUTION, dropped=_INPUTS),
    "Convolution2D": Row("Conv2D", _CONVOLUTION, joined={"kernel_size": ("nb_row", "nb_col")}),
    "Conv2D": Row("Conv2D", _CONVOLUTION, joined={"kernel_size": ("nb_row", "nb_col")}),
    "ConvLSTM2D": Row(
        "ConvLSTM2D",
        {**_RECURRENT_OF_ONE_WAY, **_CONVOLUTION},
        joined={"kernel_size": ("nb_row", "nb_col")},
        dropped=_ONE_WAY,
    ),
    "DepthwiseConv2D": Row("DepthwiseConv2D", dropped={"groups": (1,)}),
    "MaxPooling1D": Row("MaxPooling1D", _POOLING, dropped=_INPUTS),
    "AveragePooling1D": Row("AveragePooling1D", _POOLING, dropped=_INPUTS),
    "MaxPooling2D": Row("MaxPooling2D", _POOLING),
    "AveragePooling2D": Row("AveragePooling2D", _POOLING),
    "GlobalMaxPooling1D": Row("GlobalMaxPooling1D", dropped=_INPUTS),
    "GlobalAveragePooling1D": Row("GlobalAveragePooling1D", dropped=_INPUTS),
    "GlobalMaxPooling2D": Row("GlobalMaxPooling2D", _ORDER),
    "GlobalAveragePooling2D": Row("GlobalAveragePooling2D", _ORDER),
    "ZeroPadding2D": Row("ZeroPadding2D", _ORDER),
    "UpSampling1D": Row("UpSampling1D", _renamed(length="size"), dropped=_INPUTS),
    "Reshape": Row("Reshape", _renamed(dims="target_shape")),
    "Permute": Row("Permute"),
    "Flatten": Row("Flatten"),
    "RepeatVector": Row("RepeatVector"),
    "Attention": Row("Attention", dropped={"causal": (False,)}),
    "AdditiveAttention": Row("AdditiveAttention", dropped={"causal": (False,)}),
    "LeakyReLU": Row("LeakyReLU", _renamed(alpha="negative_slope")),
    "PReLU": Row("PReLU", _renamed(init="alpha_initializer")),
    "BatchNormalization": Row(
        "BatchNormalization",
        _renamed(beta_init="beta_initializer", gamma_init="gamma_initializer"),
        dropped={
            "mode": (0,), "fused": (None, True, False), "renorm": (False, None), "virtual_batch_size": (None,),
            "adjustment": (None,), "synchronized": (None, False),
        },
    ),
}  # fmt: skip
REFUSED: Mapping[str, str] = {
    "Highway": "Keras 2 and 3 have no such layer; write it with Dense, Multiply and Add, and save the model again",
    "MaxoutDense": "Keras 2 and 3 have no such layer; write it with Dense and Maximum, and save the model again",
}
# The layers of Keras 0 and 1 that `Merge` became, by its mode; `Merge` itself has these two arguments more.
MERGES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "sum": ("Add", {}),
    "mul": ("Multiply", {}),
    "concat": ("Concatenate", {"concat_axis": "axis"}),
    "ave": ("Average", {}),
    "max": ("Maximum", {}),
    "dot": ("Dot", {"dot_axes": "axes"}),
}
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "Bidirectional", "RNN", "ConvLSTM1D", "ConvLSTM2D", "CuDNNLSTM", "CuDNNGRU")
# Arguments of every layer: those of the input that a first layer brings with it, and those without effect.
EVERYWHERE: Mapping[str, tuple[Any, ...]] = {
    "input_dtype": ANY, "input_shape": ANY, "batch_input_shape": ANY, "weights": (None,), "cache_enabled": ANY,
    "custom_name": ANY, "sparse_input": (False,),
}  # fmt: skip
FLAGS = frozenset(
    {"use_bias", "return_sequences", "return_state", "go_backwards", "stateful", "unroll", "unit_forget_bias"}
    | {"mask_zero", "trainable", "center", "scale", "reset_after", "sparse"}
)
