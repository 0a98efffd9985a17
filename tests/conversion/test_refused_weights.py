"""Layers with weights that no module has: refused by name before their arrays are converted."""

import pytest
from safetensors import numpy as safetensors

from multilstm.errors import UnsupportedError
from multilstm.files.compiled import Compiled
from multilstm.spec import AdditiveAttention, Attention, BatchNormalization, Input, Model, PReLU, TimeDistributed
from multilstm.suite.targets import target_named
from multilstm.weights import discriminating_weights


def attention(x):
    return AdditiveAttention()([x, x])


@pytest.mark.unit
@pytest.mark.parametrize("target", ["torch", "flax-nnx", "flax-linen", "equinox", "haiku", "tf1"])
@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (PReLU(), "PReLU 'p_re_lu'"),
        (attention, "AdditiveAttention 'additive_attention'"),
        (TimeDistributed(BatchNormalization()), "TimeDistributed 'time_distributed'"),
    ],
    ids=["prelu", "attention", "distributed"],
)
def test_weights_without_a_counterpart_are_refused_by_their_layer(layer, name, target):
    x = Input((4, 3))
    spec = Model(x, layer(x))
    with pytest.raises(UnsupportedError, match=f"{name} cannot be converted because of"):
        target_named(target).files(spec, discriminating_weights(spec), Compiled())


@pytest.mark.unit
def test_a_weight_without_axes_has_none_in_the_files_of_scan():
    x = Input((4, 3))
    spec = Model(x, Attention(use_scale=True)([x, x]))
    files = target_named("scan").files(spec, discriminating_weights(spec), Compiled())
    assert {name: array.shape for name, array in safetensors.load(files[".safetensors"]).items()} == spec.weight_shapes
