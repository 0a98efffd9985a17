"""Keras's layers of attention that no masked timestep reaches, and Dot whose gradient is finite."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops

_registered = keras.saving.register_keras_serializable(package="multilstm")


class _MaskedAttention:
    """The call of an attention whose queries get 0 where no value timestep is left."""

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Return the mean of the value for each query timestep, as Keras does, and 0 over no timestep.

        Keras subtracts 1e9 from masked scores. If all are masked, it attends to masked timesteps.
        """
        masks = [None, None] if mask is None else list(mask[:2])
        query, *values = inputs
        given = [_kept(query, masks[0]), *(_kept(value, masks[1]) for value in values)]
        attend: Any = super().call  # type: ignore[misc]
        output, scores = attend(given, mask, training, True, use_causal_mask)
        if masks[1] is not None:
            seen = ops.expand_dims(ops.cast(masks[1], "bool"), 1)
            if use_causal_mask:
                order = ops.arange(query.shape[1])[:, None] >= ops.arange(values[0].shape[1])
                seen = ops.logical_and(seen, order)
            reached = ops.any(seen, axis=-1, keepdims=True)
            output, scores = (ops.where(reached, array, ops.zeros_like(array)) for array in (output, scores))
        return (output, scores) if return_attention_scores else output


def _kept(array: Any, mask: Any) -> Any:
    """Return a tensor with 0 at the masked timesteps."""
    return array if mask is None else ops.where(ops.expand_dims(mask, -1), array, ops.zeros_like(array))


@final
@_registered
class Attention(_MaskedAttention, keras.layers.Attention):  # type: ignore[misc]
    """Keras's Attention that returns 0 for a sequence whose value timesteps are all masked.

    Args, call arguments, weights: those of `keras.layers.Attention`.
    """


@final
@_registered
class AdditiveAttention(_MaskedAttention, keras.layers.AdditiveAttention):  # type: ignore[misc]
    """Keras's AdditiveAttention that returns 0 for a sequence whose value timesteps are all masked.

    Args, call arguments, weights: those of `keras.layers.AdditiveAttention`.
    """


@final
@_registered
class Dot(keras.layers.Dot):  # type: ignore[misc]
    """Keras's Dot whose `normalize` has a finite gradient at a vector of zeros; on JAX and PyTorch, Keras's is NaN.

    Args, call arguments: those of `keras.layers.Dot`.
    """

    def call(self, inputs: Any) -> Any:
        """Return the sums of products along the axes; with `normalize`, of vectors of length 1."""
        if not self.normalize:
            return super().call(inputs)
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        places = [axis % len(x.shape) for x, axis in zip(inputs, axes, strict=True)]
        letters = ["abcdefgh"[: len(inputs[0].shape)], "aijklmno"[: len(inputs[1].shape)]]
        first, other = (text[:axis] + "z" + text[axis + 1 :] for text, axis in zip(letters, places, strict=True))
        kept = first.replace("z", "") + other[1:].replace("z", "")
        units = [_unit(x, axis) for x, axis in zip(inputs, axes, strict=True)]
        output = ops.einsum(f"{first},{other}->{kept}", *units)
        return ops.expand_dims(output, -1) if kept == "a" else output


def _unit(x: Any, axis: int) -> Any:
    """Return a tensor divided by its length along an axis, which counts as at least Keras's epsilon."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, keras.backend.epsilon() ** 2))
