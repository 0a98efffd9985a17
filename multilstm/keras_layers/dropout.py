"""Dropout for Keras users that drops the same values on TensorFlow, JAX and PyTorch.

A mask follows from the layer's seed and from the number of training batches that the layer has seen, its step. Both are
in one variable, which is part of `variables`, not of `weights`, and which is saved. The bits are those of
`multilstm.random`.
"""

from __future__ import annotations

import functools
import math
import operator
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, final

import keras
from keras import ops

from multilstm import random
from multilstm.frameworks import private_keras

_COUNTING = threading.Lock()
_registered = keras.saving.register_keras_serializable(package="multilstm")


class SeedGenerator(private_keras.saveable(), keras.random.SeedGenerator):  # type: ignore[misc]
    """Keras's seed generator, whose seed and step are saved with the model.

    Keras's own is not saved, so a training that is resumed from a file begins with the first masks again. A file of
    plain Keras holds no state, and leaves the state of the layer; plain Keras ignores the state in a file.
    """

    @classmethod
    def convert(cls, generator: Any) -> None:
        """Make a seed generator of Keras, which its layer has created and tracks, one of this class."""
        generator.__class__ = cls

    def next(self, ordered: bool = True) -> Any:
        """Return seed and step, and count the step; of several threads, each gets a step of its own."""
        with _COUNTING:
            return super().next(ordered)

    def _obj_type(self) -> str:
        return "Layer"  # one of Keras's types; it selects the attributes that are not searched

    def save_own_variables(self, store: Any) -> None:
        """Save seed and step."""
        store["0"] = ops.convert_to_numpy(self.state)

    def load_own_variables(self, store: Any) -> None:
        """Load seed and step, if the file holds them."""
        if "0" in store:
            self.state.assign(store["0"])


def drawn_mask(state: Any, kind: str, rate: float, shape: Any, dtype: str, gates: int = 0) -> Any:
    """Return a dropout mask: 0 where a value is dropped, `1 / (1 - rate)` elsewhere.

    Args:
        state: seed and step, as `SeedGenerator.next` returns them.
        kind: the name of the stream.
        rate: the share that is dropped.
        shape: `[batch, ...]`, whose sizes may be tensors.
        dtype: the dtype of the mask.
        gates: the number of gates, each of which has its own mask; 0: no axis of gates.

    Returns:
        `shape`, or `[gates, batch, ...]`.
    """
    rows, *sizes = shape
    positions = math.prod(sizes) * max(gates, 1)
    kept = _drawing(kind, rate, positions)(ops.cast(state, "int32"), rows)
    mask = ops.cast(kept, dtype) * ops.convert_to_tensor(1 / (1 - rate), dtype=dtype)
    if gates:
        return ops.swapaxes(ops.reshape(mask, (rows, gates, *sizes)), 0, 1)
    return ops.reshape(mask, shape)


def _drawing(kind: str, rate: float, positions: Any) -> Callable[[Any, Any], Any]:
    """Return a function that maps seed and step, and the number of rows, to the kept values `[rows, positions]`.

    TensorFlow runs the hundred operations of the cipher one by one, and XLA fuses them. XLA compiles every shape anew,
    so a number of positions that only a batch shows is left to TensorFlow. So is macOS, where Keras avoids XLA too.
    """
    if keras.backend.backend() == "tensorflow" and isinstance(positions, int) and sys.platform != "darwin":
        return _fused_drawing(kind, rate, positions)
    return functools.partial(_kept, kind, rate, positions)


@functools.cache
def _fused_drawing(kind: str, rate: float, positions: int) -> Callable[[Any, Any], Any]:
    import tensorflow as tf

    fused = tf.function(functools.partial(_kept, kind, rate, positions), jit_compile=True)
    return lambda words, rows: fused(words, ops.convert_to_tensor(rows, "int32"))  # an integer would be traced anew


