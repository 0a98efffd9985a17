"""Engine `jax-scan`: `multilstm.scan`, compiled once for each kind of step."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, final

import jax
import numpy as np

from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.frameworks import jax as jax_platform
from multilstm.frameworks.kernels import LOOP
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.scan import model
from multilstm.scan.batch import Batch as ScanBatch
from multilstm.scan.batch import Gradients
from multilstm.spec import InputLayer
from multilstm.spec.arrays import AnyState, Array


@final
class JaxScanEngine(AbstractEngine):
    """`lax.scan`; the gradient of an LSTM is derived by hand."""

    platform = jax_platform

    def __init__(self) -> None:
        jax_platform.set_tf32(False)

    def prepare(self, job: Job) -> AbstractProgram:
        """Return a program for the job.

        Raises:
            EngineUnavailableError: for float64 where JAX's x64 mode is off.
        """
        if job.dtype == "float64":
            jax_platform.require_x64("jax-scan")
        return JaxScanProgram(job, jax.devices(job.device)[0])

    def operations(self) -> Operations:
        """Return jitted `jax.numpy`."""
        return jax_platform.operations()


class JaxScanProgram(AbstractProgram):
    """One model; a compiled function for each kind of step."""

    def __init__(self, job: Job, device: Any) -> None:
        self._job, self._device, self.draws_dropout = job, device, job.draws_dropout
        self._model = model(job.spec, dtype=MIXED.get(job.dtype), loss_scale=job.loss_scale)
        functions: Any = self._model  # the driver refuses steps that need a loss or an optimizer that is None
        self._forward = jax_platform.Watched(functions.apply_batch)
        self._evaluate = jax_platform.Watched(partial(functions.loss, loss=job.loss))
        self._gradients = jax_platform.Watched(partial(functions.gradients, loss=job.loss))
        # Separate from the gradients, whose program `update` and `gradient` share: a new length compiles only that.
        self._update = jax.jit(partial(functions.update, optimizer=job.optimizer))
        self._weights: dict[str, Any] = {}
        self._slots: dict[str, Any] = {}
        self._iteration = 0
        self._batch = self._timesteps = 0  # of the last step
        self._found: set[str] = set()  # in all programs that ran

    @property
    def implementation(self) -> Implementation:
        """The loop, and the plan of each LSTM's."""
        if not self._batch:
            return Implementation(f"lax.scan, {self._gradient}")
        written_out = LOOP not in self._found or all(layer.unroll for layer in self._job.spec.recurrent.values())
        loop = "steps written out" if written_out else "lax.scan"  # XLA makes loops of other operations too
        itemsize = 2 if self._job.dtype in MIXED else np.dtype(stored(self._job.dtype)).itemsize
        plans = self._model.plans(self._batch, self._timesteps, itemsize)
        detail = "; ".join(f"{name}: {plan}" for name, plan in plans.items())
        return Implementation(f"{loop}, {self._gradient}", detail)

    @property
    def _gradient(self) -> str:
        """The way to the gradient of the loops, in words."""
        return "custom gradient" if self._job.spec.lstms or not self._job.spec.recurrent else "JAX's gradient"

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """See `AbstractProgram.load`."""
        self._weights, self._slots = jax.device_put((dict(weights), dict(slots)), self._device)
        self._iteration = iteration

    def weights(self) -> dict[str, Array]:
        """See `AbstractProgram.weights`."""
        return _numpy(self._weights)  # type: ignore[no-any-return]

    def slots(self) -> dict[str, Array]:
        """See `AbstractProgram.slots`."""
        return _numpy(self._slots)  # type: ignore[no-any-return]

    def parameter_counts(self) -> dict[str, int]:
        """See `AbstractProgram.parameter_counts`."""
        counts = {str(layer.name): 0 for layer in self._job.spec.layers if not isinstance(layer, InputLayer)}
        for name, array in self._weights.items():
            counts[name.split("/")[0]] += array.size
        return counts

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """See `AbstractProgram.step`."""
        inputs, masks = dict(batch.inputs), dict(batch.masks)
        self._batch, self._timesteps = batch.size, max((*array.shape[1:2], 0) for array in inputs.values())[0]
        number = np.int32(self._iteration) if self.draws_dropout else None
        arrays = ScanBatch.of(inputs, batch.targets, masks, dict(states), dict(batch.dropout), step=number)
        loss, gradients = None, Gradients({}, {}, {})
        jax_platform.set_tf32(self._job.dtype == "tf32")
        with jax.default_device(self._device):
            if kind == "forward":
                evaluation = self._forward(self._weights, arrays._replace(targets=(), dropout={}, step=None))
            elif kind == "evaluate":
                loss, evaluation = self._evaluate(self._weights, arrays._replace(step=None))
            else:
                loss, evaluation, gradients = self._gradients(self._weights, arrays)
            if kind == "update":
                assert self._job.optimizer is not None
                coefficients = {
                    name: np.asarray(number, stored(self._job.dtype))
                    for name, number in self._job.optimizer.coefficients(self._iteration).items()
                }
                self._weights, self._slots = self._update(self._weights, self._slots, coefficients, gradients.weights)
                self._weights |= evaluation.statistics
                gradients = Gradients({}, {}, {})  # an update returns weights only
                self._iteration += 1
        for program in (self._forward, self._evaluate, self._gradients):
            self._found |= program.found
        self.places = jax_platform.places((evaluation.outputs, gradients, self._weights if kind == "update" else ()))
        return Answer(
            loss=None if loss is None else float(loss),
            outputs=_numpy(evaluation.outputs),
            sequences=_numpy(evaluation.sequences),
            last_outputs=_numpy(evaluation.last_outputs),
            states=_numpy(evaluation.states),
            gradients=_numpy(gradients.weights),
            input_gradients=_numpy(gradients.inputs),
            state_gradients=_numpy(gradients.states),
        )


def _numpy(tree: Any) -> Any:
    """Return the tree with writable NumPy arrays that own their memory; half precision becomes float32."""
    return jax.tree.map(lambda array: np.array(array, np.float32 if array.dtype.itemsize == 2 else None), tree)
