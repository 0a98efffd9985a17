"""Converted files in the process of their framework: source, arrays, and the jobs that no converted module computes.

Where the environment variable `MULTILSTM_CONVERTED` names the main file of a conversion, an engine executes the source
and the arrays of its files. Else it makes both of the spec and the weights of a job.
"""

from __future__ import annotations

import os
import pathlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from safetensors import numpy as safetensors

from multilstm.conversion.modules.masks import masks_of
from multilstm.conversion.modules.state import AbstractState
from multilstm.conversion.modules.walk import CLASS_NAME
from multilstm.engines.base import AbstractProgram
from multilstm.engines.registry import CONVERTED
from multilstm.errors import InputError, UnsupportedError, listed, shown
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.job import Batch, Job
from multilstm.spec import Graph
from multilstm.spec.arrays import Array

__all__ = ["AbstractConvertedProgram", "class_of", "converted_file", "in_dtype", "names_of"]


def converted_file(suffix: str) -> pathlib.Path | None:
    """Return the file of a conversion with a suffix; None where this process executes no files."""
    path = os.environ.get(CONVERTED)
    return None if path is None else pathlib.Path(path).with_suffix(suffix)


def names_of(source: str) -> dict[str, Any]:
    """Return the names that converted source defines; its module is found by name, as dataclasses need."""
    module = types.ModuleType("converted")
    sys.modules[module.__name__] = module
    exec(compile(source, "converted.py", "exec"), module.__dict__)
    return module.__dict__


def class_of(source: str) -> Any:
    """Return the class that converted source defines."""
    return names_of(source)[CLASS_NAME]


def in_dtype(arrays: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    """Return the arrays with all floats in a dtype."""
    return {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in arrays.items()}


class AbstractConvertedProgram(AbstractProgram):
    """One converted model. It computes no updates, since a module has neither Keras's optimizers nor its penalties.

    Class variables:
        engine: the name of the engine in messages.
        no_update: the reason for which it computes no updates.
    """

    engine: ClassVar[str]
    no_update: ClassVar[str]

    def __init__(self, job: Job) -> None:
        if job.dtype in MIXED:
            raise UnsupportedError(f"{self.engine}: {job.dtype} is Keras's policy; compute in float32 or float64")
        self._spec, self._loss, self._tf32 = job.spec, job.loss, job.dtype == "tf32"
        self._stored = stored(job.dtype)
        masks = masks_of(job.spec)
        self._is_masked = any(masks[ref] is not None for ref in job.spec.outputs)

    def source(self, make: Callable[[Graph], str]) -> str:
        """Return the source of the converted file, or of the spec."""
        path = converted_file(".py")
        return make(self._spec) if path is None else path.read_text(encoding="utf-8")

    def arrays(
        self, state: AbstractState, weights: Mapping[str, Array], suffix: str = ".safetensors"
    ) -> dict[str, Array]:
        """Return the arrays of the converted file, or those of the weights.

        Where the job has more digits than the file, those of the weights are returned, if they round to the file's.
        The reason: the constant that a framework adds to a bias costs digits.

        Raises:
            InputError: for a file with other arrays.
        """
        made, path = state.to_target(weights), converted_file(suffix)
        if path is None:
            return made
        held = self.stored(path.read_bytes())
        if set(held) != set(made):
            raise InputError(f"the file holds the arrays {listed(sorted(held))}; expected {listed(sorted(made))}")
        if any(array.dtype.itemsize > held[name].dtype.itemsize for name, array in made.items()):
            for name, array in made.items():
                if not np.array_equal(array.astype(held[name].dtype), held[name], equal_nan=True):
                    raise InputError(f"the file holds other numbers than the model in {shown(name)}")
            return made
        return in_dtype(held, self._stored)

    def stored(self, content: bytes) -> dict[str, Array]:
        """Return the arrays of a file."""
        return dict(safetensors.load(content))

    def slots(self) -> dict[str, Array]:
        """Return no slots: there is no optimizer."""
        return {}

    def check_step(self, kind: str, batch: Batch) -> None:
        """Raise UnsupportedError for a step that no converted module computes."""
        if kind == "update":
            raise UnsupportedError(f"{self.engine}: {self.no_update}; compare gradients")
        if batch.masks or (batch.dropout and kind == "gradient"):
            raise UnsupportedError(f"{self.engine}: a converted module takes no masks and draws dropout by itself")
        if kind != "forward" and self._is_masked:
            raise UnsupportedError(f"{self.engine}: a module returns no mask for its loss; leave the loss out")
        activities = any(layer.activity is not None for layer in self._spec.layers)
        if kind != "forward" and (self._spec.regularizers or activities):
            raise UnsupportedError(f"{self.engine}: penalties are in no module; leave the loss out")
