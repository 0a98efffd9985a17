"""Recurrent layers for Keras users that behave the same on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops

from multilstm.frameworks import private_apis

_KerasLSTM = keras.layers.LSTM


class _MaskWithStates:
    """Takes the mask that comes with the sequences, whether or not an initial state is given.

    It must be of as many sequences and timesteps as they are.

    Keras looks for it only where the sequences are the one tensor among the arguments: with `initial_state`, the mask
    of a Masking or Embedding below is silently dropped, on every backend.
    """

    def __call__(self, sequences: Any, initial_state: Any = None, mask: Any = None, **arguments: Any) -> Any:
        if mask is None and initial_state is not None and not isinstance(sequences, keras.KerasTensor):
            mask = private_apis.keras_mask(sequences)
        _check_mask(type(self).__name__, sequences, mask)
        return super().__call__(sequences, initial_state=initial_state, mask=mask, **arguments)  # type: ignore[misc]


def _check_mask(name: str, sequences: Any, mask: Any) -> None:
    """Refuses a mask that is known not to begin with `[batch, timesteps]` of the sequences."""
    mask = mask[0] if isinstance(mask, (list, tuple)) and mask else mask
    if not hasattr(mask, "shape") or not hasattr(sequences, "shape"):
        return
    pairs = zip(mask.shape[:2], sequences.shape[:2], strict=False)
    if len(mask.shape) < 2 or any(None not in pair and pair[0] != pair[1] for pair in pairs):
        raise ValueError(
            f"{name}: the mask's shape {tuple(mask.shape)} must begin with the input's batch size and timesteps; the "
            f"input's shape is {tuple(sequences.shape)}"
        )


class _FreezesInside:
    """A wrapper that is given `trainable=False` freezes the layer inside; Keras's own trains it all the same."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not options.get("trainable", True):
            for layer in private_apis.layers_inside(self):
                layer.trainable = False


@final
@keras.saving.register_keras_serializable(package="multilstm")
class Bidirectional(_FreezesInside, _MaskWithStates, keras.layers.Bidirectional):  # type: ignore[misc]
    """Keras's Bidirectional, which heeds the mask of its input where an initial state is given too.

    It may be stateful and return its states, and `trainable=False` freezes both directions.

    Args, call arguments, weights: those of `keras.layers.Bidirectional`.
    """

    def _can_attempt_fused_lstm(self, mask: Any, initial_state: Any = None) -> bool:
        """Keras's fused path reads the forward half forwards, whatever its `go_backwards`."""
        possible = super()._can_attempt_fused_lstm(mask, initial_state)
        return possible and not self.forward_layer.go_backwards and not _without_cudnn(self.forward_layer)

    def compute_mask(self, _: Any, mask: Any) -> Any:
        """The mask of each output; states have none. Keras's own fails where the layer is stateful."""
        first = mask[0] if isinstance(mask, (list, tuple)) and mask else mask
        masks = [first if self.return_sequences else None] * (2 if self.merge_mode is None else 1)
        if self.return_state:
            return [*masks, *[None] * (len(self.forward_layer.state_size) + len(self.backward_layer.state_size))]
        return masks if len(masks) > 1 else masks[0]


def _loses_bias_gradient(layer: Any) -> bool:
    """Whether Keras's `ops.add` of a bias is `tf.nn.bias_add` in bfloat16, whose gradient is summed in bfloat16 too."""
    return bool(keras.backend.backend() == "tensorflow" and layer.compute_dtype == "bfloat16")


@final
@keras.saving.register_keras_serializable(package="multilstm")
class Dense(keras.layers.Dense):  # type: ignore[misc]
    """Keras's Dense, whose bias has the right gradient under mixed_bfloat16, however many rows there are.

    Args, call arguments, weights: those of `keras.layers.Dense`.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """As `keras.layers.Dense.call`: `[..., features]` to `[..., units]`."""
        if self.bias is None or not _loses_bias_gradient(self):
            return super().call(inputs, training=training)
        outputs = ops.matmul(inputs, self.kernel) + ops.convert_to_tensor(self.bias)
        return outputs if self.activation is None else self.activation(outputs)


class _LSTMCell(keras.layers.LSTMCell):  # type: ignore[misc]
    """Keras's LSTMCell, whose bias has the right gradient under mixed_bfloat16, however many sequences there are."""

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """As `keras.layers.LSTMCell.call`: `[batch, features]` to `[batch, units]`, and the states."""
        if self.implementation == 1 or not self.use_bias or not _loses_bias_gradient(self):
            return super().call(inputs, states, training=training)
        hidden, cell = states
        if training and 0.0 < self.dropout < 1.0:
            inputs = inputs * self.get_dropout_mask(inputs)
        gates = ops.matmul(inputs, self.kernel) + ops.matmul(hidden, self.recurrent_kernel)
        gates = ops.split(gates + ops.convert_to_tensor(self.bias), 4, axis=1)
        forgotten = self.recurrent_activation(gates[1]) * cell
        cell = forgotten + self.recurrent_activation(gates[0]) * self.activation(gates[2])
        hidden = self.recurrent_activation(gates[3]) * self.activation(cell)
        return hidden, [hidden, cell]


