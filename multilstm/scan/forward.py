"""The walk of `ScanModel` through the graph: it applies the layers, and carries the states of recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from multilstm.errors import UnsupportedError
from multilstm.scan.batch import Arrays, Batch
from multilstm.scan.dropout import Dropout as RecurrentDropout
from multilstm.scan.layer import last_output
from multilstm.scan.layers import Given, apply
from multilstm.scan.loops.checks import to_int32
from multilstm.scan.loops.ragged import reverse_within
from multilstm.scan.loops.split import MeshOption, Split
from multilstm.scan.recurrent import Sequences, run
from multilstm.scan.stack import merge
from multilstm.spec import Bidirectional, Call, Graph, Layer, TimeDistributed
from multilstm.spec.arrays import AnyState, as_state
from multilstm.spec.layers import InnerModel, Recurrent
from multilstm.spec.propagation import walk
from multilstm.spec.shapes import Shape


class ForwardOptions(NamedTuple):
    """The options of a forward pass; each as in `ScanModel`.

    Attributes:
        spec: the model.
        custom_gradient: whether to use the gradient derived by hand.
        mesh: as in `lstm`, or the split that was chosen for all LSTMs.
        dtype: of computation and results, or None.
    """

    spec: Graph
    custom_gradient: bool
    mesh: MeshOption | Split
    dtype: str | None


NOTHING = Batch({}, (), {}, {}, {}, None)  # for layers inside of a TimeDistributed


class Walker:
    """Applies the layers of one walk through the graph, and collects sequences and states on the way."""

    def __init__(self, options: ForwardOptions, weights: Arrays, batch: Batch, training: bool = False) -> None:
        self.training = training
        self.statistics: dict[str, jax.Array] = {}
        self.options, self.weights, self.states = options, weights, dict(batch.states)
        self.dropout = batch.dropout
        self.timesteps = real_timesteps(batch)
        self.sequences: dict[str, jax.Array] = {}
        self.last_outputs: dict[str, jax.Array] = {}
        self.last_states: dict[str, AnyState] = {}
        self.activity: jax.Array | float = 0.0

    def __call__(
        self,
        call: Call,
        layer: Layer,
        inputs: list[jax.Array],
        masks: list[jax.Array | None],
        initial: list[jax.Array],
    ) -> Sequence[jax.Array]:
        """Return the tensors of one call of a layer, as `multilstm.spec.propagation.walk` needs them."""
        x, mask, name = inputs[0], masks[0], call.layer
        if isinstance(layer, Recurrent):
            output, state = self._run(name, layer, x, mask, initial, self._real(call))
            return [output, *state] if layer.return_state else [output]
        if isinstance(layer, Bidirectional):
            return self._bidirectional(name, layer, x, mask, initial, self._real(call))
        if isinstance(layer, InnerModel):
            return [self._inner_model(call, layer, x)]
        if isinstance(layer, TimeDistributed) and (layer.layer.recurrent or layer.inner_model):
            return [self._distributed(call, layer, x)]
        given = Given(
            *(name, inputs, masks, {**self.weights, **self.statistics}, self.dropout, self.cast),
            *(self.options.custom_gradient, self.training, self.statistics),
        )
        output = apply(layer, given)
        if layer.activity is not None:
            if self.timesteps is not None:
                raise UnsupportedError(
                    f"multilstm.scan: {layer.label} has an activity_regularizer, which would count the padding of a "
                    f"bucket; give batches of one length"
                )
            self.activity = self.activity + layer.activity(output) / len(output)
        return [output]

    def _distributed(self, call: Call, layer: TimeDistributed, x: jax.Array) -> jax.Array:
        """Return the output of a recurrent layer or a model for the sequence of each timestep, without its states."""
        inside = Walker(self.options, self.weights, NOTHING, self.training)
        (output,) = inside(call, layer.layer, [x.reshape(-1, *x.shape[2:])], [None], [])
        return output.reshape(*x.shape[:2], *output.shape[1:])

    def _inner_model(self, call: Call, layer: InnerModel, x: jax.Array) -> jax.Array:
        """Return the output of a model for sequences `[batch, ...]`, with the masks of its own layers."""
        options = self.options._replace(spec=layer.model)
        inside = Walker(options, within(self.weights, call.layer), NOTHING, self.training)
        tensors, _ = walk(layer.model, {layer.source: x}, {}, inside)
        return tensors[layer.model.outputs[0]]

    def cast(self, array: jax.Array) -> jax.Array:
        """Return an array of floats in the dtype of computation, and an array of integers unchanged."""
        array, dtype = jnp.asarray(array), self.options.dtype
        return array.astype(dtype) if dtype and jnp.issubdtype(array.dtype, jnp.floating) else array

    def floats(self, array: jax.Array) -> jax.Array:
        """Return an array in the dtype of computation; integers too, whose sums and products would wrap around."""
        array = self.cast(array)
        if jnp.issubdtype(array.dtype, jnp.floating):
            return array
        dtypes = {jnp.asarray(weight).dtype for weight in self.weights.values()} or {jnp.result_type(float)}
        return array.astype(self.options.dtype or dtypes.pop())

    def _dropout_inside(self, name: str) -> RecurrentDropout:
        """Return the dropout masks of one recurrent layer, in the dtype of computation."""
        masks = (self.dropout.get(f"{name}/{kind}") for kind in ("dropout", "recurrent_dropout"))
        return RecurrentDropout(*(None if mask is None else self.cast(mask) for mask in masks))

    def _real(self, call: Call) -> jax.Array | None:
        """Return the number of real timesteps of the call's input, or None if all are real."""
        return self.timesteps if is_open(self.options.spec.tensor_shapes[call.inputs[0]]) else None

    def _run(
        self,
        name: str,
        layer: Recurrent,
        x: jax.Array,
        mask: jax.Array | None,
        initial: Sequence[jax.Array],
        real: jax.Array | None,
    ) -> tuple[jax.Array, AnyState]:
        state = self.states.get(name) or (as_state(*initial) if initial else None)
        masked = mask is not None
        if masked:
            mask = counted(x, mask, real)
        if real is not None and layer.go_backwards:  # from the last real timestep
            x = reverse_within(x, real)
            mask = None if mask is None else reverse_within(mask[..., None], real)[..., 0]
        backwards = layer.go_backwards and real is None
        options = self.options
        sequence, last = run(
            layer,
            Sequences(
                within(self.weights, name),
                x,
                state,
                mask,
                None if masked else real,
                backwards,
                self._dropout_inside(name),
                self.cast,
                options.custom_gradient,
                options.dtype,
                options.mesh,
            ),
        )
        self.last_states[name] = last
        if layer.stateful:  # a second call of a shared layer continues here; as between batches, no gradient passes
            self.states[name] = jax.lax.stop_gradient(last)
        if layer.return_sequences:
            self.sequences[name] = sequence
            return sequence, last
        if mask is not None and real is not None and layer.zero_output_for_mask:
            mask = jnp.take(mask, real - 1, axis=1)[:, None]  # the only timestep that decides the last output
        self.last_outputs[name] = last_output(sequence, last, mask, backwards, layer.zero_output_for_mask)
        return self.last_outputs[name], last

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
        for index, (direction, directed) in enumerate(layer.directions.items()):
            start = initial[directed.state_count * index : directed.state_count * (index + 1)]
            output, state = self._run(f"{name}/{direction}", directed, x, mask, start, real)
            # The backward run ends at the first timestep. Reversed, both outputs have the same timesteps.
            if direction == "backward" and directed.return_sequences:
                output = jnp.flip(output, 1) if real is None else reverse_within(output, real)
            outputs.append(output)
            states += state
        merged = merge(layer.merge_mode, *outputs)
        return [*(merged if layer.merge_mode is None else [merged]), *(states if layer.layer.return_state else [])]


def within(weights: Arrays, layer: str) -> dict[str, jax.Array]:
    """Return the weights of one layer by name, without the layer's name."""
    return {key.removeprefix(f"{layer}/"): weight for key, weight in weights.items() if key.startswith(f"{layer}/")}


def is_open(shape: Shape) -> bool:
    """Return whether the spec leaves the number of timesteps of a tensor open."""
    return len(shape) > 2 and shape[1] is None


def real_timesteps(batch: Batch) -> jax.Array | None:
    """Return the number of real timesteps in int32, or None if all are real."""
    return None if batch.timesteps is None else to_int32(jnp.asarray(batch.timesteps))


def counted(array: jax.Array, mask: jax.Array | None, timesteps: jax.Array | None) -> jax.Array | None:
    """Return the mask of an array, `[batch, timesteps, ...]` without features, False where a timestep is padding."""
    if timesteps is None:
        return mask
    steps = jnp.arange(array.shape[1]).reshape(-1, *[1] * (array.ndim - 3))
    real = jnp.broadcast_to(steps < timesteps.astype(steps.dtype), array.shape[:-1])
    return real if mask is None else mask & real