def _kept(kind: str, rate: float, positions: Any, words: Any, rows: Any) -> Any:
    """Return which values are kept, as booleans `[rows, positions]`, from int32 seed and step."""
    shifts = _shifts()
    key = random.key(words[:1], kind, words[1:], shifts)
    counters = ops.arange(rows, dtype="int32")[:, None], ops.arange(positions, dtype="int32")[None]
    return random.keeps(random.mask_bits(key, *counters, shifts), rate, shifts)


def _shifts() -> Any:
    """Return the shifts of the backend's tensors, see `multilstm.random.threefry`."""
    if keras.backend.backend() != "tensorflow":
        return operator
    import tensorflow as tf

    return types.SimpleNamespace(lshift=tf.bitwise.left_shift, rshift=tf.bitwise.right_shift)


class _Dropout:
    """The common part of Dropout, SpatialDropout1D and SpatialDropout2D."""

    def __init__(self, rate: float, *arguments: Any, seed: int | None = None, **options: Any) -> None:
        name = type(self).__name__
        random.check_rate(name, rate)
        if seed is not None:
            random.check_seed(name, seed)
        super().__init__(rate, *arguments, seed=seed, **options)  # type: ignore[call-arg]
        if self.rate:  # type: ignore[attr-defined]
            SeedGenerator.convert(self.seed_generator)  # type: ignore[attr-defined]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs times the mask in training, and the inputs otherwise."""
        if not training or not self.rate:  # type: ignore[attr-defined]
            return inputs
        state = self.seed_generator.next()  # type: ignore[attr-defined]
        return inputs * drawn_mask(state, "dropout", self.rate, self._mask_shape(inputs), inputs.dtype)  # type: ignore[attr-defined]

    def _mask_shape(self, inputs: Any) -> tuple[Any, ...]:
        """Return the shape of the mask, which broadcasts to that of the inputs."""
        raise NotImplementedError


@final
@_registered
class Dropout(_Dropout, keras.layers.Dropout):  # type: ignore[misc]
    """Keras's Dropout with the same masks on every backend, from its seed and the number of training batches.

    The mask of a sequence does not depend on the batch size. Without a seed, the layer takes Keras's default one, which
    `keras.utils.set_random_seed` fixes on every backend alike. Two layers of one seed drop alike, as in Keras. A layer
    that is called twice in a batch draws twice.

    Args, call arguments: those of `keras.layers.Dropout`; a rate of 1 is refused.
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **options: Any) -> None:
        super().__init__(rate, noise_shape=noise_shape, seed=seed, **options)

    def _mask_shape(self, inputs: Any) -> tuple[Any, ...]:
        shape = tuple(ops.shape(inputs))
        if self.noise_shape is None:
            return shape
        return tuple(size if given is None else given for size, given in zip(shape, self.noise_shape, strict=True))


@final
@_registered
class SpatialDropout1D(_Dropout, keras.layers.SpatialDropout1D):  # type: ignore[misc]
    """Keras's SpatialDropout1D with the same masks on every backend, as in `Dropout`.

    Args, call arguments: those of `keras.layers.SpatialDropout1D`; a rate of 1 is refused.
    """

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)

    def _mask_shape(self, inputs: Any) -> tuple[Any, ...]:
        *outer, _, features = ops.shape(inputs)
        return (*outer, 1, features)


@final
@_registered
class SpatialDropout2D(_Dropout, keras.layers.SpatialDropout2D):  # type: ignore[misc]
    """Keras's SpatialDropout2D with the same masks on every backend, as in `Dropout`.

    Args, call arguments: those of `keras.layers.SpatialDropout2D`; a rate of 1 is refused.
    """

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **options: Any) -> None:
        super().__init__(rate, data_format=data_format, seed=seed, **options)

    def _mask_shape(self, inputs: Any) -> tuple[Any, ...]:
        shape = tuple(ops.shape(inputs))  # inside a TimeDistributed with one axis more
        sizes = (shape[-3], 1, 1) if self.data_format == "channels_first" else (1, 1, shape[-1])
        return (*shape[:-3], *sizes)
