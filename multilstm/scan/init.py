"""Initial weights of an LSTM: from NumPy and a seed, so that they are the same on every device and version of JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.scan.arguments import as_count, as_flag
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
        InputError: for an argument of another type, sizes that are not positive, or float64 without x64.
    """
    features, units = as_count("init: features", features, 1), as_count("init: units", units, 1)
    use_bias = as_flag("init: use_bias", use_bias)
    unit_forget_bias = as_flag("init: unit_forget_bias", unit_forget_bias)
    dtype = check_dtype("init", dtype)
    rng = np.random.default_rng(as_count("init: seed", seed, 0))
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
