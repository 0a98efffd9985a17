"""Dropout inside an LSTM: the factors of inputs and hidden states before they meet their kernels.

One mask serves all timesteps of a sequence (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287), as in Keras. A
mask follows from a seed and a step, by `multilstm.random`: the layers of `multilstm.keras_layers` draw the same.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from multilstm import random
from multilstm.errors import InputError, shown
from multilstm.jobs.dropout_masks import masks_to_draw
from multilstm.scan.arguments import as_count, as_flag, as_share, as_whole_number
from multilstm.scan.batch import Arrays, Batch
from multilstm.scan.cell import LSTMParams
from multilstm.spec import Graph
from multilstm.spec.shapes import closed


class Dropout(NamedTuple):
    """The masks of one LSTM and one batch: 0 where a value is dropped, `1 / (1 - rate)` elsewhere; without a gradient.

    With the gate axis, each gate i, f, c, o has its own mask (Keras's implementation 1). Without it, the gates share
    one (Keras's implementation 2). None: nothing is dropped.

    Attributes:
        inputs: `[batch, features]`, or `[4, batch, features]`.
        hidden: `[batch, units]`, or `[4, batch, units]`.
    """

    inputs: Any = None
    hidden: Any = None


def draw_dropout(
    seed: int,
    step: int | jax.Array,
    params: LSTMParams,
    batch: int,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    implementation: int = 2,
    go_backwards: bool = False,
) -> Dropout:
    """Return random masks for `lstm(..., dropout=)`, in the dtype of the weights.

    They are those of `multilstm.keras_layers.LSTM` of this seed in training batch `step`. A row's mask depends neither
    on the batch size nor on the devices.

    Args:
        seed: from 0 to 2**31 - 1.
        step: the number of training batches before this one. Under `jax.jit` it may be an argument, an integer.
        params: the LSTM's weights.
        batch: number of sequences.
        dropout: the share of the inputs that is dropped.
        recurrent_dropout: the share of the hidden states that is dropped.
        implementation: as in Keras: 1 draws for each gate, 2 once for all gates. A recurrent dropout implies 1.
        go_backwards: whether the masks are of an LSTM that reads backwards, such as the second of `bidirectional`. Its
            masks are others.

    Raises:
        InputError: for an argument of another type, a seed or step out of range, a share outside of [0, 1), or another
            implementation.
    """
    seed, step = random.check_seed("draw_dropout", seed), as_whole_number("draw_dropout: step", step)
    if not isinstance(params, LSTMParams):
        raise InputError(f"draw_dropout: params must be LSTMParams, given {shown(params)}")
    batch = as_count("draw_dropout: batch", batch, 0)
    dropout = as_share("draw_dropout: dropout", dropout)
    recurrent_dropout = as_share("draw_dropout: recurrent_dropout", recurrent_dropout)
    if as_count("draw_dropout: implementation", implementation, 1) > 2:
        raise InputError(f"draw_dropout: implementation must be 1 or 2, given {implementation}")
    backwards = as_flag("draw_dropout: go_backwards", go_backwards)
    by_gate = bool(implementation == 1 or recurrent_dropout)
    features, units = params.kernel.shape[0], params.recurrent_kernel.shape[0]

    def draw(kind: str, rate: float, size: int) -> jax.Array | None:
        stream, shape = random.backward(kind) if backwards else kind, ((4,) if by_gate else ()) + (batch, size)
        return _drawn(seed, step, stream, rate, shape, str(params.kernel.dtype), by_gate) if rate else None

    with jax.transfer_guard_host_to_device("allow"):  # for seed and step
        return Dropout(draw("dropout", dropout, features), draw("recurrent_dropout", recurrent_dropout, units))


def with_drawn_dropout(spec: Graph, weights: Arrays, batch: Batch) -> Batch:
    """Return the batch with the masks of all layers that have a seed and no mask; unchanged without a step.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`, in whose dtype the masks are.
        batch: the arrays of a training step.

    Raises:
        InputError: for a seed out of range, and for a layer that is called twice in a step.
    """
    if batch.step is None:
        return batch
    dtype = str(jnp.result_type(*weights.values())) if weights else str(jnp.result_type(float))
    shapes = {name: tuple(jnp.shape(array)) for name, array in batch.inputs.items()}
    drawn = {
        mask.name: _drawn(mask.seed, batch.step, mask.stream, mask.rate, closed(mask.shape), dtype, mask.gates)
        for mask in masks_to_draw(spec, shapes, batch.dropout)
    }
    return batch._replace(dropout={**batch.dropout, **drawn})


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _drawn(
    seed: Any, step: Any, stream: str, rate: float, shape: tuple[int, ...], dtype: str, by_gate: bool
) -> jax.Array:
    """Return a mask, as `multilstm.random.dropout_mask`."""
    count, batch, *sizes = shape if by_gate else (1, *shape)
    words = random.key(_word(seed), stream, _word(step))
    rows, positions = (jnp.arange(size, dtype="int32") for size in (batch, count * math.prod(sizes)))
    kept = random.keeps(random.mask_bits(words, rows[:, None], positions[None]), rate)
    mask = kept.astype(dtype) * jnp.asarray(1 / (1 - rate), dtype)
    return mask.reshape(batch, count, *sizes).swapaxes(0, 1).reshape(shape)


def _word(number: Any) -> jax.Array:
    return jnp.asarray(number).astype("int32").reshape(1, 1)
