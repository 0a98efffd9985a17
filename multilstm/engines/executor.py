"""Executor of jobs: it drives the programs of any engine step by step, and checks everything that enters.

It carries the states of stateful layers from step to step, and selects the arrays that a step keeps. It refuses
results of another device than the job's.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, final

import numpy as np

from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.errors import InputError, WorkerError
from multilstm.frameworks.kernels import with_algorithm
from multilstm.jobs.dropout_masks import masks_to_draw, seeded_dropout
from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Answer, Batch, Job, Result, Step
from multilstm.jobs.validation import check_dropout, check_shapes
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array, as_state
from multilstm.spec.shapes import closed
from multilstm.weights.layout import check_weight_shapes


def signature(job: Job) -> tuple[Any, ...]:
    """Return a key of the job; jobs of equal key can share a prepared program."""
    with_states = frozenset(name for step in job.steps for name in step.batch.states)
    return (
        job.spec,
        job.dtype,
        job.layers,
        job.device,
        job.loss,
        job.loss_scale,
        job.optimizer,
        job.faults,
        with_states,
        job.draws_dropout,
    )


@final
class Executor:
    """Executes jobs on one engine, and keeps the programs that were prepared last, since preparation compiles."""

    kept_programs = 8

    def __init__(self, engine: AbstractEngine) -> None:
        self.engine = engine
        self._programs: dict[tuple[Any, ...], AbstractProgram] = {}

    def execute(self, job: Job) -> Result:
        """Execute all steps of the job.

        Raises:
            InputError: for arrays whose names or shapes are not those of the spec.
            UnsupportedError: where the engine cannot execute the job.
            EngineUnavailableError: where the job's device is missing.
            WorkerError: where another device than the job's computed.
        """
        start = time.perf_counter()
        self.engine.use(job.device)
        check_weight_shapes(job.spec, job.weights)
        key, dtype = signature(job), stored(job.dtype)
        program = self._programs.pop(key, None) or self.engine.prepare(job)
        program.load({name: _cast(value, dtype) for name, value in job.weights.items()}, _slots(job), job.iteration)
        run = _Run(self.engine, program, job)
        answers = tuple(map(run.step, job.steps))
        # Only now: a program that raised may be broken (Keras on JAX loses its weights), and is not kept.
        self._programs[key] = program
        while len(self._programs) > self.kept_programs:
            del self._programs[next(iter(self._programs))]
        ran = program.implementation
        return Result(
            answers=answers,
            weights=program.weights(),
            slots=program.slots(),
            carried=run.carried,
            parameter_counts=program.parameter_counts(),
            implementation=dataclasses.replace(ran, kernel=with_algorithm(ran.kernel, run.launched)),
            seconds=time.perf_counter() - start,
        )


class _Run:
    """The steps of one job.

    Attributes:
        carried: the states of stateful layers after the last step.
        launched: the names of the GPU kernels that the first step launched.
    """

    def __init__(self, engine: AbstractEngine, program: AbstractProgram, job: Job) -> None:
        self._engine, self._program, self._job = engine, program, job
        passed = {call.layer for call in job.spec.calls if call.initial_state}  # a state from the graph wins
        self._stateful = [
            name for name, layer in job.spec.recurrent.items() if layer.stateful and name.split("/")[0] not in passed
        ]
        self._watched = job.device != "gpu"  # whether the kernels that are launched are known
        self.carried = dict(job.carried)
        self.launched: set[str] = set()
        self._iteration = job.iteration

    def step(self, step: Step) -> Answer:
        """Compute one step, with the states that the step before left behind."""
        if step.reset:
            self.carried = {}
        batch = _batch(self._job, step, self._iteration, self._program.draws_dropout)
        self._iteration += step.kind == "update"
        compute = partial(self._program.step, step.kind, batch, self._states(batch))
        if self._watched:
            answer = compute()
        else:  # later steps launch the same kernels, and an update launches too many to record
            answer, self.launched = self._engine.platform.launched(compute)
            self._watched = True
        _check_device(self._job.device, self._program)
        self.carried.update({name: answer.states[name] for name in self._stateful})
        return _kept(self._job, step, batch, answer, self._program)

    def _states(self, batch: Batch) -> dict[str, AnyState]:
        """Return the initial states: those of the batch, else those that are carried, else zeros."""
        spec, dtype = self._job.spec, stored(self._job.dtype)
        carried = {name: self.carried.get(name) or _zeros(spec, name, batch.size) for name in self._stateful}
        return {
            name: as_state(*(_cast(array, dtype) for array in state))
            for name, state in {**carried, **batch.states}.items()
        }


def _check_device(device: str, program: AbstractProgram) -> None:
    if program.places != {device}:
        places = " and ".join(sorted(program.places)) or "nowhere"
        raise WorkerError(
            f"asked to compute on the {device}, and the results lie on the {places}; "
            f"see multilstm doctor --device {device}",
            kind="device",
        )


def _cast(array: Array, dtype: str) -> Array:
    return np.asarray(array).astype(dtype, copy=False)


def _zeros(spec: Graph, name: str, batch: int) -> AnyState:
    return spec.recurrent[name].zero_state(np.zeros(closed(spec.state_shape(name, batch))))


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


def _batch(job: Job, step: Step, iteration: int, program_draws: bool) -> Batch:
    """Return the step's batch in the job's dtype, with dropout masks in training only.

    Masks that are not given are drawn here, from the seeds of their layers, unless the program draws them.
    """
    batch, dtype = check_shapes(job.spec, step.batch), stored(job.dtype)
    training = step.kind in ("gradient", "update")
    if step.kind != "forward" and job.loss is None:
        raise InputError(f"a {step.kind} step needs a loss; given None, expected one of spec.optimizers.LOSSES")
    if step.kind != "forward" and not batch.targets:
        raise InputError(f"a {step.kind} step needs targets; given none, expected one for each output of the model")
    if step.kind == "update" and job.optimizer is None:
        raise InputError("an update step needs an optimizer; given None")
    dropout: dict[str, Array] = {}
    if training:
        shapes = {name: array.shape for name, array in batch.inputs.items()}
        if program_draws:
            masks_to_draw(job.spec, shapes)  # raises for a seed that decides no mask
        else:
            drawn = seeded_dropout(job.spec, shapes, iteration, batch.dropout)
            dropout = check_dropout(job.spec, {**batch.dropout, **drawn}, batch.size, step.kind)
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
    """Return the answer with the accuracy, and without the arrays that the step does not keep."""
    accuracy = None
    if step.kind in ("update", "evaluate") and job.loss == "categorical_crossentropy":
        # Masked timesteps count here; the loss leaves them out.
        equal = [
            (output.argmax(-1) == target.argmax(-1)).ravel()
            for output, target in zip(answer.outputs, batch.targets, strict=True)
        ]
        accuracy = float(np.concatenate(equal).mean())
    return Answer(
        loss=answer.loss,
        accuracy=accuracy,
        outputs=answer.outputs if "outputs" in step.keep else (),
        sequences=_merged_only(answer.sequences) if "sequences" in step.keep else {},
        last_outputs=_merged_only(answer.last_outputs) if "sequences" in step.keep else {},
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


def _merged_only(returned: Mapping[str, Array]) -> dict[str, Array]:
    """Leave out the two halves of a Bidirectional: Keras exposes only its merged output."""
    return {name: array for name, array in returned.items() if "/" not in name}
