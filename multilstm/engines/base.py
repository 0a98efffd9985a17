"""The contract of an engine, and the driver that executes a job on any of them.

An engine prepares programs; a program holds weights and optimizer slots and computes one step at a time. States are
values: they go in and come out with every step, and `execute` alone carries, resets and overrides them, so that
`stateful=True` means the same everywhere.
"""

from __future__ import annotations

import abc
import dataclasses
import time
from collections.abc import Mapping, Set
from functools import partial
from typing import Any, final

import numpy as np

from multilstm.errors import InputError, WorkerError
from multilstm.frameworks.kernels import with_algorithm
from multilstm.frameworks.platform import Platform, require_gpu
from multilstm.frameworks.self_test import Operations, denormals, self_test
from multilstm.jobs.dtypes import stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job, Result, Step
from multilstm.jobs.validation import check_dropout, check_shapes
from multilstm.spec import Graph
from multilstm.spec.arrays import Array, State
from multilstm.weights.layout import check_weight_shapes


class AbstractProgram(abc.ABC):
    """One model made ready on one engine. Arrays go in and out as NumPy arrays of `stored(job.dtype)`.

    Attributes:
        places: where the outputs and gradients of the last step lay when they were computed: `cpu`, `gpu`.
    """

    places: Set[str] = frozenset()

    @abc.abstractmethod
    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Sets all weights (`layer/weight`), all optimizer slots (`layer/weight/slot`) and the update counter."""

    @abc.abstractmethod
    def weights(self) -> dict[str, Array]:
        """All weights by `layer/weight`, in Keras's layout."""

    @abc.abstractmethod
    def slots(self) -> dict[str, Array]:
        """All optimizer slots by `layer/weight/slot`."""

    @abc.abstractmethod
    def parameter_counts(self) -> dict[str, int]:
        """The number of parameters of every layer, as the framework itself counts them."""

    @abc.abstractmethod
    def step(self, kind: str, batch: Batch, states: Mapping[str, State]) -> Answer:
        """Computes one step.

        Args:
            kind: `forward`, `evaluate`, `gradient` or `update`, as in `Step`.
            batch: its arrays, checked and in `stored(job.dtype)`; its own `states` are to be ignored.
            states: initial states by LSTM for every stateful or given one; an LSTM that is absent starts at zero, or
                at what the graph itself passes to it.

        Returns:
            An answer with loss, penalties included (but for `forward`), outputs, sequences, last outputs, states of
            every LSTM, and, for `gradient`, the gradients of `spec.trainable_weights` and of what `spec.sources` names.
        """

    @property
    @abc.abstractmethod
    def implementation(self) -> Implementation:
        """The kernel that computed the LSTMs, as it was seen to run."""


class AbstractEngine(abc.ABC):
    """One way to execute a spec. Built inside a worker process; imports its framework when it is built.

    Attributes:
        platform: the module that knows the engine's framework.
    """

    platform: Platform

    @abc.abstractmethod
    def prepare(self, job: Job) -> AbstractProgram:
        """A program for the job's spec, dtype, layers, loss and optimizer (weights are loaded afterwards).

        Raises:
            UnsupportedError: where this engine cannot execute the spec; the message names what.
        """

    def versions(self) -> dict[str, str]:
        """The versions of the packages that compute."""
        return self.platform.versions()

    @final
    def use(self, device: str) -> None:
        """Returns if this process can compute on the device; on a GPU, deterministically from now on.

        Raises:
            EngineUnavailableError: where there is no GPU for it.
        """
        if device == "gpu":
            require_gpu(self.platform)
            self.platform.make_deterministic()

    @abc.abstractmethod
    def operations(self) -> Operations:
        """What the self-test computes with: the functions of this engine's programs, compiled as these are."""

    def self_test(self) -> list[dict[str, Any]]:
        """The numerical self-test, as `{"name", "ok", "detail"}`."""
        return [dataclasses.asdict(test) for test in self_test(self.operations())]

    @final
    def facts(self) -> dict[str, Any]:
        """Versions, devices and switches, as JSON data."""
        return {
            "versions": self.versions(),
            "devices": self.platform.devices(),
            "switches": self.platform.switches(),
        }

    @final
    def doctor(self) -> dict[str, Any]:
        """All of the above, as JSON data."""
        facts = self.facts()
        facts["switches"]["denormals"] = denormals(self.operations())
        return {**facts, "self_test": self.self_test()}


def signature(job: Job) -> tuple[Any, ...]:
    """Two jobs of equal signature can share a prepared program."""
    given = frozenset(name for step in job.steps for name in step.batch.states)
    return (job.spec, job.dtype, job.layers, job.device, job.loss, job.loss_scale, job.optimizer, given)


