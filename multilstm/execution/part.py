"""The parts of a case: inference, gradients, the program's own training, and 100 updates."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from multilstm.cases.case import Case
from multilstm.compare.quantity import CURVES, CURVES_BUT_ACCURACY, EXACT, FORWARD, GRADIENTS, TRAINED
from multilstm.engines.registry import engine_row
from multilstm.execution.options import Options
from multilstm.jobs.job import Step


class Part(enum.Enum):
    """One thing to do with a case; its value is its name in reports and test ids.

    Each part is one job, or several jobs in a row if its data are large.
    """

    FORWARD = "forward"
    """Inference on all forward batches."""

    GRADIENT = "gradient"
    """The gradient of the loss on the first forward batch."""

    PROGRAM = "program"
    """The case's own training: fits, validations and evaluations."""

    UPDATES = "updates"
    """Exactly 100 updates, in float64."""

    def __str__(self) -> str:
        return self.value

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of quantities that the part can give."""
        return _KINDS[self]

    @property
    def trains(self) -> bool:
        """Whether the part updates weights."""
        return self in (Part.PROGRAM, Part.UPDATES)

    def steps(self, case: Case) -> Iterator[Step]:
        """Return the steps of the part, in order."""
        if self is Part.FORWARD:
            return case.forward_steps()
        if self is Part.GRADIENT:
            return case.gradient_steps()
        return case.training_steps() if self is Part.PROGRAM else case.update_steps()

    def is_due(self, case: Case, dtype: str, partial: bool, gradients: bool = True) -> bool:
        """Whether the part exists for a case in a dtype.

        Args:
            case: the case.
            dtype: the dtype of the computation.
            partial: whether the engine is a partial one. Partial engines skip training: they would only run this
                package's own update rule again.
            gradients: whether the engine computes gradients.

        The 100 updates are made in float64 alone, where they show that the optimizer's rule is the same. In float32
        they would show how training amplifies rounding, as the losses of the program do. Under mixed precision and in
        tf32 there is no training to compare: weights and updates are in float32, and the gradient shows the difference.

        A model without a reference has a forward pass alone. A gradient of it that is zero but for rounding
        could not be distinguished from a wrong one.
        """
        if self is Part.FORWARD:
            return True
        if not case.is_judged or dtype not in case.trained_in:
            return False
        if self is Part.GRADIENT:
            return gradients and case.loss is not None and bool(case.spec.trainable_weights)
        if partial:
            return False
        if self is Part.PROGRAM:
            return bool(case.training) and dtype in ("float32", "float64")
        return case.updates_on is not None and dtype == "float64"


_KINDS = {
    Part.FORWARD: (*EXACT, *FORWARD),
    Part.GRADIENT: GRADIENTS,
    Part.PROGRAM: (*CURVES, *TRAINED),
    Part.UPDATES: (*CURVES_BUT_ACCURACY, *TRAINED),
}


def due_parts(case: Case, dtype: str, options: Options, engine: str) -> Iterator[Part]:
    """Yield the parts of a case that an engine executes and that give a wanted kind of quantity."""
    row = engine_row(engine)
    for part in Part:
        if part.is_due(case, dtype, row.partial, row.gradients) and any(options.wants(kind) for kind in part.kinds):
            yield part