@final
@keras.saving.register_keras_serializable(package="multilstm")
class LSTM(_MaskWithStates, keras.layers.LSTM):  # type: ignore[misc]
    """Keras's LSTM, whose `stateful=True` carries its states, and trains, on every backend.

    Its state variables are part of `variables`, as a Dropout's seed is, so that `predict`, `fit`, `evaluate` and
    `train_on_batch` carry them on JAX too; they are not part of `weights`, so that counts and files are unchanged.
    They keep `variable_dtype` under mixed precision. A batch starts from a copy of the carried states, so that PyTorch
    can differentiate through what it then overwrites. Gradients do not flow from one batch into the one before, as on
    every backend of Keras. A batch of another size than the first is an error, on TensorFlow in `predict` and `fit`
    too.

    The mask of the layer below is heeded where an initial state is given too; one of another shape is refused.
    What is masked is taken for zero, so that NaN in it reaches no gradient.
    An initial state for one sequence serves all of a batch; there must be two, hidden and cell.
    Before the first timestep that its mask keeps, a sequence's output is zero, whatever the initial state; with
    `zero_output_for_mask` it is zero in every timestep that is masked.
    `implementation` and `use_cudnn` are part of the configuration, so that they outlive `Bidirectional`, saving and
    loading; with `implementation=1`, `dropout` trains without `use_cudnn=False` too.
    Under mixed_bfloat16 the gradient of its bias is right for large batches, on TensorFlow too.

    Args, call arguments, weights: those of `keras.layers.LSTM`.
    """

    go_backwards: bool

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cell.__class__ = _LSTMCell  # Keras's LSTM makes its cell itself

    @property
    def variables(self) -> list[Any]:
        """All variables of the layer, its carried states included."""
        return [*super().variables, *(self.states or [])]

    def _create_state_variables(self, batch_size: int) -> None:
        """As in Keras, but with a name each, as `get_state_tree` wants, and never cast to the compute dtype.

        Under autocast Keras's PyTorch variables give a copy, and an assignment to it is lost.
        """
        # Keras's own leaves the states untracked; only their values and places are replaced here.
        super()._create_state_variables(batch_size)
        with keras.name_scope(self.name, caller=self):
            for index, name in enumerate(("hidden_state", "cell_state")):
                self.states[index] = keras.Variable(
                    ops.zeros((batch_size, self.units), dtype=self.variable_dtype),
                    trainable=False,
                    autocast=False,
                    dtype=self.variable_dtype,
                    name=name,
                )

    def get_config(self) -> dict[str, Any]:
        """As `keras.layers.LSTM.get_config`, `implementation` and `use_cudnn` included."""
        return {**super().get_config(), "implementation": self.cell.implementation, "use_cudnn": self.use_cudnn}

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        """As `keras.layers.LSTM.call`: `[batch, timesteps, features]` to `[batch, (timesteps,) units]`."""
        if self.stateful:
            sequences = _of_batch_size(sequences, self.states[0].shape[0] if self.states else None)
            if initial_state is None:
                initial_state = [ops.stop_gradient(ops.copy(state)) for state in self.states]
        if initial_state is not None:
            initial_state = self._initial_states(initial_state, ops.shape(sequences)[0])
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def _initial_states(self, given: Any, batch_size: Any) -> list[Any]:
        """Both states as `[batch, units]`, of which `[1, units]` and `[units]` are repeated."""
        states = list(given) if isinstance(given, (list, tuple)) else [given]
        if len(states) != 2:
            raise ValueError(f"LSTM: initial_state has {len(states)} arrays, expected 2, the hidden and the cell state")
        one = ((1, self.units), (self.units,))
        return [ops.broadcast_to(s, (batch_size, self.units)) if tuple(s.shape) in one else s for s in states]

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """As `keras.layers.LSTM.inner_loop`, with zeros where the mask asks for them, and dropout for each gate apart.

        Keras on JAX puts out the initial hidden state until the mask keeps a timestep, and forgets
        `zero_output_for_mask` where it unrolls; where it unrolls backwards, TensorFlow forgets to turn the mask, and
        PyTorch fails: so sequences and mask are turned here. Keras's fused path takes the dropout masks of the four
        gates for one array of the inputs' shape, and fails. On a GPU, JAX's turns sequences that go backwards once too
        often, so that these are turned here too, and for `_without_cudnn` it is not taken.
        """
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        keep = None
        if mask is not None:
            keep = ops.reshape(ops.cast(mask, "bool"), ops.shape(sequences)[:2])  # from [batch, timesteps, 1] too
            sequences = ops.where(keep[..., None], sequences, ops.zeros_like(sequences))
            mask = keep
            if self.go_backwards:
                keep = ops.flip(keep, axis=1)
        turned = self.go_backwards and (keep is None or self.unroll)
        if turned:
            sequences, mask = ops.flip(sequences, axis=1), keep
        each_gate = training and self.dropout and self.cell.implementation == 1
        apart = self.use_cudnn == "auto" and (each_gate or _without_cudnn(self, mask))
        # Past Keras's LSTM, to the loop of any cell, where that LSTM's own fails.
        loop = super(_KerasLSTM, self).inner_loop if apart else super().inner_loop
        try:
            self.go_backwards = self.go_backwards and not turned
            last, outputs, states = loop(sequences, initial_state, mask=mask, training=training)
        finally:
            self.go_backwards = self.go_backwards or turned
        if keep is None:
            return last, outputs, states
        shown = keep if self.zero_output_for_mask else ops.cumsum(ops.cast(keep, "int32"), axis=1) > 0
        last = ops.where(shown[:, -1:], last, ops.zeros_like(last))
        if self.return_sequences:
            outputs = ops.where(shown[..., None], outputs, ops.zeros_like(outputs))
        return last, outputs, states


