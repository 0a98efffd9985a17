"""Contract of an engine: it prepares programs, and a program holds weights and computes one step at a time.

States are values: they enter and leave with every step. Only `Executor` carries, resets and replaces them, so that
`stateful=True` means the same on every engine.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Set
from typing import Any, final

from multilstm.frameworks.platform import Platform, require_gpu
from multilstm.frameworks.self_test import Operations, denormals, self_test
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec.arrays import AnyState, Array


class AbstractProgram(abc.ABC):
    """One model, prepared on one engine. Arrays enter and leave as NumPy arrays of `stored(job.dtype)`.

    Attributes:
        places: the devices that held the outputs and gradients of the last step: `cpu`, `gpu`.
        draws_dropout: whether the program draws the dropout masks itself, from seeds and the number of updates; else
            they are in the batch.
    """

    places: Set[str] = frozenset()
    draws_dropout: bool = False

    @abc.abstractmethod
    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Set all weights (`layer/weight`), all optimizer slots (`layer/weight/slot`) and the update counter."""

    @abc.abstractmethod
    def weights(self) -> dict[str, Array]:
        """Return all weights by `layer/weight`, in Keras's layout."""

    @abc.abstractmethod
    def slots(self) -> dict[str, Array]:
        """Return all optimizer slots by `layer/weight/slot`."""

    @abc.abstractmethod
    def parameter_counts(self) -> dict[str, int]:
        """Return the number of parameters of every layer, as the framework itself counts them."""

    @abc.abstractmethod
    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step.

        Args:
            kind: `forward`, `evaluate`, `gradient` or `update`, as in `Step`.
            batch: arrays that are checked and in `stored(job.dtype)`; the `states` of the batch are to be ignored.
            states: initial states of every recurrent layer that is stateful or gets its state from the batch. A layer
                without one starts with the state that the graph passes to it, or at zero.

        Returns:
            An answer with loss (penalties included; None for `forward`), outputs, sequences, last outputs and the
            states of every recurrent layer. For `gradient`, also the gradients of `spec.trainable_weights` and of
            `spec.sources`.
        """

    @property
    @abc.abstractmethod
    def implementation(self) -> Implementation:
        """The kernel that computed the recurrent layers, as it was seen to run."""


class AbstractEngine(abc.ABC):
    """One way to execute a spec. It is built inside a worker process, where it imports its framework.

    Attributes:
        platform: the module that describes the engine's framework.
    """

    platform: Platform

    @abc.abstractmethod
    def prepare(self, job: Job) -> AbstractProgram:
        """Return a program for the job.

        The program serves every later job with the same `signature` (`executor.py`), so it keeps nothing else of the
        job: no weights, steps or batch size. Weights are loaded afterwards.

        Raises:
            UnsupportedError: where this engine cannot execute the spec; the message names the reason.
        """

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that compute."""
        return self.platform.versions()

    @final
    def use(self, device: str) -> None:
        """Return if this process can compute on the device; from then on, a GPU computes deterministically.

        Raises:
            EngineUnavailableError: where there is no GPU for it.
        """
        if device == "gpu":
            require_gpu(self.platform)
            self.platform.make_deterministic()

    @abc.abstractmethod
    def operations(self) -> Operations:
        """Return the functions of this engine's programs for its self-test, compiled as the programs are."""

    def self_test(self) -> list[dict[str, Any]]:
        """Return the numerical self-test, as `{"name", "ok", "detail"}`."""
        return [dataclasses.asdict(test) for test in self_test(self.operations())]

    @final
    def facts(self) -> dict[str, Any]:
        """Return versions, devices and switches, as JSON data."""
        return {
            "versions": self.versions(),
            "devices": self.platform.devices(),
            "switches": self.platform.switches(),
        }

    @final
    def doctor(self) -> dict[str, Any]:
        """Return the facts, denormal handling among the switches, and the self-test, as JSON data."""
        facts = self.facts()
        facts["switches"]["denormals"] = denormals(self.operations())
        return {**facts, "self_test": self.self_test()}
