"""The methods that every model of `multilstm.scan` has: with keywords for users, and on a `Batch` for wrappers."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from multilstm.scan.batch import Arrays, Batch, Evaluation, Step
from multilstm.scan.losses import check_loss
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import Optimizer


class AbstractModel(abc.ABC):
    """A model's functions of weights and batches; they keep nothing between two calls."""

    def apply(
        self,
        weights: Arrays,
        inputs: Arrays,
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
        timesteps: jax.Array | None = None,
    ) -> Evaluation:
        """Return the model's outputs.

        Args:
            weights: every weight by `layer/weight`.
            inputs: see `Batch`; so are `masks`, `states`, `dropout` and `timesteps`.
            masks: see `Batch`.
            states: see `Batch`.
            dropout: see `Batch`.
            timesteps: see `Batch`; for a `ScanModel` alone.

        Raises:
            InputError: for arrays that do not fit the spec.
        """
        return self.apply_batch(weights, Batch.of(inputs, (), masks, states, dropout, timesteps))

    def gradient(  # noqa: PLR0913 - the public signature
        self,
        weights: Arrays,
        inputs: Arrays,
        targets: Sequence[jax.Array],
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
        timesteps: jax.Array | None = None,
        step: int | jax.Array | None = None,
        *,
        loss: str,
    ) -> tuple[jax.Array, Evaluation, dict[str, jax.Array]]:
        """Return the loss, the model's outputs, and the gradient of the loss by every trained weight.

        The loss is the sum over all outputs, and over the regularizers of `weights`.

        Args:
            weights: every weight by `layer/weight`.
            inputs: see `Batch`; so are `targets`, `masks`, `states`, `dropout`, `timesteps` and `step`.
            targets: see `Batch`.
            masks: see `Batch`.
            states: see `Batch`.
            dropout: see `Batch`.
            timesteps: see `Batch`; for a `ScanModel` alone.
            step: see `Batch`.
            loss: one of `multilstm.spec.optimizers.LOSSES`.

        Raises:
            InputError: for arrays that do not fit the spec.
        """
        check_loss(loss)
        return self.gradient_batch(
            weights, Batch.of(inputs, targets, masks, states, dropout, timesteps, step), loss=loss
        )

    def train_step(  # noqa: PLR0913 - the public signature
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
        step: int | jax.Array | None = None,
        *,
        optimizer: Optimizer,
        loss: str,
    ) -> Step:
        """Update every trained weight once; constraints act after the update.

        Args:
            weights: every weight by `layer/weight`.
            slots: every optimizer slot of every trained weight, by `layer/weight/slot`; zeros at first.
            coefficients: `optimizer.coefficients(iteration)`. Under `jax.jit` they are arguments, so that a new
                iteration compiles nothing. They are converted to each weight's dtype.
            inputs: see `Batch`; so are `targets`, `masks`, `states`, `dropout`, `timesteps` and `step`.
            targets: see `Batch`.
            masks: see `Batch`.
            states: see `Batch`.
            dropout: see `Batch`.
            timesteps: see `Batch`; for a `ScanModel` alone.
            step: see `Batch`.
            optimizer: the update rule.
            loss: one of `multilstm.spec.optimizers.LOSSES`.

        Returns:
            The new weights, the new slots, the loss before the update, and the model's outputs before it.

        Raises:
            InputError: for arrays that do not fit the spec.
        """
        check_loss(loss)
        batch = Batch.of(inputs, targets, masks, states, dropout, timesteps, step)
        return self.train_step_batch(weights, slots, coefficients, batch, optimizer=optimizer, loss=loss)

    @abc.abstractmethod
    def apply_batch(self, weights: Arrays, batch: Batch) -> Evaluation:
        """Do as `apply`, on a batch."""

    @abc.abstractmethod
    def gradient_batch(
        self, weights: Arrays, batch: Batch, *, loss: str
    ) -> tuple[jax.Array, Evaluation, dict[str, jax.Array]]:
        """Do as `gradient`, on a batch."""

    @abc.abstractmethod
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
