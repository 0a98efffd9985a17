"""multilstm: does my LSTM give the same answers on every framework?

    >>> from multilstm import LSTM, Dense, Sequential, parity, run
    >>> spec = Sequential([LSTM(8), Dense(2, activation="softmax")], input_shape=(None, 5))
    >>> print(spec.summary())                                # shapes, parameters, states
    >>> result = run(spec, engine="jax-scan", inputs=x)      # outputs, and State(hidden, cell) of every LSTM
    >>> parity(spec, inputs=x).check()                       # every engine against the float64 reference
    >>> parity(load("model.keras"), inputs=x).check()        # a model from a file, with its weights

Importing this package imports no deep-learning framework; engines run in processes of their own. Each name is imported
at its first use, so that the command line handles signals before it imports anything large.
"""

from __future__ import annotations

import os
import sys

from multilstm.version import __version__

TYPE_CHECKING = False  # as in `typing`, whose import takes time
if TYPE_CHECKING:
    from multilstm.api import RunResult, convert, inference_models, migrate, parity, run
    from multilstm.errors import MultilstmError
    from multilstm.files import LoadedModel, Provenance, load
    from multilstm.spec import (
        ELU,
        GRU,
        L1,
        L1L2,
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
        ConvLSTM2D,
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
        MaxNorm,
        MaxPooling1D,
        MaxPooling2D,
        Minimum,
        MinMaxNorm,
        Model,
        Multiply,
        NonNeg,
        Normalization,
        OrthogonalRegularizer,
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
        UnitNorm,
        UnitNormalization,
        UpSampling1D,
        ZeroPadding1D,
        ZeroPadding2D,
        schedules,
    )
    from multilstm.spec.arrays import HiddenState, State
    from multilstm.spec.optimizers import SGD, Adam, AdamW, RMSprop
    from multilstm.weights.files import load_weights, save_weights
    from multilstm.weights.initializers import discriminating_weights, initial_weights
    from multilstm.weights.layout import gates

__all__ = [
    "ELU",
    "GRU",
    "L1",
    "L1L2",
    "L2",
    "LSTM",
    "SGD",
    "Activation",
    "ActivityRegularization",
    "Adam",
    "AdamW",
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
    "Graph",
    "HiddenState",
    "Input",
    "LayerNormalization",
    "LeakyReLU",
    "LoadedModel",
    "Masking",
    "MaxNorm",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "MinMaxNorm",
    "Minimum",
    "Model",
    "MultilstmError",
    "Multiply",
    "NonNeg",
    "Normalization",
    "OrthogonalRegularizer",
    "PReLU",
    "Permute",
    "Provenance",
    "RMSprop",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "RunResult",
    "Sequential",
    "SimpleRNN",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "State",
    "Subtract",
    "TimeDistributed",
    "UnitNorm",
    "UnitNormalization",
    "UpSampling1D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "__version__",
    "convert",
    "discriminating_weights",
    "gates",
    "inference_models",
    "initial_weights",
    "load",
    "load_weights",
    "migrate",
    "parity",
    "run",
    "save_weights",
    "schedules",
]

_MODULES = {
    "api": "RunResult convert inference_models migrate parity run",
    "errors": "MultilstmError",
    "files": "LoadedModel Provenance load",
    "spec": """
        Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
        AveragePooling2D BatchNormalization Bidirectional Concatenate Conv1D Conv2D ConvLSTM2D Cropping1D Dense
        DepthwiseConv2D Dot Dropout ELU Embedding Flatten GRU GaussianDropout GaussianNoise GetItem
        GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D Graph Input L1 L1L2
        L2 LSTM LayerNormalization LeakyReLU Masking MaxNorm MaxPooling1D MaxPooling2D Maximum MinMaxNorm
        Minimum Model Multiply NonNeg Normalization OrthogonalRegularizer PReLU Permute ReLU RepeatVector
        Rescaling Reshape Sequential SimpleRNN Softmax SpatialDropout1D SpatialDropout2D Subtract
        TimeDistributed UnitNorm UnitNormalization UpSampling1D ZeroPadding1D ZeroPadding2D schedules
    """,
    "spec.arrays": "HiddenState State",
    "spec.optimizers": "Adam AdamW RMSprop SGD",
    "weights.files": "load_weights save_weights",
    "weights.initializers": "discriminating_weights initial_weights",
    "weights.layout": "gates",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


def _forget_folder() -> None:
    """Take the current folder off the path of modules, where `python -m` puts it: its `numpy.py` is not ours.

    This acts before any other import, and only for `python -m multilstm`, and `python -m` with a module of the package.
    """
    if sys.flags.safe_path or sys.argv[:1] != ["-m"]:  # Python replaces `-m` before the first line of the module
        return
    module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        folder = ""
    if module.partition(".")[0] == "multilstm" and sys.path[0] in ("", folder):
        del sys.path[0]


_forget_folder()

if not TYPE_CHECKING:  # a type checker refuses unknown names

    def __getattr__(name: str) -> object:
        """Import a public name, or a part of the package, at its first use."""
        from importlib import import_module

        if name in _HOMES:
            value: object = getattr(import_module(f"multilstm.{_HOMES[name]}"), name)
        elif name in ("api", "errors", "spec", "weights"):
            value = import_module(f"multilstm.{name}")
        else:
            raise AttributeError(f"module 'multilstm' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, those that are not imported yet among them."""
    return sorted({*globals(), *__all__})
