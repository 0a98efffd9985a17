"""A model of `multilstm.scan` behind `jax.jit`, with one compiled function for each method."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from multilstm.scan.batch import Arrays, Batch, Evaluation, Step
from multilstm.scan.methods import AbstractModel
from multilstm.scan.model import ScanModel
from multilstm.scan.validation import check_slots
from multilstm.spec.optimizers import Optimizer

_COMPILED = ("_apply", "_gradient", "_train_step")  # of `AbstractCompiledModel`


class AbstractCompiledModel(AbstractModel):
    """A `ScanModel` compiled by `jax.jit`; a subclass transforms weights, batches and evaluations around it."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes without the compiled functions, which no pickle can hold."""
        return {name: value for name, value in vars(self).items() if name not in _COMPILED}

    @abc.abstractmethod
    def enter(self, weights: Arrays, slots: Arrays, batch: Batch) -> tuple[Arrays, Arrays, Batch]:
        """Return the arguments of the compiled functions."""

    @abc.abstractmethod
    def leave(self, evaluation: Evaluation, batch: Batch) -> Evaluation:
        """Return the evaluation for the caller; `batch` as `enter` returned it."""

    @property
    @abc.abstractmethod
    def inner(self) -> ScanModel:
        """The model that is compiled."""

    @abc.abstractmethod
    def compile(self, function: Callable[..., Any], static: Sequence[str], outputs: Sequence[str]) -> Any:
        """Return `jax.jit` of a method of `inner`.

        Args:
            function: the method.
            static: its static arguments, by name.
            outputs: for each output, `whole` (such as weights and losses) or `evaluation`.
        """

    def apply_batch(self, weights: Arrays, batch: Batch) -> Evaluation:
        """Do as `apply`, on a batch."""
        weights, _, batch = self.enter(weights, {}, batch)
        return self.leave(self._apply(weights, batch), batch)

    def gradient_batch(
        self, weights: Arrays, batch: Batch, *, loss: str
    ) -> tuple[jax.Array, Evaluation, dict[str, jax.Array]]:
        """Do as `gradient`, on a batch."""
        weights, _, batch = self.enter(weights, {}, batch)
        value, evaluation, gradients = self._gradient(weights, batch, loss=loss)
        return value, self.leave(evaluation, batch), gradients

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
        check_slots(self.inner.spec, optimizer, slots, coefficients)
        weights, slots, batch = self.enter(weights, slots, batch)
        *trained, evaluation = self._train_step(weights, slots, coefficients, batch, optimizer=optimizer, loss=loss)
        return *trained, self.leave(evaluation, batch)

    @functools.cached_property
    def _apply(self) -> Any:
        return self.compile(self.inner.apply_batch, (), ("evaluation",))

    @functools.cached_property
    def _gradient(self) -> Any:
        return self.compile(self.inner.gradient_batch, ("loss",), ("whole", "evaluation", "whole"))

    @functools.cached_property
    def _train_step(self) -> Any:
        static, outputs = ("optimizer", "loss"), ("whole", "whole", "whole", "evaluation")
        return self.compile(self.inner.train_step_batch, static, outputs)
