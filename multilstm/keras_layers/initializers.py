"""Initializers for Keras users that give a weight the same numbers on TensorFlow, JAX and PyTorch.

    from multilstm.keras_layers import LSTM, initializers
    LSTM(32, kernel_initializer=initializers.GlorotUniform(1), recurrent_initializer=initializers.Orthogonal(seed=2))

NumPy computes the numbers once, in float64 from the bits of `multilstm.random`, and rounds them to the weight's dtype.
They follow from the seed, the class and the shape. Without a seed, an initializer takes Keras's default one, which
`keras.utils.set_random_seed` fixes on every backend alike. Plain Keras draws other numbers on each backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from multilstm import random
from multilstm.weights import initializers as formulas

__all__ = [
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Orthogonal",
    "RandomNormal", "RandomUniform", "TruncatedNormal",
]  # fmt: skip

Array = np.ndarray[Any, Any]
_registered = keras.saving.register_keras_serializable(package="multilstm")


class _Initializer(keras.initializers.Initializer):  # type: ignore[misc]
    """The common part of the initializers.

    Args:
        seed: from 0 to 2**31 - 1; None: Keras's default.

    Raises:
        InputError: for another seed.
    """

    def __init__(self, seed: int | None = None) -> None:
        default = int(ops.convert_to_numpy(keras.random.SeedGenerator().state)[0]) if seed is None else seed
        self.seed = random.check_seed(type(self).__name__, default)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return the initial weight.

        Args:
            shape: its shape.
            dtype: its dtype; None: Keras's default.
        """
        dtype = keras.backend.standardize_dtype(dtype)
        numbers = self._draw(random.Draws(self.seed, type(self).__name__), tuple(shape))
        rounded = numbers if dtype == "float64" else numbers.astype("float32")
        return ops.cast(ops.convert_to_tensor(rounded, dtype=str(rounded.dtype)), dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"seed": self.seed}

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        """Return float64 numbers, `shape`."""
        raise NotImplementedError


@final
@_registered
class RandomUniform(_Initializer):
    """Uniform numbers in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        numbers: Array = draws.uniform(self.minval, self.maxval, shape)
        return numbers


class _Normal(_Initializer):
    """Numbers of a mean and a standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


@final
@_registered
class RandomNormal(_Normal):
    """Normal numbers of a mean and a standard deviation."""

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        numbers: Array = self.mean + self.stddev * draws.standard_normal(shape)
        return numbers


@final
@_registered
class TruncatedNormal(_Normal):
    """Normal numbers, drawn again where they are farther than two standard deviations from the mean, as in Keras."""

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        return self.mean + self.stddev * formulas.truncated_normal(draws, shape)


@final
@_registered
class Orthogonal(_Initializer):
    """Orthonormal rows or columns, whichever are fewer, times `gain` (https://arxiv.org/abs/1312.6120)."""

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"gain": self.gain, **super().get_config()}

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: the weight must have two axes or more, given the shape {shape}")
        return self.gain * formulas.orthogonal(draws, shape)


@final
@_registered
class GlorotUniform(_Initializer):
    """Uniform numbers of variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        return formulas.glorot_uniform(draws, shape)


@final
@_registered
class GlorotNormal(_Initializer):
    """Truncated normal numbers of variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        return formulas.glorot_normal(draws, shape)


@final
@_registered
class HeUniform(_Initializer):
    """Uniform numbers of variance 2 / fan_in (https://arxiv.org/abs/1502.01852)."""

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        return formulas.he_uniform(draws, shape)


@final
@_registered
class HeNormal(_Initializer):
    """Truncated normal numbers of variance 2 / fan_in (https://arxiv.org/abs/1502.01852)."""

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        return formulas.he_normal(draws, shape)


@final
@_registered
class LecunUniform(_Initializer):
    """Uniform numbers of variance 1 / fan_in (LeCun et al. 1998)."""

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        return formulas.lecun_uniform(draws, shape)


@final
@_registered
class LecunNormal(_Initializer):
    """Truncated normal numbers of variance 1 / fan_in (LeCun et al. 1998)."""

    def _draw(self, draws: Any, shape: tuple[int, ...]) -> Array:
        return formulas.lecun_normal(draws, shape)
