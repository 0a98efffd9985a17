"""A spec as pure JAX functions: outputs, loss, gradient and training step, over dicts of arrays.

Weights are a dict `layer/weight` in Keras's layout, optimizer slots a dict `layer/weight/slot`, states a dict of
`State` by LSTM (`lstm`, or `bidirectional/forward`). Everything goes in and comes out; nothing is kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from multilstm.scan.forward import Arrays, Walker, counted, is_open
from multilstm.scan.loops.plan import Plan, Sizes, choose
from multilstm.scan.losses import loss_value
from multilstm.spec import Graph
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.propagation import walk


class Evaluation(NamedTuple):
    """What a model gives.

    Attributes:
        outputs: the model's outputs, in order.
        output_masks: boolean `[batch, timesteps]` of each output, or None.
        sequences: for every LSTM with return_sequences, what it returned, `[batch, timesteps, units]`, in the order
            in which it went through the timesteps.
        last_outputs: for every other LSTM, what it returned, `[batch, units]`.
        states: for every LSTM, its state after the last processed timestep, each `[batch, units]`.
    """

    outputs: tuple[jax.Array, ...]
    output_masks: tuple[jax.Array | None, ...]
    sequences: dict[str, jax.Array]
    last_outputs: dict[str, jax.Array]
    states: dict[str, State]


class Gradients(NamedTuple):
    """Gradients of the loss, each of the shape of what it is the gradient of.

    Attributes:
        weights: of every weight of `spec.trainable_weights`.
        inputs: of every input of floats.
        states: of every initial state that was given to an LSTM that is not stateful.
    """

    weights: dict[str, jax.Array]
    inputs: dict[str, jax.Array]
    states: dict[str, State]


@dataclasses.dataclass(frozen=True)
class ScanModel:
    """The pure functions of one spec; hashable, so that it may be a static argument of `jax.jit`.

    Attributes:
        spec: the model.
        custom_gradient: as in `multilstm.scan.lstm`.
        mesh: as in `multilstm.scan.lstm`; the batch of everything must then be split over it.
        dtype: to compute and return in, such as `bfloat16`; None: that of the arrays. With weights in float32 this is
            Keras's mixed precision: losses, gradients and updates remain in float32.
        loss_scale: what the loss is multiplied by before it is differentiated, and gradients divided by; what comes out
            is scaled by nothing. In float16 the derivatives of a mean over many timesteps underflow: over 90,000 of
            them gradients are off by up to 15 % without it, by 0.3 % with 16 and 0.1 % with 256. Best is a power of two
            not above the number of terms of the mean; too large a one overflows, to gradients of infinity or NaN.
    """

    spec: Graph
    custom_gradient: bool = True
    mesh: Mesh | None = None
    dtype: str | None = None
    loss_scale: float = 1.0

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
            dropout: masks of Dropout layers and LSTMs, as in `jobs.job.Batch`; without one nothing is dropped.
            timesteps: how many of the timesteps of all arrays are real, where the spec leaves that number open; the
                others are room, cost nothing in the loops over time, and hold nothing of meaning in the outputs.
        """
        walker = Walker(
            self.spec, self.custom_gradient, self.mesh, self.dtype, weights, states or {}, dropout or {}, timesteps
        )
        inputs = {name: walker.cast(x) for name, x in inputs.items()}
        tensors, kept = walk(self.spec, inputs, masks or {}, walker)
        outputs = self.spec.outputs
        return Evaluation(
            tuple(tensors[ref] for ref in outputs),
            tuple(kept[ref] for ref in outputs),
            walker.sequences,
            walker.last_outputs,
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
            found[name] = choose(sizes, layer.unroll, checkpoint=False, ragged=False)
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
        masked = [
            counted(output, mask, timesteps) if is_open(shape) else mask
            for output, mask, shape in zip(
                evaluation.outputs, evaluation.output_masks, self.spec.output_shapes, strict=True
            )
        ]
        outputs = [output.astype("float32") if self.dtype else output for output in evaluation.outputs]
        value = loss_value(loss, outputs, targets, masked)
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

        def evaluated(trained: Arrays) -> tuple[jax.Array, Evaluation]:
            return self.loss({**weights, **trained}, inputs, targets, masks, states, dropout, timesteps, loss=loss)

        value, evaluation, (gradients,) = self._differentiated(
            evaluated, {name: weights[name] for name in self.spec.trainable_weights}
        )
        return value, evaluation, gradients

    def gradients(
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
    ) -> tuple[jax.Array, Evaluation, Gradients]:
        """As `gradient`, with the gradients of inputs and initial states, which no training needs."""
        given = dict(states or {})
        names, starting = self.spec.sources(given)
        trained = {name: weights[name] for name in self.spec.trainable_weights}
        floats, starts = {name: inputs[name] for name in names}, {name: given[name] for name in starting}

        def evaluated(trained: Arrays, floats: Arrays, starts: Mapping[str, State]) -> Any:
            arrays = {**weights, **trained}, {**inputs, **floats}, targets, masks, {**given, **starts}, dropout
            return self.loss(*arrays, timesteps, loss=loss)

        value, evaluation, found = self._differentiated(evaluated, trained, floats, starts)
        return value, evaluation, Gradients(*found)

    def _differentiated(
        self, evaluated: Callable[..., tuple[jax.Array, Evaluation]], *sources: Any
    ) -> tuple[jax.Array, Evaluation, tuple[Any, ...]]:
        """The loss, what else `evaluated` gives, and the gradient of the loss by each of the trees `sources`."""

        def scaled(*sources: Any) -> tuple[jax.Array, tuple[jax.Array, Evaluation]]:
            value, evaluation = evaluated(*sources)
            return value * self.loss_scale, (value, evaluation)

        every = tuple(range(len(sources)))
        (_, (value, evaluation)), found = jax.value_and_grad(scaled, argnums=every, has_aux=True)(*sources)
        if self.loss_scale != 1.0:
            found = jax.tree.map(lambda gradient: gradient / self.loss_scale, found)
        return value, evaluation, found

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
            loss: one of `multilstm.spec.optimizers.LOSSES`.

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
        gradients = optimizer.clip({name: gradients[name] for name in self.spec.trainable_weights})
        for name, gradient in gradients.items():
            weight, constraint = weights[name], self.spec.constraints.get(name)
            own = {slot: slots[f"{name}/{slot}"] for slot in optimizer.slots}
            scalars = {key: jnp.asarray(number, weight.dtype) for key, number in coefficients.items()}
            stepped, after = optimizer.step(weight, gradient, own, scalars)
            new_weights[name] = stepped if constraint is None else constraint(stepped)
            new_slots.update({f"{name}/{slot}": array for slot, array in after.items()})
        return new_weights, new_slots


def model(
    spec: Graph,
    custom_gradient: bool = True,
    mesh: Mesh | None = None,
    dtype: str | None = None,
    loss_scale: float = 1.0,
) -> ScanModel:
    """The pure functions of a spec.

    Args:
        spec: what `multilstm.Sequential` or `multilstm.Model` returned.
        custom_gradient: as in `multilstm.scan.lstm`; False allows forward-mode derivatives too.
        mesh: as in `multilstm.scan.lstm`.
        dtype: see `ScanModel`.
        loss_scale: see `ScanModel`.
    """
    return ScanModel(spec, custom_gradient, mesh, dtype, loss_scale)
