"""A spec as pure JAX functions: outputs, loss, gradient and training step, over dicts of arrays.

Weights are a dict `layer/weight` in Keras's layout, optimizer slots a dict `layer/weight/slot`. States are a dict of
`State` by LSTM (`lstm`, or `bidirectional/forward`) and of `HiddenState` by GRU or SimpleRNN. All arrays enter and
leave as values; a model keeps none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from multilstm.errors import InputError, shown
from multilstm.scan.arguments import as_flag, as_mesh, as_positive
from multilstm.scan.batch import Arrays, Batch, Evaluation, Gradients, Step
from multilstm.scan.dropout import with_drawn_dropout
from multilstm.scan.forward import ForwardOptions, Walker, counted, is_open, real_timesteps
from multilstm.scan.loops.checks import floating
from multilstm.scan.loops.plan import Plan, Sizes
from multilstm.scan.loops.split import MeshOption, Split, split_over
from multilstm.scan.loops.tournament import measured_split, planned
from multilstm.scan.losses import loss_value
from multilstm.scan.methods import AbstractModel
from multilstm.scan.modes import usual_promotion
from multilstm.scan.recurrent import check_computed
from multilstm.scan.validation import as_arrays, check_batch, check_slots, check_weights
from multilstm.spec import Embedding, Graph
from multilstm.spec.arrays import AnyState
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.propagation import walk


@dataclasses.dataclass(frozen=True)
class ScanModel(AbstractModel):
    """The pure functions of one spec; hashable, for a static argument of `jax.jit`.

    Attributes:
        spec: the model.
        custom_gradient: as in `multilstm.scan.lstm`.
        mesh: as in `multilstm.scan.lstm`; the batch of all arrays must be split over a mesh of the user. With `auto`,
            all LSTMs are split if one of them gains by it.
        dtype: of computation and results, such as `bfloat16`; None: that of the arrays. With weights in float32 this is
            Keras's mixed precision: losses, gradients and updates remain in float32.
        loss_scale: a factor of the loss before it is differentiated; gradients are divided by it, so that no result is
            scaled. In float16 the derivatives of a mean over many timesteps underflow. Over 90,000 of them, gradients
            are off by up to 15 % without it, by 0.3 % with 16, and by 0.1 % with 256. The best value is a power of two
            not above the number of terms of the mean. A larger one overflows, to gradients of infinity or NaN.
    """

    spec: Graph
    custom_gradient: bool = True
    mesh: MeshOption = None
    dtype: str | None = None
    loss_scale: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.spec, Graph):
            raise InputError(f"model: spec is {shown(self.spec)}, expected a multilstm.Model or multilstm.Sequential")
        check_computed(self.spec)
        object.__setattr__(self, "custom_gradient", as_flag("model: custom_gradient", self.custom_gradient))
        object.__setattr__(self, "loss_scale", as_positive("model: loss_scale", self.loss_scale))
        object.__setattr__(self, "mesh", as_mesh("model: mesh", self.mesh))
        if self.dtype is not None:
            floating("model", self.dtype)

    @usual_promotion()
    def apply_batch(self, weights: Arrays, batch: Batch, *, training: bool = False) -> Evaluation:
        """Do as `apply`, on a batch; in training, BatchNormalization uses the statistics of the batch.

        Layers with a seed draw their dropout masks in training, if the batch has a step.
        """
        weights, batch = check_batch(self.spec, weights, batch)
        if training:
            batch = with_drawn_dropout(self.spec, weights, batch)
        options = ForwardOptions(self.spec, self.custom_gradient, self.shared(weights, batch), self.dtype)
        walker = Walker(options, weights, batch, training)
        tokens = self.spec.readers(Embedding)
        inputs = {
            name: jnp.asarray(x) if name in tokens else walker.floats(x)  # in half precision, 257 would become 256
            for name, x in batch.inputs.items()
        }
        tensors, masks = walk(self.spec, inputs, batch.masks, walker)
        outputs = self.spec.outputs
        return Evaluation(
            tuple(tensors[ref] for ref in outputs),
            tuple(masks[ref] for ref in outputs),
            walker.sequences,
            walker.last_outputs,
            walker.last_states,
            walker.statistics,
            walker.activity,
        )

    def plans(self, batch: int, timesteps: int, itemsize: int = 4) -> dict[str, Plan]:
        """Return the layout of the loop of each LSTM, by name.

        Args:
            batch: number of sequences; of one device if several share them.
            timesteps: number of timesteps, where the spec leaves it open.
            itemsize: bytes of a number.
        """
        sizes = self._sizes(batch, timesteps, itemsize)
        return {
            name: planned(sizes[name], layer.unroll, checkpoint=False, ragged=False)
            for name, layer in self.spec.lstms.items()
        }

    def shared(self, weights: Arrays, batch: Batch, by_place: bool = True) -> Mesh | Split | None:
        """Return the mesh, or with `auto` the devices that share this batch; None: one device computes it.

        Args:
            weights: every weight by `layer/weight`.
            batch: with its inputs.
            by_place: whether the devices of the arrays count too; otherwise sizes alone decide, as under `jax.jit`.
        """
        if self.mesh != "auto":
            assert not isinstance(self.mesh, (str, bool))
            return self.mesh
        shapes = [np.shape(x) for x in batch.inputs.values()]
        kernels = [weights[f"{name}/kernel"] for name in self.spec.lstms]
        if not kernels or not shapes:
            return None
        timesteps = max((shape[1] for shape in shapes if len(shape) > 1), default=1)
        itemsize = jnp.dtype(self.dtype or jnp.result_type(*kernels)).itemsize
        problems = list(self._sizes(shapes[0][0], timesteps, itemsize).values())
        return split_over("auto", problems, measured_split, (weights, batch) if by_place else ())

    def _sizes(self, batch: int, timesteps: int, itemsize: int) -> dict[str, Sizes]:
        """Return the sizes of each LSTM, by name; the arguments are those of `plans`."""
        problems = {}
        for name, layer in self.spec.lstms.items():
            _, steps, features = self.spec.layer_inputs[name.split("/")[0]]
            assert features is not None
            problems[name] = Sizes(batch, timesteps if steps is None else steps, features, layer.units, itemsize)
        return problems

    @usual_promotion()
    def loss(self, weights: Arrays, batch: Batch, *, loss: str, training: bool = False) -> tuple[jax.Array, Evaluation]:
        """Return the loss and the model's outputs.

        The loss is the sum over all outputs, and over the regularizers of `weights`.

        Args:
            weights: every weight by `layer/weight`.
            batch: with targets.
            loss: one of `multilstm.spec.optimizers.LOSSES`.
            training: see `apply_batch`.
        """
        weights, batch = check_batch(self.spec, weights, batch)
        evaluation = self.apply_batch(weights, batch, training=training)
        masks = []
        for output, mask, shape in zip(
            evaluation.outputs, evaluation.output_masks, self.spec.output_shapes, strict=True
        ):
            mask = mask if mask is None or mask.ndim == output.ndim - 1 else None  # as in Keras
            masks.append(counted(output, mask, real_timesteps(batch)) if is_open(shape) else mask)
        outputs = [output.astype("float32") if self.dtype else output for output in evaluation.outputs]
        value = loss_value(loss, outputs, batch.targets, masks)
        return value + self.spec.penalty(weights) + evaluation.activity, evaluation

    @usual_promotion()
    def gradient_batch(
        self, weights: Arrays, batch: Batch, *, loss: str
    ) -> tuple[jax.Array, Evaluation, dict[str, jax.Array]]:
        """Do as `gradient`, on a batch."""
        weights, batch = check_batch(self.spec, weights, batch)

        def evaluated(trained: Arrays) -> tuple[jax.Array, Evaluation]:
            return self.loss({**weights, **trained}, batch, loss=loss, training=True)

        value, evaluation, (gradients,) = self._differentiated(evaluated, self._trained(weights))
        return value, evaluation, gradients

    @usual_promotion()
    def gradients(self, weights: Arrays, batch: Batch, *, loss: str) -> tuple[jax.Array, Evaluation, Gradients]:
        """Return the results of `gradient`, and the gradients of inputs and initial states too.

        Args:
            weights: every weight by `layer/weight`.
            batch: with targets.
            loss: one of `multilstm.spec.optimizers.LOSSES`.
        """
        weights, batch = check_batch(self.spec, weights, batch)
        names, starting = self.spec.sources(batch.states)
        floats = {name: batch.inputs[name] for name in names}
        starts = {name: batch.states[name] for name in starting}

        def evaluated(trained: Arrays, floats: Arrays, starts: Mapping[str, AnyState]) -> tuple[jax.Array, Evaluation]:
            inputs, states = {**batch.inputs, **floats}, {**batch.states, **starts}
            given = batch._replace(inputs=inputs, states=states)
            return self.loss({**weights, **trained}, given, loss=loss, training=True)

        value, evaluation, gradients = self._differentiated(evaluated, self._trained(weights), floats, starts)
        return value, evaluation, Gradients(*gradients)

    def _trained(self, weights: Arrays) -> dict[str, jax.Array]:
        return {name: weights[name] for name in self.spec.trainable_weights}

    def _differentiated(
        self, evaluated: Callable[..., tuple[jax.Array, Evaluation]], *sources: Any
    ) -> tuple[jax.Array, Evaluation, tuple[Any, ...]]:
        """Return the two results of `evaluated`, and the gradient of the first by each of the trees `sources`."""

        def scaled(*sources: Any) -> tuple[jax.Array, tuple[jax.Array, Evaluation]]:
            value, evaluation = evaluated(*sources)
            return value * self.loss_scale, (value, evaluation)

        every = tuple(range(len(sources)))
        (_, (value, evaluation)), gradients = jax.value_and_grad(scaled, argnums=every, has_aux=True)(*sources)
        if self.loss_scale != 1.0:
            gradients = jax.tree.map(lambda gradient: gradient / self.loss_scale, gradients)
        return value, evaluation, gradients

    @usual_promotion()
    def train_step_batch(
        self,
        weights: Arrays,
        slots: Arrays,
        coefficients: Mapping[str, Any],
        batch: Batch,
        *,
        optimizer: Optimizer,
        loss: str,
    ) -> Step:
        """Do as `train_step`, on a batch."""
        value, evaluation, gradients = self.gradient_batch(weights, batch, loss=loss)
        new_weights, new_slots = self.update(weights, slots, coefficients, gradients, optimizer=optimizer)
        return {**new_weights, **evaluation.statistics}, new_slots, value, evaluation

    @usual_promotion()
    def update(
        self,
        weights: Arrays,
        slots: Arrays,
        coefficients: Mapping[str, Any],
        gradients: Arrays,
        *,
        optimizer: Optimizer,
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Return the new weights and the new slots: the part of `train_step` after the gradient.

        Args:
            weights: see `train_step`.
            slots: see `train_step`.
            coefficients: see `train_step`.
            gradients: of every trained weight, by `layer/weight`.
            optimizer: the update rule.

        Raises:
            InputError: for arrays that do not fit the spec.
        """
        check_weights(self.spec, weights)
        check_slots(self.spec, optimizer, slots, coefficients, gradients)
        weights, slots, gradients = map(as_arrays, (weights, slots, gradients))
        new_weights, new_slots = dict(weights), {}
        gradients = optimizer.clip({name: gradients[name] for name in self.spec.trainable_weights})
        for name, gradient in gradients.items():
            weight, constraint = jnp.asarray(weights[name]), self.spec.constraints.get(name)
            slots_of_weight = {slot: slots[f"{name}/{slot}"] for slot in optimizer.slots}
            scalars = {key: jnp.asarray(number, weight.dtype) for key, number in coefficients.items()}
            stepped, after = optimizer.step(weight, gradient, slots_of_weight, scalars)
            new_weights[name] = stepped if constraint is None else constraint(stepped)
            new_slots.update({f"{name}/{slot}": array for slot, array in after.items()})
        return new_weights, new_slots


def model(
    spec: Graph,
    custom_gradient: bool = True,
    mesh: MeshOption = None,
    dtype: str | None = None,
    loss_scale: float = 1.0,
) -> ScanModel:
    """Return the pure functions of a spec.

    Args:
        spec: as `multilstm.Sequential` or `multilstm.Model` returned it.
        custom_gradient: as in `multilstm.scan.lstm`; False allows forward-mode derivatives too.
        mesh: as in `multilstm.scan.lstm`.
        dtype: see `ScanModel`.
        loss_scale: see `ScanModel`.

    Raises:
        InputError: for an argument of another type.
    """
    return ScanModel(spec, custom_gradient, mesh, dtype, loss_scale)
