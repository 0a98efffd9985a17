"""Attention of queries to values. A query timestep that is masked, or for which no value is left, gets 0."""

from __future__ import annotations

from typing import Any

import torch

from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.spec import AdditiveAttention, Attention


@apply.register
def _(layer: Attention, given: Given) -> Any:
    query, value, key = _inputs(given)
    scale = given.weight("scale") if layer.use_scale else 1.0
    if layer.score_mode == "dot":
        return _mean(given, (query @ key.swapaxes(1, 2)) * scale, value)
    values = torch.tanh(scale * (query[:, :, None] + key[:, None]))
    return _mean(given, given.weight("concat_score_weight") * values.sum(-1), value)


@apply.register
def _(layer: AdditiveAttention, given: Given) -> Any:
    query, value, key = _inputs(given)
    scale = given.weight("scale") if layer.use_scale else 1.0
    return _mean(given, (scale * torch.tanh(query[:, :, None] + key[:, None])).sum(-1), value)


def _inputs(given: Given) -> tuple[Any, Any, Any]:
    """Return query, value and key with 0 at masked timesteps; the mask of the value is that of the key."""
    query_mask, value_mask = given.masks[:2]
    return _kept(given.input, query_mask), _kept(given.inputs[1], value_mask), _kept(given.inputs[-1], value_mask)


def _mean(given: Given, scores: Any, value: Any) -> Any:
    """Return the mean of the value for each query timestep, by scores `[batch, queries, values]`."""
    query_mask, value_mask = given.masks[:2]
    if value_mask is None:
        shares = scores.softmax(-1)
    else:
        keep = value_mask[:, None]
        least = torch.finfo(scores.dtype).min  # finite, so that a row without a value has a gradient of 0
        shares = torch.where(keep, torch.where(keep, scores, least).softmax(-1), 0.0)
    return _kept(shares @ value, query_mask)


def _kept(x: Any, mask: Any) -> Any:
    return x if mask is None else torch.where(mask[..., None], x, 0.0)
