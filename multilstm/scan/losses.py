"""The losses of `spec.optimizers` as JAX functions, with Keras's clipping and Keras's mean over masked steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from multilstm.errors import InputError, choice
from multilstm.spec.optimizers import EPSILON, LOSSES


def loss_value(
    name: str, outputs: Sequence[jax.Array], targets: Sequence[jax.Array], masks: Sequence[jax.Array | None]
) -> jax.Array:
    """Return the sum of the losses of all outputs, as Keras's `compile(loss=name)`.

    `categorical_crossentropy`: `p = output / sum(output)`, clipped to [1e-7, 1 - 1e-7], and `-sum(target * log(p))`
    over the last axis; targets need not sum to 1. `mean_squared_error`: the mean of `(output - target)**2` over the
    last axis. Each loss is then the mean of these values over the batch and the timesteps. With a mask, it is the mean
    over the timesteps that count, or 0 if none does. Source: keras/src/losses/loss.py of Keras 3.15.1.

    Args:
        name: one of `multilstm.spec.optimizers.LOSSES`.
        outputs: the model's outputs, `[batch, ..., features]` each.
        targets: of the same shapes.
        masks: of each output, boolean, of its shape without the last axis, or None. NaN in a masked timestep has no
            effect.

    Raises:
        InputError: for an unknown loss, or targets or masks that do not fit the outputs.
    """
    check_loss(name)
    if len(targets) != len(outputs):
        raise InputError(f"loss: given {len(targets)} targets, expected one for each of the {len(outputs)} outputs")
    terms = [_mean(name, *each) for each in zip(outputs, targets, masks, strict=True)]
    return sum(terms[1:], start=terms[0])


def check_loss(name: Any) -> None:
    """Raise InputError for anything but the name of a loss."""
    if not isinstance(name, str) or name not in LOSSES:
        raise InputError(choice("loss", name, LOSSES))


def _mean(name: str, output: jax.Array, target: jax.Array, mask: jax.Array | None) -> jax.Array:
    target = jnp.asarray(target, output.dtype)
    if target.shape != output.shape:
        raise InputError(f"loss: a target has shape {target.shape}, expected the shape of its output, {output.shape}")
    if mask is None:
        values = _values(name, output, target)
        return values.mean() if values.size else values.sum()
    mask = jnp.asarray(mask)
    if mask.shape != output.shape[:-1] or mask.dtype != jnp.bool_:
        raise InputError(
            f"loss: a mask has dtype {mask.dtype} and shape {mask.shape}, expected bool and {output.shape[:-1]}, as "
            f"its output {output.shape} without the last axis"
        )
    # Masked before and after the loss: the derivative of a loss at NaN is NaN, and 0 * NaN is NaN.
    output, target = jnp.where(mask[..., None], output, 1), jnp.where(mask[..., None], target, 0)
    values = jnp.where(mask, _values(name, output, target), 0)
    return values.sum() / jnp.maximum(mask.sum(dtype=output.dtype), 1)


def _values(name: str, output: jax.Array, target: jax.Array) -> jax.Array:
    if name == "mean_squared_error":
        return jnp.square(output - target).mean(-1)
    share = jnp.clip(output / output.sum(-1, keepdims=True), EPSILON, 1 - EPSILON)
    return -(target * jnp.log(share)).sum(-1)
