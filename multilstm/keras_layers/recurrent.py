"""Recurrent layers for Keras users that behave the same on TensorFlow, JAX and PyTorch: LSTM, GRU and SimpleRNN.

No layer changes an attribute while it computes, so threads can share one. Dropout masks belong to the thread of a call.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, final

import keras
from keras import ops

from multilstm import random
from multilstm.frameworks import private_keras
from multilstm.keras_layers import checks
from multilstm.keras_layers.dropout import SeedGenerator, drawn_mask
from multilstm.keras_layers.threads import with_masks_of_threads
from multilstm.spec.arrays import native


class MaskWithStates:
    """A recurrent layer that uses the mask of the layer below whether or not an initial state is given.

    Keras looks for this mask only if the sequences are the only tensor among the arguments. With `initial_state`, it
    silently drops the mask of a Masking or Embedding below, on every backend.
    """

    def __call__(self, sequences: Any, initial_state: Any = None, mask: Any = None, **arguments: Any) -> Any:
        """Compute the layer, as Keras's own layer does; arrays may have any byte order."""
        sequences, initial_state, mask = keras.tree.map_structure(native, (sequences, initial_state, mask))
        if mask is None and initial_state is not None and not isinstance(sequences, keras.KerasTensor):
            mask = private_keras.keras_mask(sequences)
        checks.check_sequences(self, sequences)
        checks.check_mask(self, sequences, mask)
        shapes = self._state_shapes(sequences)
        if len(shapes) == 1 and initial_state is not None and not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        if initial_state is not None and shapes:
            checks.check_states(self, sequences, initial_state, shapes)
        return super().__call__(sequences, initial_state=initial_state, mask=mask, **arguments)  # type: ignore[misc]

    def _state_shapes(self, sequences: Any) -> Sequence[tuple[int, ...]]:
        """Return the shape of each expected initial state without the batch; empty if they are not known."""
        raise NotImplementedError


