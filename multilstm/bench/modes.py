"""The modes of a benchmark: the computations that a contestant may be asked for."""

from __future__ import annotations

import dataclasses

from multilstm.errors import UsageError, choice
from multilstm.jobs.job import StepKind

__all__ = ["FIT", "FORWARD", "GRADIENT", "MODES", "PREDICT", "STREAM", "TRAIN", "USUAL", "Mode", "mode_named"]


@dataclasses.dataclass(frozen=True)
class Mode:
    """One kind of call that is timed.

    Attributes:
        name: as in `--mode`.
        words: the mode in the sentence of the answer, after "in".
        step: the step of a job that computes the same.
        keep: the arrays of that step with which the answers are compared.
        whole: whether a call computes all batches of a workload, from the host's memory, as a user's program does.
        meaning: the call, in words.
    """

    name: str
    words: str
    step: StepKind
    keep: str
    whole: bool
    meaning: str

    @property
    def trains(self) -> bool:
        """Whether the mode differentiates the loss."""
        return self.step != "forward"

    @property
    def passes(self) -> int:
        """The matrix products of a call, in units of those of a forward pass."""
        return 3 if self.trains else 1


FORWARD = Mode("forward", "the forward pass", "forward", "outputs", False, "the compiled call, on arrays of the device")
GRADIENT = Mode("gradient", "the gradient", "gradient", "gradients", False, "loss and gradient of all weights")
TRAIN = Mode("train", "a training step", "update", "weights", False, "one update, as train_on_batch makes it")
PREDICT = Mode("predict", "inference", "forward", "outputs", True, "several batches, from arrays of NumPy")
FIT = Mode("fit", "training", "update", "weights", True, "an epoch of several batches, from arrays of NumPy")
STREAM = Mode("stream", "streaming", "forward", "outputs", False, "the forward pass, one call for each timestep")
USUAL = (FORWARD, GRADIENT, TRAIN, PREDICT, FIT)  # the modes that most contestants compute
MODES = {mode.name: mode for mode in (*USUAL, STREAM)}


def mode_named(name: str) -> Mode:
    """Return the mode of a name.

    Raises:
        UsageError: for an unknown name.
    """
    if name not in MODES:
        raise UsageError(choice("mode", name, MODES))
    return MODES[name]
