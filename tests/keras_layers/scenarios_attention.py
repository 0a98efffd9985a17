"""multilstm.keras_layers: Attention, AdditiveAttention and Dot compared with those of Keras."""

import keras
import numpy as np
from harness import normal, numpy, scenario

from multilstm import keras_layers

KINDS = ("Attention", "AdditiveAttention")
AXES = {"last": -1, "first": (1, 1), "other": (2, 1)}


def attended(module, kind, **call):
    """Return the outputs and the shares; in the second sequence, the first two timesteps of the value are masked."""
    layer = getattr(module, kind)(use_scale=True)
    query, value = normal(2, 4, 3, seed=1), normal(2, 4, 3, seed=2)
    mask = keras.ops.convert_to_tensor(np.array([[True] * 3 + [False], [False, False, True, True]]))
    layer.build([query.shape, value.shape])
    layer.set_weights([np.full(weight.shape, 0.7) for weight in layer.weights])
    return layer([query, value], mask=[None, mask], return_attention_scores=True, **call)


@scenario()
def attention_is_keras_own():
    found = {}
    for kind in KINDS:
        for causal in (False, True):
            for name, module in (("ours", keras_layers), ("plain", keras.layers)):
                output, shares = attended(module, kind, use_causal_mask=causal)
                found |= {f"{kind}_{causal}_{name}": numpy(output), f"{kind}_{causal}_{name}_shares": numpy(shares)}
    return found


@scenario()
def dot_is_keras_own():
    first, other = normal(2, 3, 3, seed=1), normal(2, 3, 3, seed=2)
    found = {}
    for name, axes in AXES.items():
        for module, words in ((keras_layers, "ours"), (keras.layers, "plain")):
            for inputs, rank in (([first, other], 3), ([first[:, 0], other[:, 1]], 2), ([first[:, 0], other], 5)):
                if rank == 3 or name == "last" or (rank == 2 and name == "first"):
                    dot = module.Dot(axes, normalize=True)
                    found[f"{name}_{rank}_{words}"] = numpy(dot([keras.ops.convert_to_tensor(x) for x in inputs]))
    return found
