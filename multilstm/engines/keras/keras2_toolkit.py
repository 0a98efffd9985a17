"""The classes of Keras 2, from tf-keras, from which the engine `keras2` builds a model.

tf-keras has another module than Keras 3, `tf_keras`, so both run in one process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import tensorflow as tf
import tf_keras

from multilstm.engines.keras.dropout import GivenDropoutMixin, GivenRecurrentDropoutMixin
from multilstm.engines.keras.layers import AbstractToolkit, arguments_of
from multilstm.errors import UnsupportedError
from multilstm.frameworks import private_tensorflow
from multilstm.spec import Layer
from multilstm.spec.penalties import Regularizer, WeightFunction

# Arguments that a class of Keras 2 lacks, with the values that mean the same as their absence on a CPU.
_LACKS: Mapping[tuple[str, str], tuple[Any, ...]] = {
    ("LSTM", "use_cudnn"): ("auto", False),
    ("GRU", "use_cudnn"): ("auto", False),
    ("ConvLSTM2D", "unroll"): (False,),
    ("ConvLSTM2D", "zero_output_for_mask"): (False,),
    ("ZeroPadding1D", "data_format"): (None, "channels_last"),
}
_RENAMED = {("LeakyReLU", "negative_slope"): "alpha"}


# Activations of a spec that have another name in Keras 2, or none. TensorFlow rounds the constants of its own gelu and
# leaky_relu to float32.
_OWN: dict[str, Any] = {
    "gelu": lambda x: 0.5 * x * (1.0 + tf.math.erf(x / math.sqrt(2.0))),
    "hard_sigmoid": lambda x: tf.nn.relu6(x + 3.0) / 6.0,
    "hard_silu": lambda x: x * tf.nn.relu6(x + 3.0) / 6.0,
    "log_softmax": lambda x: tf.nn.log_softmax(x),
    "mish": lambda x: x * tf.tanh(tf.math.softplus(x)),
    "leaky_relu": lambda x: tf.where(x > 0, x, 0.2 * x),
}
for _name, _function in _OWN.items():  # a Bidirectional makes its second layer from the name of the activation
    _function.__name__ = f"multilstm_{_name}"
    tf_keras.utils.register_keras_serializable("multilstm")(_function)
_ACTIVATIONS: Mapping[str, str | Callable[[Any], Any]] = {"hard_sigmoid_keras2": "hard_sigmoid", **_OWN}

private_tensorflow.leave_cudnn_out_of_tf_keras()


@final
class GivenDropout(GivenDropoutMixin, tf_keras.layers.Layer):  # type: ignore[misc]
    """Dropout with its mask as an input."""


@final
class GivenRecurrentDropout(GivenRecurrentDropoutMixin, tf_keras.layers.Layer):  # type: ignore[misc]
    """Passes values on in inference; the engine refuses to train such a layer."""


class Keras2Toolkit(AbstractToolkit):
    """The classes of tf-keras."""

    keras = tf_keras
    given_dropout = GivenDropout
    given_recurrent_dropout = GivenRecurrentDropout
    minimum = staticmethod(tf.minimum)

    def find(self, module: str, name: str) -> Any:
        """See `AbstractToolkit.find`.

        Raises:
            UnsupportedError: for a class that Keras 2 lacks.
        """
        found = getattr(getattr(tf_keras, module), name, None)
        if found is None:
            raise UnsupportedError(f"keras2: Keras 2 has no {module}.{name}; leave the engine keras2 out")
        return found

    def arguments(self, layer: Layer) -> dict[str, Any]:
        """See `AbstractToolkit.arguments`.

        Raises:
            UnsupportedError: for an argument that Keras 2 lacks.
        """
        given = {name: value for name, value in arguments_of(layer).items() if name != "seed"}  # masks are inputs
        kind = type(layer).__name__
        for name in [name for name in given if (kind, name) in _LACKS]:
            if (value := given.pop(name)) not in _LACKS[kind, name]:
                raise UnsupportedError(
                    f"keras2: {layer.label} has {name}={value!r}, an argument that Keras 2 lacks; expected one of "
                    f"{', '.join(map(repr, _LACKS[kind, name]))}, or leave the engine keras2 out"
                )
        return {_RENAMED.get((kind, name), name): self._argument(name, value) for name, value in given.items()}

    @contextlib.contextmanager
    def defaults(self, floatx: str, policy: str) -> Iterator[None]:
        """See `AbstractToolkit.defaults`."""
        backend, mixed_precision = tf_keras.backend, tf_keras.mixed_precision
        before = backend.floatx(), mixed_precision.global_policy()
        backend.set_floatx(floatx)
        mixed_precision.set_global_policy(policy)
        try:
            yield
        finally:
            backend.set_floatx(before[0])
            mixed_precision.set_global_policy(before[1])

    def _argument(self, name: str, value: Any) -> Any:
        """Return the value of a layer's argument as Keras 2 takes it."""
        if name.endswith("activation"):
            return _ACTIVATIONS.get(value, value)
        if isinstance(value, WeightFunction):
            module = "regularizers" if isinstance(value, Regularizer) else "constraints"
            return self.find(module, type(value).__name__)(**dataclasses.asdict(value))
        return value
