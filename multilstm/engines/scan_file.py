"""The program for `multilstm.scan` that `multilstm convert` writes, executed: the proof of the target `scan`.

The environment variable `MULTILSTM_CONVERTED` names the program. Its weights are those of the job. Outputs are those of
its function `predict` where the files have the dtype of the job. `multilstm.scan` computes states and gradients.
"""

from __future__ import annotations

import dataclasses
import runpy
from collections.abc import Mapping
from typing import Any, final

import jax
import numpy as np

from multilstm.engines.base import AbstractEngine
from multilstm.engines.converted import converted_file
from multilstm.engines.jax_scan import JaxScanProgram
from multilstm.errors import EngineUnavailableError, UnsupportedError
from multilstm.frameworks import jax as jax_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec.arrays import AnyState, Array


@final
class ScanFileEngine(AbstractEngine):
    """Executes the program of `MULTILSTM_CONVERTED`."""

    platform = jax_platform

    def __init__(self) -> None:
        jax_platform.set_tf32(False)
        path = converted_file(".py")
        if path is None:
            raise EngineUnavailableError("MULTILSTM_CONVERTED is not set; expected the path of a converted program")
        self._names = runpy.run_path(str(path))

    def prepare(self, job: Job) -> ScanFileProgram:
        """Return a program for the job.

        Raises:
            EngineUnavailableError: for float64 where JAX's x64 mode is off.
        """
        if job.dtype in MIXED:
            raise UnsupportedError(f"scan-file: given {job.dtype}; files are executed in float32 and float64")
        if job.dtype == "float64":
            jax_platform.require_x64("scan-file")
        return ScanFileProgram(job, jax.devices(job.device)[0], self._names)

    def operations(self) -> Operations:
        """Return jitted `jax.numpy`."""
        return jax_platform.operations()


@final
class ScanFileProgram(JaxScanProgram):
    """One converted model, with the weights of its file."""

    def __init__(self, job: Job, device: Any, names: Mapping[str, Any]) -> None:
        super().__init__(job, device)
        self._names, self._dtype, self._inputs = names, stored(job.dtype), list(job.spec.inputs)

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Load the weights of the file."""
        held = {name: np.asarray(array).astype(self._dtype) for name, array in self._names["weights"].items()}
        super().load(held, slots, iteration)

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step; see `AbstractProgram.step`."""
        answer = super().step(kind, batch, states)
        weights = self._names["weights"]
        has_dtype = all(str(array.dtype) == self._dtype for array in weights.values())
        if kind != "forward" or states or batch.masks or not has_dtype:
            return answer
        outputs = self._names["predict"](weights, *(batch.inputs[name] for name in self._inputs))
        arrays = outputs if isinstance(outputs, tuple) else (outputs,)
        return dataclasses.replace(answer, outputs=tuple(np.array(array) for array in arrays))
