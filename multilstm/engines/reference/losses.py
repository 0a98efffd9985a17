"""Losses of the reference, with their gradients."""

from __future__ import annotations

import numpy as np

from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import EPSILON


def loss_and_gradient(
    loss: str, output: Array, target: Array, mask: Array | None, of_logits: bool = False
) -> tuple[float, Array]:
    """Return the loss of one output, and its gradient with respect to that output.

    Over the last axis, with p = output / sum(output) and q = clip(p, 1e-7, 1 - 1e-7),

        categorical_crossentropy: -sum(target * log(q));    mean_squared_error: mean((output - target)**2)

    With `of_logits`, it is TensorFlow's softmax_cross_entropy_with_logits, whose gradient is softmax(output) - target.
    Then comes the mean over all values that the mask keeps (keras/src/losses/loss.py; keras/src/backend/numpy/nn.py).

    Args:
        loss: its name.
        output: `[batch, ..., features]`.
        target: of the same shape.
        mask: `[batch, timesteps]`, which acts on an output with one more dimension; or None.
        of_logits: whether `output` are the values before a softmax, see `multilstm.engines.reference.faults`.
    """
    keep = np.ones(output.shape[:-1], bool) if mask is None or mask.ndim != output.ndim - 1 else mask
    weight = keep / max(int(keep.sum()), 1)
    output = np.where(keep[..., None], output, 1.0)  # NaN times a weight of zero would be NaN
    target = np.where(keep[..., None], target, 1.0)
    if loss == "mean_squared_error":
        error = output - target
        values, gradient = (error**2).mean(axis=-1), 2.0 * error / output.shape[-1]
    else:
        values, gradient = (_of_logits if of_logits else _of_probabilities)(output, target)
    return float((values * weight).sum()), np.where(keep[..., None], gradient * weight[..., None], 0.0)


def _of_probabilities(output: Array, target: Array) -> tuple[Array, Array]:
    norm = output.sum(axis=-1, keepdims=True)
    p = output / norm
    q = np.clip(p, EPSILON, 1.0 - EPSILON)
    d_p = np.where(p == q, -target / q, 0.0)
    gradient: Array = (d_p - (d_p * p).sum(axis=-1, keepdims=True)) / norm
    return -(target * np.log(q)).sum(axis=-1), gradient


def _of_logits(output: Array, target: Array) -> tuple[Array, Array]:
    shifted = output - output.max(axis=-1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -(target * logarithms).sum(axis=-1), np.exp(logarithms) - target
