"""The jobs that engines of converted source refuse, and the class that the source defines."""

from __future__ import annotations

from typing import Any, ClassVar

from multilstm.conversion.modules.masks import masks_of
from multilstm.conversion.modules.walk import CLASS_NAME
from multilstm.engines.base import AbstractProgram
from multilstm.errors import UnsupportedError
from multilstm.jobs.dtypes import MIXED
from multilstm.jobs.job import Batch, Job
from multilstm.spec.arrays import Array

__all__ = ["AbstractConvertedProgram", "class_of"]


def class_of(source: str) -> Any:
    """Return the class that converted source defines."""
    names: dict[str, Any] = {"__name__": "converted"}
    exec(compile(source, "converted.py", "exec"), names)
    return names[CLASS_NAME]


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
        masks = masks_of(job.spec)
        self._is_masked = any(masks[ref] is not None for ref in job.spec.outputs)

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
