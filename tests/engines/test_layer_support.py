"""Which engine computes which layer: a table of the layers that an engine lacks, and of no others."""

import importlib

import keras
import pytest

from multilstm.errors import SpecError
from multilstm.spec import Dense
from multilstm.spec.arguments import ACTIVATIONS, KERAS3_LACKS, NOT_EXECUTED
from multilstm.spec.layers import LAYERS, InputLayer

LACKING: dict[str, set[str]] = {
    "reference": set(),
    "jax-scan": {"ConvLSTM2D"},
    "torch-lstm": {"ConvLSTM2D"},
    "keras": set(),
    "keras2": set(),
}
OPERATIONS = {"GetItem"}  # of Keras; `AbstractToolkit` calls them
RECURRENT = {"LSTM", "GRU", "SimpleRNN", "Bidirectional"}  # the walk of jax-scan and torch-lstm computes these itself
MODULES = {
    "reference": ("multilstm.engines.reference.layers", set()),
    "jax-scan": ("multilstm.scan.layers", RECURRENT),
    "torch-lstm": ("multilstm.engines.torch_lstm_layers", RECURRENT),
}


def computed(engine):
    """Return the names of the layers that an engine computes."""
    names = {layer.__name__ for layer in LAYERS if layer is not InputLayer}
    if engine in ("keras", "keras2"):
        layers = keras.layers if engine == "keras" else pytest.importorskip("tf_keras").layers
        return {name for name in names if hasattr(layers, name) or name in OPERATIONS}
    module, walked = MODULES[engine]
    return {layer.__name__ for layer in importlib.import_module(module).apply.registry} & names | walked


@pytest.mark.parametrize("engine", LACKING)
def test_an_engine_lacks_the_layers_of_the_table_and_no_others(engine):
    names = {layer.__name__ for layer in LAYERS if layer is not InputLayer}
    assert names - computed(engine) == LACKING[engine]


def test_a_family_of_layers_has_the_same_name_everywhere():
    families = {
        engine: {family.__name__.rpartition(".")[2] for family in importlib.import_module(module).FAMILIES}
        for engine, (module, _) in MODULES.items()
    }
    assert families["jax-scan"] == families["torch-lstm"] == families["reference"] - {"recurrent"}


def test_every_activation_of_keras_is_executed_or_refused_by_name():
    names = {function.__name__ for function in keras.src.activations.ALL_OBJECTS}
    assert set(NOT_EXECUTED) | set(ACTIVATIONS) - set(KERAS3_LACKS) == names
    with pytest.raises(
        SpecError, match="activation is 'celu' of Keras, which multilstm does not execute yet; give one"
    ):
        Dense(2, "celu")