class Recurrent(MaskWithStates, keras.layers.RNN):  # type: ignore[misc]
    """The common part of all recurrent layers: states that are carried, masks, and one direction for every loop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        named = inspect.signature(super().__init__).bind_partial(*arguments, **options).arguments
        named |= named.get("kwargs", {})
        checks.check_recurrent_arguments(type(self).__name__, named)
        if named.get("seed") is not None:
            random.check_seed(type(self).__name__, named["seed"])
        super().__init__(*arguments, **options)
        if self.dropout or self.recurrent_dropout:
            SeedGenerator.convert(self.cell.seed_generator)
            with_masks_of_threads(self.cell)

    @property
    def variables(self) -> list[Any]:
        """All variables of the layer, its carried states included."""
        return [*super().variables, *(self.states or [])]

    def _create_state_variables(self, batch_size: int) -> None:
        """Create the state variables with distinct names, for `get_state_tree`, and without autocast.

        Under autocast a variable of Keras on PyTorch returns a copy, and an assignment to the copy is lost.
        """
        # Keras's own method leaves the states untracked; only the variables in its list are replaced here.
        super()._create_state_variables(batch_size)
        with keras.name_scope(self.name, caller=self):
            shapes = [state.shape for state in self.states]
            for index, (name, shape) in enumerate(zip(("hidden_state", "cell_state"), shapes, strict=False)):
                self.states[index] = keras.Variable(
                    ops.zeros(shape, dtype=self.variable_dtype),
                    trainable=False,
                    autocast=False,
                    dtype=self.variable_dtype,
                    name=name,
                )

    def _state_shapes(self, sequences: Any) -> Sequence[tuple[int, ...]]:
        return state_shapes(self, sequences)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        """Map `[batch, timesteps, features]` to `[batch, (timesteps,) units]`, as Keras's own layer does."""
        checks.check_features(self, sequences)
        if self.stateful:
            sequences = self._with_batch_size(sequences, self.states[0].shape[0])
            if initial_state is None:
                initial_state = [ops.stop_gradient(ops.copy(state)) for state in self.states]
        if initial_state is not None:
            sizes = state_shapes(self, sequences)[0]
            shape = ops.shape(sequences)[0], *sizes
            initial_state = [
                ops.broadcast_to(state, shape) if tuple(state.shape) in ((1, *sizes), sizes) else state
                for state in initial_state
            ]
        if training:
            self._store_dropout_masks(sequences)
        try:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        finally:  # a call that failed would leave its masks to the next one
            self.cell.reset_dropout_mask()
            self.cell.reset_recurrent_dropout_mask()

    def _store_dropout_masks(self, sequences: Any) -> None:
        """Draw the masks of one batch and store them where Keras's cell looks for them; given ones win.

        Each mask is of another stream. So are those of a layer that reads backwards, because Bidirectional gives both
        its layers one seed.
        """
        cell = self.cell
        rates = {"dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout}
        drawn = {kind: rate for kind, rate in rates.items() if rate}
        if not drawn or any(private_keras.has_dropout_mask(cell, kind) for kind in drawn):
            return
        state = cell.seed_generator.next()
        sizes = {"dropout": sequences.shape[2:], "recurrent_dropout": state_shapes(self, sequences)[0]}
        for kind, rate in drawn.items():
            stream = random.backward(kind) if self.go_backwards else kind
            shape = ops.shape(sequences)[0], *sizes[kind]
            gates = getattr(cell, "dropout_mask_count", None) or 0
            mask = drawn_mask(state, stream, rate, shape, cell.compute_dtype, gates)
            private_keras.store_dropout_mask(cell, kind, mask)

    def _maybe_config_dropout_masks(self, cell: Any, input_sequence: Any, input_state: Any) -> None:
        """Do nothing: `call` has drawn the masks, in training alone."""

    def _with_batch_size(self, sequences: Any, batch_size: int) -> Any:
        """Return the sequences with a known batch size. TensorFlow checks an open one when it runs."""
        checks.check_batch_size(self, sequences, batch_size)
        if keras.backend.backend() != "tensorflow" or sequences.shape[0] is not None:
            return sequences
        import tensorflow as tf

        # TensorFlow's error names the operation, so the name is the message.
        name = f"with_stateful_every_batch_must_have_{batch_size}_sequences"
        return tf.ensure_shape(sequences, (batch_size, *sequences.shape[1:]), name)

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Return the last output, all outputs and the final states, as Keras's own layer does.

        Outputs are zero where the mask demands it. Keras on JAX returns the initial hidden state until the mask keeps
        a timestep, and ignores `zero_output_for_mask` in an unrolled loop.

        With `go_backwards`, sequences and mask are reversed here, and every loop runs forwards. In an unrolled loop
        Keras on TensorFlow does not reverse the mask, and Keras on PyTorch fails. Keras on JAX reverses sequences once
        too often on a GPU.
        """
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        keep = None
        if mask is not None:
            keep = ops.reshape(ops.cast(mask, "bool"), ops.shape(sequences)[:2])  # from [batch, timesteps, 1] too
            sequences = ops.where(_with_axes(keep, sequences), sequences, ops.zeros_like(sequences))
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            keep = None if keep is None else ops.flip(keep, axis=1)
        last, outputs, states = self._loop_forwards(sequences, initial_state, keep, training)
        if keep is None:
            return last, outputs, states
        shown = keep if self.zero_output_for_mask else ops.cumsum(ops.cast(keep, "int32"), axis=1) > 0
        last = ops.where(_with_axes(shown[:, -1], last), last, ops.zeros_like(last))
        if self.return_sequences:
            outputs = ops.where(_with_axes(shown, outputs), outputs, ops.zeros_like(outputs))
        return last, outputs, states

    def _loop_forwards(self, sequences: Any, initial_state: Any, keep: Any, training: bool) -> Any:
        """Compute the sequences in their order, step by step."""

        def step(inputs: Any, states: Any) -> Any:
            return self.step(inputs, states, training)

        images = len(sequences.shape) > 3  # whose mask Keras does not broadcast on JAX
        keep = keep if keep is None or not images else _with_axes(keep, sequences)
        return private_keras.recurrent_loop(self, step, sequences, initial_state, keep)

    def step(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        """Compute one timestep.

        Args:
            inputs: `[batch, features]`.
            states: the states, each `[batch, units]`.
            training: whether dropout acts.

        Returns:
            The output `[batch, units]`, and the new states.
        """
        return self.cell(inputs, states, training=training)  # type: ignore[no-any-return]

    def _dropped(self, inputs: Any, training: bool) -> Any:
        """Return the inputs of one timestep times the dropout mask that all gates share."""
        return inputs * self.cell.get_dropout_mask(inputs) if training and self.dropout else inputs


class _Fused(Recurrent):
    """The common part of LSTM and GRU: Keras's fused path, and two options that Keras's configuration lacks."""

    def get_config(self) -> dict[str, Any]:
        """Return Keras's configuration, with `implementation` and `use_cudnn`."""
        return {
            **super().get_config(),
            "implementation": self.cell.implementation,
            "use_cudnn": self.use_cudnn,
        }

    def _loop_forwards(self, sequences: Any, initial_state: Any, keep: Any, training: bool) -> Any:
        """Compute the sequences in their order, on Keras's fused path if that is right, and else step by step."""
        mask_per_gate = training and self.dropout and self.cell.implementation == 1
        wanted = self.use_cudnn is True or (self.use_cudnn == "auto" and not without_cudnn(self, keep))
        if wanted and not mask_per_gate and not self.recurrent_dropout:
            dropped = sequences
            if training and self.dropout:
                dropped = sequences * ops.expand_dims(self.cell.get_dropout_mask(sequences[:, 0, :]), axis=1)
            if self._is_for_torch(dropped, keep):
                return self._loop_of_torch(dropped, initial_state)
            try:
                return private_keras.fused_loop(self, dropped, initial_state, keep)
            except NotImplementedError:
                pass  # no cuDNN here, or not for these options
        if self.use_cudnn is True:
            raise ValueError(
                f"{checks.title(self)}: use_cudnn=True needs a GPU with cuDNN and the options that cuDNN has; given "
                f"options or a device without it. Give use_cudnn='auto' to compute without cuDNN where it is missing"
            )
        return super()._loop_forwards(sequences, initial_state, keep, training)

    def _is_for_torch(self, sequences: Any, keep: Any) -> bool:
        """Return whether `torch_recurrent` computes these sequences."""
        if keras.backend.backend() != "torch" or keep is not None or not getattr(self.cell, "reset_after", True):
            return False
        from multilstm.frameworks import torch_recurrent

        return torch_recurrent.is_possible(sequences)

    def _loop_of_torch(self, sequences: Any, initial_state: Any) -> Any:
        """Compute the sequences in their order on a CPU with PyTorch, in time proportional to the timesteps."""
        from multilstm.frameworks import torch_recurrent

        cell = self.cell
        is_usual = cell.activation is keras.activations.tanh and cell.recurrent_activation is keras.activations.sigmoid
        loop: Any = torch_recurrent.lstm if isinstance(self, keras.layers.LSTM) else torch_recurrent.gru
        weights = (cell.kernel, cell.recurrent_kernel, cell.bias if cell.use_bias else None)
        outputs, states = loop(
            sequences,
            *(ops.cast(state, sequences.dtype) for state in initial_state),
            *(None if weight is None else ops.convert_to_tensor(weight) for weight in weights),
            None if is_usual else (cell.activation, cell.recurrent_activation),
        )
        return states[0], outputs if self.return_sequences else states[0][:, None], states


@final
@keras.saving.register_keras_serializable(package="multilstm")
class LSTM(_Fused, keras.layers.LSTM):  # type: ignore[misc]
    """Keras's LSTM with `stateful=True` that carries its states, and trains, on every backend.

    States: the state variables are part of `variables`, as a Dropout's seed is. So `predict`, `fit`, `evaluate` and
    `train_on_batch` carry them on JAX too. They are not part of `weights`, so counts and files are those of Keras. They
    keep `variable_dtype` under mixed precision. A batch starts from a copy of the carried states, so PyTorch can
    differentiate it. Gradients do not flow into the batch before, as on every backend of Keras. A batch of another
    size is an error, on TensorFlow in `predict` and `fit` too.

    Initial states: a list of two, hidden and cell. An initial state of one row is used for all sequences.

    Masks: the mask of the layer below is used even if an initial state is given; a mask of another shape is refused.
    Masked input is replaced by zero, so NaN in it reaches no gradient. The output of a sequence is zero before the
    first timestep that its mask keeps, whatever the initial state. With `zero_output_for_mask` the output is zero in
    every masked timestep.

    Options: `implementation` and `use_cudnn` are part of the configuration, so `Bidirectional`, saving and loading
    keep them. With `implementation=1`, `dropout` trains without `use_cudnn=False` too. Under mixed_bfloat16 the
    gradient of the bias is right for large batches, on TensorFlow too.

    Time: on a CPU with PyTorch, the gradient takes time in proportion to the timesteps. That of Keras 3.15.1 grows with
    their square. `use_cudnn=False` computes step by step on every backend.

    Args, call arguments, weights: those of `keras.layers.LSTM`.
    """

    def step(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        """Compute one timestep.

        Args:
            inputs: `[batch, features]`.
            states: the hidden and the cell state, each `[batch, units]`.
            training: whether dropout acts.

        Returns:
            The output `[batch, units]`, and the new states.
        """
        cell = self.cell
        if cell.implementation == 1 or not cell.use_bias or not loses_bias_gradient(self):
            return cell(inputs, states, training=training)  # type: ignore[no-any-return]
        hidden, memory = states
        products = ops.matmul(self._dropped(inputs, training), cell.kernel) + ops.matmul(hidden, cell.recurrent_kernel)
        i, f, c, o = ops.split(products + ops.convert_to_tensor(cell.bias), 4, axis=1)
        memory = cell.recurrent_activation(f) * memory + cell.recurrent_activation(i) * cell.activation(c)
        hidden = cell.recurrent_activation(o) * cell.activation(memory)
        return hidden, [hidden, memory]


@final
@keras.saving.register_keras_serializable(package="multilstm")
class GRU(_Fused, keras.layers.GRU):  # type: ignore[misc]
    """Keras's GRU with carried states, masks and options that mean the same on every backend, as in `LSTM`.

    The initial state is one tensor, or a list of one.

    Args, call arguments, weights: those of `keras.layers.GRU`.
    """

    def step(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        """Compute one timestep; see `LSTM.step`."""
        cell = self.cell
        if cell.implementation == 1 or not cell.use_bias or not loses_bias_gradient(self):
            return super().step(inputs, states, training)
        (hidden,) = states
        bias, kernel = ops.convert_to_tensor(cell.bias), ops.convert_to_tensor(cell.recurrent_kernel)
        of_inputs, of_products = (bias[0], bias[1]) if cell.reset_after else (bias, ops.zeros_like(bias))
        products = ops.matmul(self._dropped(inputs, training), cell.kernel) + of_inputs
        x_z, x_r, x_h = ops.split(products, 3, axis=1)
        of_gates, of_candidate = kernel[:, : 2 * self.units], kernel[:, 2 * self.units :]
        h_z, h_r = ops.split(ops.matmul(hidden, of_gates) + of_products[: 2 * self.units], 2, axis=1)
        z, r = cell.recurrent_activation(x_z + h_z), cell.recurrent_activation(x_r + h_r)
        if cell.reset_after:
            h_h = r * (ops.matmul(hidden, of_candidate) + of_products[2 * self.units :])
        else:
            h_h = ops.matmul(r * hidden, of_candidate)
        hidden = z * hidden + (1 - z) * cell.activation(x_h + h_h)
        return hidden, [hidden]


@final
@keras.saving.register_keras_serializable(package="multilstm")
class SimpleRNN(Recurrent, keras.layers.SimpleRNN):  # type: ignore[misc]
    """Keras's SimpleRNN with carried states and masks that mean the same on every backend, as in `LSTM`.

    The initial state is one tensor, or a list of one.

    Args, call arguments, weights: those of `keras.layers.SimpleRNN`.
    """

    def get_config(self) -> dict[str, Any]:
        """Return Keras's configuration, with `seed`."""
        return {**super().get_config(), "seed": self.cell.seed}

    def step(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        """Compute one timestep; see `LSTM.step`."""
        cell = self.cell
        # Keras's cell draws its masks in inference too, inside of the loop, where JAX forbids it.
        draws = not training and (self.dropout or self.recurrent_dropout)
        if not draws and (not cell.use_bias or not loses_bias_gradient(self)):
            return super().step(inputs, states, training)
        (hidden,) = states
        if training and self.recurrent_dropout:
            hidden = hidden * cell.get_recurrent_dropout_mask(hidden)
        products = ops.matmul(self._dropped(inputs, training), cell.kernel)
        if cell.use_bias:
            products = products + ops.convert_to_tensor(cell.bias)
        hidden = cell.activation(products + ops.matmul(hidden, cell.recurrent_kernel))
        return hidden, [hidden]


def state_shapes(layer: Any, sequences: Any) -> tuple[tuple[int, ...], ...]:
    """Return the shape of each state of a recurrent layer of Keras, without the batch."""
    if isinstance(layer, keras.layers.ConvLSTM2D):
        image = layer.cell.compute_output_shape((None, *sequences.shape[2:]))[0]
        return (tuple(image[1:]),) * 2
    return tuple((size,) for size in layer.state_size)


def _with_axes(flags: Any, array: Any) -> Any:
    """Return flags `[batch, ...]` with axes of size 1 up to the rank of an array."""
    return flags[(..., *[None] * (len(array.shape) - len(flags.shape)))]


def without_cudnn(layer: Any, mask: Any = None) -> bool:
    """Return whether Keras's fused path is wrong on a GPU; this follows from its source, and was not seen on a GPU.

    On JAX it gives every dtype to cuDNN as float32, and a GRU without a bias computes in JAX's default dtype, on a CPU
    too. On TensorFlow its output is zero where a mask pads a sequence on the right; every other path repeats the last
    output there. Other masks raise in a graph.
    """
    if keras.backend.backend() == "jax":
        without_bias = isinstance(layer, keras.layers.GRU) and not layer.use_bias
        return bool(layer.compute_dtype != "float32" or without_bias)
    return keras.backend.backend() == "tensorflow" and mask is not None


def loses_bias_gradient(layer: Any) -> bool:
    """Return whether Keras's `ops.add` of a bias sums its gradient in bfloat16, as `tf.nn.bias_add` does."""
    return bool(keras.backend.backend() == "tensorflow" and layer.compute_dtype == "bfloat16")