def _without_cudnn(layer: Any, mask: Any = None) -> bool:
    """Whether Keras's fused path, where there is a GPU, is not for this: by its source, and not yet seen on one.

    JAX's hands cuDNN every dtype, and cuDNN is told float32. TensorFlow's takes masks that are padded on the right, and
    gives zeros in their padding where every other path repeats the last output; other masks raise in a graph.
    """
    if keras.backend.backend() == "jax":
        return bool(layer.compute_dtype != "float32")
    return keras.backend.backend() == "tensorflow" and mask is not None


def _of_batch_size(sequences: Any, batch_size: int | None) -> Any:
    """The sequences, whose number TensorFlow may not know before it runs: then it is asserted, and known from here."""
    if keras.backend.backend() == "tensorflow" and batch_size is not None and sequences.shape[0] is None:
        import tensorflow as tf

        return tf.ensure_shape(sequences, (batch_size, *sequences.shape[1:]))
    return sequences


@final
@keras.saving.register_keras_serializable(package="multilstm")
class TimeDistributed(_FreezesInside, keras.layers.TimeDistributed):  # type: ignore[misc]
    """Keras's TimeDistributed for layers that treat samples alike, with any number of sequences and timesteps.

    Timesteps are folded into the batch, `[batch, timesteps, ...]` to `[batch * timesteps, ...]`, the layer is applied
    once, and its output is unfolded. A Dropout inside draws anew for every timestep. `trainable=False` freezes the
    layer inside.

    Args:
        layer: a layer without state or batch statistics, such as Dense.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """As `keras.layers.TimeDistributed.call`.

        Raises:
            ValueError: for a mask that is known not to begin with `[batch, timesteps]` of the inputs.
        """
        shape = ops.shape(inputs)
        arguments: dict[str, Any] = {}
        if mask is not None:
            _check_mask("TimeDistributed", inputs, mask)
            if private_apis.call_takes(self.layer, "mask"):
                arguments["mask"] = ops.reshape(mask, (-1, *ops.shape(mask)[2:]))
        if private_apis.call_takes(self.layer, "training"):
            arguments["training"] = training
        folded = self.layer.call(ops.reshape(inputs, (-1, *shape[2:])), **arguments)
        return ops.reshape(folded, (shape[0], shape[1], *ops.shape(folded)[1:]))
