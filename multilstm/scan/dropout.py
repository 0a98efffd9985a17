"""Dropout inside an LSTM: the factors of inputs and hidden states before they meet their kernels.

One mask serves all timesteps of a sequence (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287), as in Keras.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from multilstm.errors import InputError, shown
from multilstm.scan.arguments import as_count, as_share
from multilstm.scan.cell import LSTMParams


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


def _two_keys(key: Any) -> Any:
    try:
        return jax.random.split(key)
    except (TypeError, ValueError):
        raise InputError(f"draw_dropout: key must be one of jax.random.key, given {shown(key)}") from None


def draw_dropout(
    key: jax.Array,
    params: LSTMParams,
    batch: int,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    implementation: int = 2,
) -> Dropout:
    """Return random masks for `lstm(..., dropout=)`, in the dtype of the weights.

    Args:
        key: of `jax.random`.
        params: the LSTM's weights.
        batch: number of sequences.
        dropout: the share of the inputs that is dropped.
        recurrent_dropout: the share of the hidden states that is dropped.
        implementation: as in Keras: 1 draws for each gate, 2 once for all gates. A recurrent dropout implies 1.

    Raises:
        InputError: for an argument of another type, a share outside of [0, 1), or another implementation.
    """
    if not isinstance(params, LSTMParams):
        raise InputError(f"draw_dropout: params must be LSTMParams, given {shown(params)}")
    batch = as_count("draw_dropout: batch", batch, 0)
    dropout = as_share("draw_dropout: dropout", dropout)
    recurrent_dropout = as_share("draw_dropout: recurrent_dropout", recurrent_dropout)
    if as_count("draw_dropout: implementation", implementation, 1) > 2:
        raise InputError(f"draw_dropout: implementation must be 1 or 2, given {implementation}")
    gates = (4,) if implementation == 1 or recurrent_dropout else ()
    features, units = params.kernel.shape[0], params.recurrent_kernel.shape[0]

    def draw(key: jax.Array, rate: float, size: int) -> jax.Array | None:
        if not rate:
            return None
        return jax.random.bernoulli(key, 1 - rate, (*gates, batch, size)).astype(params.kernel.dtype) / (1 - rate)

    with jax.transfer_guard_host_to_device("allow"):  # for the rates
        first, second = _two_keys(key)
        return Dropout(draw(first, dropout, features), draw(second, recurrent_dropout, units))
