"""The classes of Keras 3 from which the Keras engines build a model, plain or portable."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, final

import keras

from multilstm import keras_layers
from multilstm.engines.keras.dropout import GivenDropoutMixin, GivenRecurrentDropoutMixin
from multilstm.engines.keras.layers import AbstractToolkit, arguments_of
from multilstm.spec import Layer
from multilstm.spec.arguments import KERAS3_LACKS
from multilstm.spec.penalties import Regularizer, WeightFunction


@final
class GivenDropout(GivenDropoutMixin, keras.layers.Layer):  # type: ignore[misc]
    """Dropout with its mask as an input."""


@final
class GivenRecurrentDropout(GivenRecurrentDropoutMixin, keras.layers.Layer):  # type: ignore[misc]
    """Injects given dropout masks into the recurrent layer that follows."""


@final
class Keras3Toolkit(AbstractToolkit):
    """The classes of Keras 3.

    Args:
        portable: whether to use the class of multilstm.keras_layers, where that has one.
        draws_dropout: whether portable layers draw their dropout masks.
    """

    keras = keras
    given_dropout = GivenDropout
    given_recurrent_dropout = GivenRecurrentDropout
    minimum = staticmethod(keras.ops.minimum)

    def __init__(self, portable: bool, draws_dropout: bool = False) -> None:
        self._portable, self.draws_dropout = portable, portable and draws_dropout

    def find(self, module: str, name: str) -> Any:
        """See `AbstractToolkit.find`; a portable class has the name of Keras's."""
        plain = getattr(keras, module)
        portable = hasattr(keras_layers, name) and (self._portable or not hasattr(plain, name))
        return getattr(keras_layers if portable else plain, name)

    def arguments(self, layer: Layer) -> dict[str, Any]:
        """See `AbstractToolkit.arguments`."""
        return {name: self._argument(name, value) for name, value in arguments_of(layer).items()}

    def part(self, tensor: Any, key: tuple[Any, ...]) -> Any:
        """See `AbstractToolkit.part`; on JAX, a key that changes nothing returns the tensor itself, with its mask."""
        part = tensor[key]
        is_same = self._portable and tuple(part.shape) == tuple(tensor.shape)
        return keras.ops.copy(part) if is_same or key == (Ellipsis,) else part

    @contextlib.contextmanager
    def defaults(self, floatx: str, policy: str) -> Iterator[None]:
        """See `AbstractToolkit.defaults`."""
        before = keras.config.floatx(), keras.config.dtype_policy()
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        try:
            yield
        finally:
            keras.config.set_floatx(before[0])
            keras.config.set_dtype_policy(before[1])

    def _argument(self, name: str, value: Any) -> Any:
        """Return the value of a layer's argument as Keras takes it."""
        if name.endswith("activation") and (self._portable or value in KERAS3_LACKS):
            return getattr(keras_layers.activations, value, value)
        if isinstance(value, WeightFunction):
            module = "regularizers" if isinstance(value, Regularizer) else "constraints"
            return self.find(module, type(value).__name__)(**dataclasses.asdict(value))
        return value
