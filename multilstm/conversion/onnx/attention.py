"""Attention and AdditiveAttention as nodes of ONNX."""

from __future__ import annotations

import numpy as np

from multilstm.conversion.onnx.layers import Given, write
from multilstm.conversion.onnx.nodes import Scope, Value
from multilstm.spec import AdditiveAttention, Attention

__all__: list[str] = []  # the functions are registered with `write`


@write.register
def _(layer: Attention, given: Given) -> str:
    if layer.score_mode == "concat":
        return _attention(given, inner="scale", outer="concat_score_weight", concat=True)
    return _attention(given, inner="", outer="scale", concat=False)


@write.register
def _(layer: AdditiveAttention, given: Given) -> str:
    return _attention(given, inner="", outer="scale", concat=True)


def _attention(given: Given, inner: str, outer: str, concat: bool) -> str:
    """Return the mean of the values by the softmax of their scores; 0 for a masked query, and without any value.

    Args:
        given: the call, with the inputs query, value, and the key where it is another tensor.
        inner: the name of the weight inside of the tanh; a name that the layer lacks means 1.
        outer: the name of the weight of the scores, or of each feature.
        concat: whether scores are sums of tanh(query + key), instead of products.
    """
    scope, (query_mask, value_mask) = given.scope, given.masks[:2]
    query, value = (_kept(scope, x, mask) for x, mask in zip(given.inputs[:2], (query_mask, value_mask), strict=True))
    key = value if len(given.inputs) == 2 else _kept(scope, given.inputs[2], value_mask)
    if concat:
        sums = scope("Add", scope.expanded(query, 2), scope.expanded(key, 1))  # [batch, queries, keys, features]
        values = scope("Tanh", _times(given, sums, inner))
        scores = scope.reduced("ReduceSum", _times(given, values, outer), 3)
    else:
        scores = _times(given, scope("MatMul", query, scope.transposed(key, 0, 2, 1)), outer)
    if value_mask is None:
        shares = scope("Softmax", scores, axis=-1)
    else:
        keep = scope.expanded(value_mask, 1)
        lowest = scope.number(float(np.finfo(scope.nodes.dtype).min))
        shares = scope("Softmax", scope("Where", keep, scores, lowest), axis=-1)
        shares = scope("Where", keep, shares, scope.number(0.0))
    return _kept(scope, scope("MatMul", shares, value), query_mask)


def _times(given: Given, x: str, name: str) -> str:
    """Return a tensor times a weight, if the layer has it."""
    return given.scope("Mul", x, given.scope.weight(name, given.weights[name])) if name in given.weights else x


def _kept(scope: Scope, x: object, mask: Value | None) -> str:
    """Return a tensor with 0 at the masked timesteps."""
    return str(x) if mask is None else scope("Where", scope.expanded(mask, 2), x, scope.number(0.0))
