"""Noise of the reference: in training it is given, by the name of the layer; else each layer is the identity."""

from __future__ import annotations

import numpy as np

from multilstm.engines.reference.layers.base import Applied, Given, apply, mapped
from multilstm.spec import AlphaDropout, GaussianDropout, GaussianNoise


@apply.register
def _(layer: GaussianNoise, given: Given) -> Applied:
    return mapped(given.inputs[0] + given.dropout.get(str(layer.name), 0.0), lambda d: d)


@apply.register
def _(layer: GaussianDropout, given: Given) -> Applied:
    factor = given.dropout.get(str(layer.name), 1.0)
    return mapped(given.inputs[0] * factor, lambda d: d * factor)


@apply.register
def _(layer: AlphaDropout, given: Given) -> Applied:
    """Saturate where the mask is 0, then scale and shift."""
    if str(layer.name) not in given.dropout:
        return mapped(given.inputs[0], lambda d: d)
    kept = given.dropout[str(layer.name)] != 0
    output = layer.scale * np.where(kept, given.inputs[0], layer.SATURATED) + layer.shift
    return mapped(output, lambda d: np.where(kept, layer.scale * d, 0.0))
