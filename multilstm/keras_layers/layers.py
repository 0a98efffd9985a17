"""Layers for Keras users that behave the same on TensorFlow, JAX and PyTorch.

No layer changes an attribute while it computes, so threads can share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import keras
from keras import ops

from multilstm.frameworks import private_keras
from multilstm.keras_layers import checks
from multilstm.keras_layers.dropout import Dropout, SpatialDropout1D, SpatialDropout2D
from multilstm.keras_layers.recurrent import MaskWithStates, loses_bias_gradient, state_shapes, without_cudnn

_RECURRENT = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN, keras.layers.ConvLSTM2D)


class _FreezesInside:
    """A wrapper that freezes the layer inside with `trainable=False`; Keras's own wrapper trains that layer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not options.get("trainable", True):
            for layer in private_keras.layers_inside(self):
                layer.trainable = False


@final
@keras.saving.register_keras_serializable(package="multilstm")
class Bidirectional(_FreezesInside, MaskWithStates, keras.layers.Bidirectional):  # type: ignore[misc]
    """Keras's Bidirectional that uses the mask of its input even if an initial state is given.

    The layer may be stateful and return its states. `trainable=False` freezes both directions.

    Args, call arguments, weights: those of `keras.layers.Bidirectional`.
    """

    def _state_shapes(self, sequences: Any) -> Sequence[tuple[int, ...]]:
        layers = self.forward_layer, self.backward_layer
        if not all(isinstance(layer, _RECURRENT) for layer in layers):
            return ()
        return tuple(shape for layer in layers for shape in state_shapes(layer, sequences))

    def _can_attempt_fused_lstm(self, mask: Any, initial_state: Any = None) -> bool:
        """Return whether Keras's fused path is right; it ignores `go_backwards=True` of the forward layer."""
        possible = super()._can_attempt_fused_lstm(mask, initial_state)
        return possible and not self.forward_layer.go_backwards and not without_cudnn(self.forward_layer)

    def _can_attempt_fused_gru(self, mask: Any, initial_state: Any = None) -> bool:
        """Do as `_can_attempt_fused_lstm`, for two GRUs."""
        possible = super()._can_attempt_fused_gru(mask, initial_state)
        return possible and not self.forward_layer.go_backwards and not without_cudnn(self.forward_layer)

    def compute_mask(self, _: Any, mask: Any) -> Any:
        """Return the mask of each output, None for states. Keras's own method fails if the layer is stateful."""
        first = mask[0] if isinstance(mask, (list, tuple)) and mask else mask
        masks = [first if self.return_sequences else None] * (2 if self.merge_mode is None else 1)
        if self.return_state:
            states = [layer.compute_mask(None, None)[1:] for layer in (self.forward_layer, self.backward_layer)]
            return [*masks, *states[0], *states[1]]
        return masks if len(masks) > 1 else masks[0]


@final
@keras.saving.register_keras_serializable(package="multilstm")
class Dense(keras.layers.Dense):  # type: ignore[misc]
    """Keras's Dense with the right gradient of the bias under mixed_bfloat16, for any number of rows.

    Args, call arguments, weights: those of `keras.layers.Dense`.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Map `[..., features]` to `[..., units]`, as `keras.layers.Dense.call` does."""
        if self.bias is None or not loses_bias_gradient(self):
            return super().call(inputs, training=training)
        outputs = ops.matmul(inputs, self.kernel) + ops.convert_to_tensor(self.bias)
        return outputs if self.activation is None else self.activation(outputs)


@final
@keras.saving.register_keras_serializable(package="multilstm")
class TimeDistributed(_FreezesInside, keras.layers.TimeDistributed):  # type: ignore[misc]
    """Keras's TimeDistributed for layers that treat samples alike, with any number of sequences and timesteps.

    Timesteps are folded into the batch, `[batch, timesteps, ...]` to `[batch * timesteps, ...]`. The layer is called
    once, and its output is unfolded. A Dropout inside draws a new mask for every timestep. `trainable=False` freezes
    the layer inside. In training, a BatchNormalization is called for one timestep after the other, as in Keras. A
    recurrent layer inside gets no mask of the timesteps, which are not those of its sequences.

    Args:
        layer: a layer that treats sequences alike, such as Dense or LSTM.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Apply the layer to every timestep, as `keras.layers.TimeDistributed.call` does.

        Raises:
            ValueError: for a mask whose known shape does not begin with `[batch, timesteps]` of the inputs. Also for
                the training of a BatchNormalization on an unknown number of timesteps.
        """
        if training and isinstance(self.layer, keras.layers.BatchNormalization):
            if inputs.shape[1] is None:
                raise ValueError(f"{self.name}: a BatchNormalization inside needs an Input with its timesteps")
            return super().call(inputs, training=training, mask=mask)
        if isinstance(
            self.layer, (Dropout, SpatialDropout1D, SpatialDropout2D)
        ):  # a sequence is a row of the mask, not a timestep
            return self.layer.call(inputs, training=bool(training))
        shape = ops.shape(inputs)
        arguments: dict[str, Any] = {}
        if mask is not None:
            checks.check_mask(self, inputs, mask)
            is_recurrent = isinstance(self.layer, (keras.layers.RNN, keras.layers.Bidirectional))
            is_of_steps = not is_recurrent or len(mask.shape) > 2  # a recurrent layer has steps of its own
            if private_keras.call_takes(self.layer, "mask") and is_of_steps:
                arguments["mask"] = ops.reshape(mask, (-1, *ops.shape(mask)[2:]))
        if private_keras.call_takes(self.layer, "training"):
            arguments["training"] = training
        folded = self.layer.call(ops.reshape(inputs, (-1, *shape[2:])), **arguments)
        return ops.reshape(folded, (shape[0], shape[1], *ops.shape(folded)[1:]))
