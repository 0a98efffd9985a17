"""A spec as pure JAX functions: outputs, loss, gradient and training step, over dicts of arrays.

Weights are a dict `layer/weight` in Keras's layout, optimizer slots a dict `layer/weight/slot`, states a dict of
`State` by LSTM (`lstm`, or `bidirectional/forward`). Everything goes in and comes out; nothing is kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from multilstm.scan.cell import LSTMParams
from multilstm.scan.dense import dense
from multilstm.scan.dropout import Dropout as LSTMDropout
from multilstm.scan.layer import last_output, lstm
from multilstm.scan.losses import loss_value
from multilstm.scan.plan import Plan, Sizes, choose
from multilstm.scan.ragged import reverse_within
from multilstm.scan.stack import merge
from multilstm.spec import (
    LSTM,
    Activation,
    Bidirectional,
    Call,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Layer,
    Masking,
    RepeatVector,
    TimeDistributed,
)
from multilstm.spec.shapes import Shape
from multilstm.spec.walk import walk
from multilstm.state import State
from multilstm.training import Optimizer

Arrays = Mapping[str, jax.Array]


class Evaluation(NamedTuple):
    """What a model gives.

    Attributes:
        outputs: the model's outputs, in order.
        output_masks: boolean `[batch, timesteps]` of each output, or None.
        sequences: for every LSTM with return_sequences, what it returned, `[batch, timesteps, units]`, in the order
            in which it went through the timesteps.
        states: for every LSTM, its state after the last processed timestep, each `[batch, units]`.
    """

    outputs: tuple[jax.Array, ...]
    output_masks: tuple[jax.Array | None, ...]
    sequences: dict[str, jax.Array]
    states: dict[str, State]


@dataclasses.dataclass(frozen=True)
class ScanModel:
    """The pure functions of one spec; hashable, so that it may be a static argument of `jax.jit`.

    Attributes:
        spec: the model.
        custom_gradient: as in `multilstm.scan.lstm`.
        mesh: as in `multilstm.scan.lstm`; the batch of everything must then be split over it.
    """

    spec: Graph
    custom_gradient: bool = True
    mesh: Mesh | None = None

    def apply(
        self,
        weights: Arrays,
        inputs: Arrays,
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
        timesteps: jax.Array | None = None,
    ) -> Evaluation:
        """The model's outputs.

        Args:
            weights: every weight by `layer/weight`.
            inputs: an array for every input layer, by name, `[batch, ...]`.
            masks: for inputs by name, boolean `[batch, timesteps]`, True where a timestep counts.
            states: initial states by LSTM; they win over what the graph passes to it; absent ones are zero.
            dropout: masks of Dropout layers and LSTMs, as in `multilstm.job.Batch`; without one nothing is dropped.
            timesteps: how many of the timesteps of all arrays are real, where the spec leaves that number open; the
                others are room, cost nothing in the loops over time, and hold nothing of meaning in the outputs.
        """
        walker = _Walker(self, weights, states or {}, dropout or {}, timesteps)
        tensors, kept = walk(self.spec, inputs, masks or {}, walker)
        outputs = self.spec.outputs
        return Evaluation(
            tuple(tensors[ref] for ref in outputs),
            tuple(kept[ref] for ref in outputs),
            walker.sequences,
            walker.last_states,
        )

    def plans(self, batch: int, timesteps: int, itemsize: int = 4) -> dict[str, Plan]:
        """How the loop of each LSTM is laid out, by name.

        Args:
            batch: how many sequences; of one device where several share them.
            timesteps: how many, where the spec leaves the number open.
            itemsize: bytes of a number.
        """
        found = {}
        for name, layer in self.spec.lstms.items():
            _, steps, features = self.spec.layer_inputs[name.split("/")[0]]
            assert features is not None
            sizes = Sizes(batch, timesteps if steps is None else steps, features, layer.units, itemsize)
            found[name] = choose(sizes, unroll=False, checkpoint=False, ragged=False)
        return found

    def loss(
        self,
        weights: Arrays,
        inputs: Arrays,
        targets: Sequence[jax.Array],
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
        timesteps: jax.Array | None = None,
        *,
        loss: str,
    ) -> tuple[jax.Array, Evaluation]:
        """The loss, summed over all outputs, and what `apply` gives; `targets` has an array for every output.

        What regularizers add for `weights` is part of the loss.
        """
        evaluation = self.apply(weights, inputs, masks, states, dropout, timesteps)
        counted = [
            _counted(output, mask, timesteps) if is_open(shape) else mask
            for output, mask, shape in zip(
                evaluation.outputs, evaluation.output_masks, self.spec.output_shapes, strict=True
            )
        ]
        value = loss_value(loss, evaluation.outputs, targets, counted)
        return value + self.spec.penalty(weights), evaluation

    def gradient(
        self,
        weights: Arrays,
        inputs: Arrays,
        targets: Sequence[jax.Array],
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
        timesteps: jax.Array | None = None,
        *,
        loss: str,
    ) -> tuple[jax.Array, Evaluation, dict[str, jax.Array]]:
        """What `loss` gives, and the gradient of the loss by every weight of `spec.trainable_weights`."""

        def differentiated(trained: Arrays) -> tuple[jax.Array, Evaluation]:
            return self.loss({**weights, **trained}, inputs, targets, masks, states, dropout, timesteps, loss=loss)

        trained = {name: weights[name] for name in self.spec.trainable_weights}
        (value, evaluation), gradients = jax.value_and_grad(differentiated, has_aux=True)(trained)
        return value, evaluation, gradients

    def train_step(
        self,
        weights: Arrays,
        slots: Arrays,
        coefficients: Mapping[str, Any],
        inputs: Arrays,
        targets: Sequence[jax.Array],
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
        timesteps: jax.Array | None = None,
        *,
        optimizer: Optimizer,
        loss: str,
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array], jax.Array, Evaluation]:
        """One update of all weights that are trained; constraints act after it.

        Args:
            weights: every weight by `layer/weight`.
            slots: every optimizer slot of every weight that is trained, by `layer/weight/slot`, zeros at first.
            coefficients: `optimizer.coefficients(iteration)`. Under `jax.jit` they are arguments, so that a new
                iteration compiles nothing; they are converted to each weight's dtype.
            inputs: as in `apply`; so are `masks`, `states` and `dropout`.
            targets: an array for every output.
            masks: see `apply`.
            states: see `apply`.
            dropout: see `apply`.
            timesteps: see `apply`.
            optimizer: its update rule.
            loss: one of `multilstm.training.LOSSES`.

        Returns:
            The new weights, the new slots, the loss before the update, and what `apply` gave.
        """
        value, evaluation, gradients = self.gradient(
            weights, inputs, targets, masks, states, dropout, timesteps, loss=loss
        )
        return *self.update(weights, slots, coefficients, gradients, optimizer=optimizer), value, evaluation

    def update(
        self,
        weights: Arrays,
        slots: Arrays,
        coefficients: Mapping[str, Any],
        gradients: Arrays,
        *,
        optimizer: Optimizer,
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """What `train_step` does after the gradient, for those who compute it apart.

        Args:
            weights: see `train_step`.
            slots: see `train_step`.
            coefficients: see `train_step`.
            gradients: of every weight that is trained, by `layer/weight`.
            optimizer: its update rule.

        Returns:
            The new weights and the new slots.
        """
        new_weights, new_slots = dict(weights), {}
        for name in self.spec.trainable_weights:
            weight, constraint = weights[name], self.spec.constraints.get(name)
            own = {slot: slots[f"{name}/{slot}"] for slot in optimizer.slots}
            scalars = {key: jnp.asarray(number, weight.dtype) for key, number in coefficients.items()}
            stepped, after = optimizer.step(weight, gradients[name], own, scalars)
            new_weights[name] = stepped if constraint is None else constraint(stepped)
            new_slots.update({f"{name}/{slot}": array for slot, array in after.items()})
        return new_weights, new_slots


def model(spec: Graph, custom_gradient: bool = True, mesh: Mesh | None = None) -> ScanModel:
    """The pure functions of a spec.

    Args:
        spec: what `multilstm.Sequential` or `multilstm.Model` returned.
        custom_gradient: as in `multilstm.scan.lstm`; False allows forward-mode derivatives too.
        mesh: as in `multilstm.scan.lstm`.
    """
    return ScanModel(spec, custom_gradient, mesh)


class _Walker:
    """Applies the layers of one walk through the graph, and collects sequences and states on the way."""

    def __init__(
        self,
        model: ScanModel,
        weights: Arrays,
        states: Mapping[str, State],
        dropout: Arrays,
        timesteps: jax.Array | None,
    ) -> None:
        self.model, self.weights, self.states, self.dropout = model, weights, dict(states), dropout
        self.timesteps = timesteps
        self.sequences: dict[str, jax.Array] = {}
        self.last_states: dict[str, State] = {}

    def __call__(
        self, call: Call, layer: Layer, inputs: list[jax.Array], mask: jax.Array | None, initial: list[jax.Array]
    ) -> Sequence[jax.Array]:
        x, name = inputs[0], call.layer
        if isinstance(layer, LSTM):
            output, state = self._lstm(name, layer, x, mask, initial, self._real(call))
            return [output, *state] if layer.return_state else [output]
        if isinstance(layer, Bidirectional):
            return self._bidirectional(name, layer, x, mask, initial, self._real(call))
        return [self._stateless(name, layer, x, inputs)]

    def _stateless(self, name: str, layer: Layer, x: jax.Array, inputs: list[jax.Array]) -> jax.Array:
        match layer:
            case Embedding():
                return jnp.take(self.weights[f"{name}/embeddings"], x.astype("int32"), axis=0)
            case Masking():
                return jnp.where((x != layer.mask_value).any(-1, keepdims=True), x, 0)
            case Dense():
                return self._dense(name, layer, x)
            case TimeDistributed():
                return self._dense(name, layer.layer, x)
            case Dropout():
                return x * self.dropout[name] if name in self.dropout else x
            case Activation():
                return dense(None, None, x, layer.activation, self.model.custom_gradient)
            case RepeatVector():
                return jnp.repeat(x[:, None], layer.n, axis=1)
            case Concatenate():
                return jnp.concatenate(inputs, -1)
            case _:
                raise NotImplementedError(type(layer))

    def _dense(self, name: str, layer: Dense, x: jax.Array) -> jax.Array:
        bias = self.weights[f"{name}/bias"] if layer.use_bias else None
        return dense(self.weights[f"{name}/kernel"], bias, x, str(layer.activation), self.model.custom_gradient)

    def _real(self, call: Call) -> jax.Array | None:
        """How many timesteps of the call's input are real, if not all are."""
        return self.timesteps if is_open(self.model.spec.tensor_shapes[call.inputs[0]]) else None

    def _lstm(
        self,
        name: str,
        layer: LSTM,
        x: jax.Array,
        mask: jax.Array | None,
        initial: Sequence[jax.Array],
        real: jax.Array | None,
    ) -> tuple[jax.Array, State]:
        params = LSTMParams(
            self.weights[f"{name}/kernel"],
            self.weights[f"{name}/recurrent_kernel"],
            self.weights[f"{name}/bias"] if layer.use_bias else None,
        )
        state = self.states.get(name) or (State(*initial) if initial else None)
        masked = mask is not None
        if masked:
            mask = _counted(x, mask, real)
        if real is not None and layer.go_backwards:  # from the last real timestep
            x = reverse_within(x, real)
            mask = None if mask is None else reverse_within(mask[..., None], real)[..., 0]
        backwards = layer.go_backwards and real is None
        sequence, last = lstm(
            params,
            x,
            state,
            mask,
            backwards,
            layer.activation,
            layer.recurrent_activation,
            layer.zero_output_for_mask,
            self.model.custom_gradient,
            lengths=None if masked else real,
            dropout=LSTMDropout(*(self.dropout.get(f"{name}/{kind}") for kind in ("dropout", "recurrent_dropout"))),
            mesh=self.model.mesh,
        )
        self.last_states[name] = last
        if layer.stateful:  # where a second call of a shared layer goes on; no gradient goes back, as between batches
            self.states[name] = jax.lax.stop_gradient(last)
        if layer.return_sequences:
            self.sequences[name] = sequence
            return sequence, last
        if mask is not None and real is not None and layer.zero_output_for_mask:
            mask = jnp.take(mask, real - 1, axis=1)[:, None]  # the only step of which the last output asks
        return last_output(sequence, last, mask, backwards, layer.zero_output_for_mask), last

    def _bidirectional(
        self,
        name: str,
        layer: Bidirectional,
        x: jax.Array,
        mask: jax.Array | None,
        initial: list[jax.Array],
        real: jax.Array | None,
    ) -> Sequence[jax.Array]:
        outputs: list[jax.Array] = []
        states: list[jax.Array] = []
        for index, (direction, each) in enumerate(layer.directions.items()):
            output, state = self._lstm(f"{name}/{direction}", each, x, mask, initial[2 * index : 2 * index + 2], real)
            # The backward run ends at the first timestep: turned back, so that both tell of the same timesteps.
            if direction == "backward" and each.return_sequences:
                output = jnp.flip(output, 1) if real is None else reverse_within(output, real)
            outputs.append(output)
            states += state
        merged = merge(layer.merge_mode, *outputs)
        return [*(merged if layer.merge_mode is None else [merged]), *(states if layer.layer.return_state else [])]


def is_open(shape: Shape) -> bool:
    """Whether the spec leaves the number of timesteps of a tensor open."""
    return len(shape) > 2 and shape[1] is None


def _counted(array: jax.Array, mask: jax.Array | None, timesteps: jax.Array | None) -> jax.Array | None:
    """The mask of an array `[batch, timesteps, ...]` of which only so many timesteps are real."""
    if timesteps is None:
        return mask
    real = jnp.broadcast_to(jnp.arange(array.shape[1]) < timesteps, array.shape[:2])
    return real if mask is None else mask & real