@final
class Executor:
    """Executes jobs on one engine, and keeps the programs last prepared, since preparing means compiling."""

    kept_programs = 8

    def __init__(self, engine: AbstractEngine) -> None:
        self.engine = engine
        self._programs: dict[tuple[Any, ...], AbstractProgram] = {}

    def execute(self, job: Job) -> Result:
        """Runs all steps of the job, wiring the states of stateful layers from step to step.

        Raises:
            InputError: for arrays whose names or shapes are not those of the spec.
            UnsupportedError: where the engine cannot execute the job.
            EngineUnavailableError: where the job's device is missing.
            WorkerError: where something else computed.
        """
        start = time.perf_counter()
        self.engine.use(job.device)
        key = signature(job)
        check_weight_shapes(job.spec, job.weights)
        program = self._programs.pop(key, None) or self.engine.prepare(job)
        dtype = stored(job.dtype)
        program.load({name: _cast(value, dtype) for name, value in job.weights.items()}, _slots(job), job.iteration)
        passed = {call.layer for call in job.spec.calls if call.initial_state}  # the graph's own states win
        stateful = [n for n, lstm in job.spec.lstms.items() if lstm.stateful and n.split("/")[0] not in passed]
        carried = dict(job.carried)
        answers: list[Answer] = []
        launched: set[str] = set()
        for step in job.steps:
            if step.reset:
                carried = {}
            batch = _batch(job, step)
            states = {name: carried.get(name) or _zeros(job.spec, name, batch.size) for name in stateful}
            states = {
                name: State(*(_cast(array, dtype) for array in state))
                for name, state in {**states, **batch.states}.items()
            }
            if job.device == "gpu" and not answers:  # the others launch the same, and an update by far too much to note
                answer, launched = self.engine.platform.launched(partial(program.step, step.kind, batch, states))
            else:
                answer = program.step(step.kind, batch, states)
            if program.places != {job.device}:
                found = " and ".join(sorted(program.places)) or "nowhere"
                raise WorkerError(
                    f"asked to compute on the {job.device}, and the results lie on the {found}; "
                    f"see multilstm doctor --device {job.device}",
                    kind="device",
                )
            carried.update({name: answer.states[name] for name in stateful})
            answers.append(_kept(job, step, batch, answer, program))
        # Only now: a program that raised may be broken (Keras on JAX loses its weights), and is prepared anew.
        self._programs[key] = program
        while len(self._programs) > self.kept_programs:
            del self._programs[next(iter(self._programs))]
        ran = program.implementation
        return Result(
            answers=tuple(answers),
            weights=program.weights(),
            slots=program.slots(),
            carried=carried,
            parameter_counts=program.parameter_counts(),
            implementation=dataclasses.replace(ran, kernel=with_algorithm(ran.kernel, launched)),
            seconds=time.perf_counter() - start,
        )


def _cast(array: Array, dtype: str) -> Array:
    array = np.asarray(array)
    return array if array.dtype.kind in "iub" else array.astype(dtype, copy=False)


def _zeros(spec: Graph, name: str, batch: int) -> State:
    shape = (batch, spec.lstms[name].units)
    return State(np.zeros(shape), np.zeros(shape))


def _slots(job: Job) -> dict[str, Array]:
    if job.optimizer is None:
        return {}
    dtype = stored(job.dtype)
    if job.slots is not None:
        return {name: _cast(value, dtype) for name, value in job.slots.items()}
    return {
        f"{name}/{slot}": np.zeros(job.spec.weight_shapes[name], dtype)
        for name in job.spec.trainable_weights
        for slot in job.optimizer.slots
    }


def _batch(job: Job, step: Step) -> Batch:
    """The step's batch in the job's dtype, dropout masks only where they act."""
    batch, dtype = check_shapes(job.spec, step.batch), stored(job.dtype)
    training = step.kind in ("gradient", "update")
    if step.kind != "forward" and job.loss is None:
        raise InputError(f"a {step.kind} step needs a loss; given None, expected one of spec.optimizers.LOSSES")
    if step.kind != "forward" and not batch.targets:
        raise InputError(f"a {step.kind} step needs targets; given none, expected one for each output of the model")
    if step.kind == "update" and job.optimizer is None:
        raise InputError("an update step needs an optimizer; given None")
    dropout = check_dropout(job.spec, batch.dropout, batch.size, step.kind) if training else {}
    return Batch(
        inputs={
            name: batch.inputs[name].astype(layer.dtype if layer.dtype == "int32" else dtype)
            for name, layer in job.spec.inputs.items()
        },
        targets=tuple(_cast(array, dtype) for array in batch.targets),
        masks={name: np.asarray(mask, bool) for name, mask in batch.masks.items()},
        states=batch.states,
        dropout={name: mask.astype(dtype, copy=False) for name, mask in dropout.items()},
    )


def _kept(job: Job, step: Step, batch: Batch, answer: Answer, program: AbstractProgram) -> Answer:
    accuracy = None
    if step.kind in ("update", "evaluate") and job.loss == "categorical_crossentropy":
        # Masked timesteps are counted: the share is a report beside the loss, which leaves them out.
        equal = [
            (output.argmax(-1) == target.argmax(-1)).ravel()
            for output, target in zip(answer.outputs, batch.targets, strict=True)
        ]
        accuracy = float(np.concatenate(equal).mean())
    return Answer(
        loss=answer.loss,
        accuracy=accuracy,
        outputs=answer.outputs if "outputs" in step.keep else (),
        sequences=_shown(answer.sequences) if "sequences" in step.keep else {},
        last_outputs=_shown(answer.last_outputs) if "sequences" in step.keep else {},
        states=answer.states if "states" in step.keep else {},
        gradients=answer.gradients if "gradients" in step.keep else {},
        input_gradients=answer.input_gradients if "gradients" in step.keep else {},
        state_gradients={
            name: answer.state_gradients[name] for name in job.spec.sources(batch.states)[1] if answer.state_gradients
        }
        if "gradients" in step.keep
        else {},
        weights=program.weights() if "weights" in step.keep else {},
        slots=program.slots() if "slots" in step.keep else {},
    )


def _shown(returned: Mapping[str, Array]) -> dict[str, Array]:
    """Keras shows what an LSTM returns, and of a Bidirectional only what is merged, which is not compared twice."""
    return {name: array for name, array in returned.items() if "/" not in name}
