"""Initial weights of an LSTM: from NumPy and a seed, so that they are the same on every device and version of JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.errors import InputError
from multilstm.scan.cell import LSTMParams
from multilstm.scan.loops.checks import check_dtype
from multilstm.weights.initializers import glorot_uniform, orthogonal


def init(
    features: int,
    units: int,
    seed: int = 0,
    use_bias: bool = True,
    unit_forget_bias: bool = True,
    dtype: str = "float32",
) -> LSTMParams:
    """Return weights drawn as Keras draws them: a Glorot-uniform kernel, an orthogonal recurrent kernel, a zero bias.

    Args:
        features: the size of the input's last axis.
        units: the size of the state.
        seed: of `numpy.random.default_rng`.
        use_bias: False: the bias is None.
        unit_forget_bias: the bias of the forget gate is 1 (Jozefowicz et al. 2015).
        dtype: any floating dtype; `float64` needs JAX's x64 mode.

    Returns:
        `LSTMParams(kernel [features, 4 * units], recurrent_kernel [units, 4 * units], bias [4 * units])`.

    Raises:
        InputError: for sizes that are not positive, a dtype that is not floating, or float64 without x64.
    """
    for name, size in (("features", features), ("units", units)):
        if size < 1:
            raise InputError(f"init: {name} must be positive, given {size}")
    check_dtype("init", dtype)
    rng = np.random.default_rng(seed)
    kernel = glorot_uniform(rng, (features, 4 * units))
    recurrent_kernel = orthogonal(rng, (units, 4 * units))
    bias = np.zeros(4 * units)
    bias[units : 2 * units] = unit_forget_bias
    with jax.transfer_guard_host_to_device("allow"):  # the arrays are new, so that a guard has nothing to find
        return LSTMParams(
            jnp.asarray(kernel, dtype),
            jnp.asarray(recurrent_kernel, dtype),
            jnp.asarray(bias, dtype) if use_bias else None,
        )
