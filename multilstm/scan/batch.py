"""The arrays that enter a model, as one pytree, and the arrays that leave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from multilstm.scan.arguments import as_whole_number
from multilstm.spec.arrays import AnyState

Arrays = Mapping[str, jax.Array]


class Batch(NamedTuple):
    """The arrays of one step: everything that a model takes except its weights.

    Attributes:
        inputs: an array for every input layer, by name, `[batch, ...]`. A concrete token outside of an Embedding's
            table is refused. A traced one gives NaN, except that -1 to -input_dim count from the table's end. Without
            x64 mode, `jax.jit` itself wraps integers of 64 bits at its border; no function behind it can see that.
        targets: an array for every output, of the output's shape; empty if there is no loss.
        masks: for inputs by name, boolean `[batch, timesteps]`, True where a timestep counts.
        states: initial states by recurrent layer, each `[batch, units]`. They win over the states that the graph
            passes; states that are missing are zero.
        dropout: masks of Dropout and recurrent layers, as in `multilstm.jobs.job.Batch`. A layer without a mask drops
            nothing.
        timesteps: the number of real timesteps of all arrays, where the spec leaves that number open. The others are
            padding: they cost nothing in the loops over time, and their outputs mean nothing. None: all are real. A
            layer that reads several timesteps, such as Conv1D, is refused, since padding would change its results.
        step: the number of updates before this one, an integer from 0 to 2**31 - 1. In training, every layer with a
            seed and without a mask then draws its mask. None: no mask is drawn.
    """

    inputs: Arrays
    targets: Sequence[jax.Array]
    masks: Arrays
    states: Mapping[str, AnyState]
    dropout: Arrays
    timesteps: Any
    step: Any = None

    @classmethod
    def of(
        cls,
        inputs: Arrays,
        targets: Sequence[jax.Array] = (),
        masks: Arrays | None = None,
        states: Mapping[str, AnyState] | None = None,
        dropout: Arrays | None = None,
        timesteps: Any = None,
        step: Any = None,
    ) -> Batch:
        """Return the batch of these arrays; None means no masks, states or dropout masks."""
        return cls(
            inputs,
            targets,
            {} if masks is None else masks,
            {} if states is None else states,
            {} if dropout is None else dropout,
            timesteps,
            None if step is None else as_whole_number("step", step),
        )


class Evaluation(NamedTuple):
    """The results of a model's forward pass.

    Attributes:
        outputs: the model's outputs, in order.
        output_masks: boolean `[batch, timesteps]` of each output, or None.
        sequences: the outputs of every recurrent layer with return_sequences, `[batch, timesteps, units]`, in the order
            in which it went through the timesteps.
        last_outputs: the output of every other recurrent layer, `[batch, units]`.
        states: the state of every recurrent layer after the last processed timestep, each `[batch, units]`.
        statistics: in training, the weights that an update sets to statistics of the batch, by `layer/weight`.
        activity: the penalties of activities, which the loss contains.
    """

    outputs: tuple[jax.Array, ...]
    output_masks: tuple[jax.Array | None, ...]
    sequences: dict[str, jax.Array]
    last_outputs: dict[str, jax.Array]
    states: dict[str, AnyState]
    statistics: dict[str, jax.Array] = {}  # noqa: RUF012 - never changed
    activity: jax.Array | float = 0.0


class Gradients(NamedTuple):
    """Gradients of the loss, each of the shape of its array.

    Attributes:
        weights: of every weight of `spec.trainable_weights`.
        inputs: of every input of floats.
        states: of every initial state that was given to a recurrent layer that is not stateful.
    """

    weights: dict[str, jax.Array]
    inputs: dict[str, jax.Array]
    states: dict[str, AnyState]


Step = tuple[dict[str, jax.Array], dict[str, jax.Array], jax.Array, Evaluation]
