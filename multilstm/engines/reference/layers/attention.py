"""Attention of the reference: a softmax of the scores of queries and keys, and the way back by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from multilstm.engines.reference.layers.base import Applied, Given, Gradients, Maybe, apply, present
from multilstm.spec import AdditiveAttention, Attention
from multilstm.spec.arrays import Array

# Maps the gradient of scores to those of the query, the key and the weights.
Back = Callable[[Array], tuple[Array, Array, dict[str, Array]]]


@apply.register
def _(layer: Attention, given: Given) -> Applied:
    """Score by products; with `concat`, by `concat_score_weight * sum(tanh(scale * (query + key)))`."""
    if layer.score_mode == "dot":
        return _attention(given, _products)
    names = {"inner": "scale", "outer": "concat_score_weight"}
    return _attention(given, lambda query, key, weights: _sums(query, key, weights, **names))


@apply.register
def _(layer: AdditiveAttention, given: Given) -> Applied:
    """Score by `sum(scale * tanh(query + key))`."""
    return _attention(given, lambda query, key, weights: _sums(query, key, weights, inner="", outer="scale"))


def _products(query: Array, key: Array, weights: dict[str, Array]) -> tuple[Array, Back]:
    """Return `scale * query @ key^T`, `[batch, queries, keys]`, and the way back."""
    products = query @ key.swapaxes(1, 2)
    scale = weights.get("scale", np.ones(()))

    def back(d: Array) -> tuple[Array, Array, dict[str, Array]]:
        d_products = d * scale
        d_weights = {name: np.asarray((d * products).sum()) for name in weights}
        return d_products @ key, d_products.swapaxes(1, 2) @ query, d_weights

    return scale * products, back


def _sums(query: Array, key: Array, weights: dict[str, Array], inner: str, outer: str) -> tuple[Array, Back]:
    """Return `sum(outer * tanh(inner * (query + key)))` over the features, `[batch, queries, keys]`, and the way back.

    Args:
        query: `[batch, queries, features]`.
        key: `[batch, keys, features]`.
        weights: the layer's weights by name.
        inner: the name of a weight, which is 1 if the layer lacks it.
        outer: likewise.
    """
    sums = query[:, :, None] + key[:, None]
    inside, outside = weights.get(inner, np.ones(())), weights.get(outer, np.ones(()))
    values = np.tanh(inside * sums)

    def back(d: Array) -> tuple[Array, Array, dict[str, Array]]:
        d_inside = d[..., None] * outside * (1.0 - values**2)
        terms = {inner: d_inside * sums, outer: d[..., None] * values}
        d_weights = {name: terms[name].sum(axis=tuple(range(4 - weight.ndim))) for name, weight in weights.items()}
        d_sums = d_inside * inside
        return d_sums.sum(axis=2), d_sums.sum(axis=1), {name: np.asarray(term) for name, term in d_weights.items()}

    return (outside * values).sum(axis=-1), back


def _attention(given: Given, score: Callable[[Array, Array, dict[str, Array]], tuple[Array, Back]]) -> Applied:
    """Return the call of an attention; a query timestep that is masked, or for which no value is left, gets 0."""
    query_mask, value_mask = given.masks[:2]
    query, value = _kept(given.inputs[0], query_mask), _kept(given.inputs[1], value_mask)
    key = _kept(given.inputs[-1], value_mask)
    scores, back = score(query, key, dict(given.weights))
    shares = _softmax(scores, value_mask)

    def backward(gradients: list[Maybe]) -> Gradients:
        d = _kept(present(gradients[0]), query_mask)
        d_shares = d @ value.swapaxes(1, 2)
        d_scores = shares * (d_shares - (shares * d_shares).sum(axis=-1, keepdims=True))
        d_query, d_key, d_weights = back(d_scores)
        d_value = shares.swapaxes(1, 2) @ d
        d_values = [d_value, d_key] if len(given.inputs) == 3 else [d_value + d_key]
        return Gradients([d_query, *d_values], d_weights)

    return Applied([_kept(shares @ value, query_mask)], backward)


def _softmax(scores: Array, mask: Maybe) -> Array:
    """Return the softmax over the values that a mask `[batch, values]` keeps, and 0 for all others."""
    keep = np.ones(scores.shape, bool) if mask is None else np.broadcast_to(mask[:, None], scores.shape)
    largest = scores.max(axis=-1, keepdims=True, where=keep, initial=-np.inf)
    powers = np.exp(np.where(keep, scores - np.where(keep.any(axis=-1, keepdims=True), largest, 0.0), -np.inf))
    total = powers.sum(axis=-1, keepdims=True)
    shares: Array = powers / np.where(total > 0, total, 1.0)
    return shares


def _kept(x: Array, mask: Maybe) -> Array:
    """Return an array with 0 at the masked timesteps."""
    return x if mask is None else np.where(mask[..., None], x, 0.0)
