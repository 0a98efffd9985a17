"""Strategies of samples: a model with its data, whose numbers stay small; and a list of drawn samples."""

from __future__ import annotations

import contextlib
import gc
import math
import signal
import threading
from collections.abc import Iterator

import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.frameworks.private_hypothesis import without_constants_of_modules
from multilstm.fuzz.sample import Sample
from multilstm.fuzz.strategies.arguments import FLAG, Draw, mostly
from multilstm.fuzz.strategies.models import chains, graphs, nested
from multilstm.fuzz.strategies.places import Setting
from multilstm.jobs.job import Job
from multilstm.spec import Dense, Graph, OrthogonalRegularizer

__all__ = ["LARGEST", "draw_samples", "extremes", "samples"]

LARGEST = 1e3  # the largest number that a sample may compute; beyond it, rounding alone decides
SMALLEST = 1e-9  # of the largest gradient; below it, rounding alone decides


@st.composite
def samples(draw: Draw) -> Sample:
    """Draw a sample whose numbers stay below `LARGEST`, and whose gradients do not vanish."""
    batch, timesteps = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    mask = None
    if draw(st.booleans()):
        row = st.lists(mostly(True, (False,)), min_size=timesteps, max_size=timesteps)
        mask = tuple(tuple(draw(row)) for _ in range(batch))
    setting = Setting(batch, timesteps, draw(FLAG), draw(FLAG), not draw(st.integers(0, 2)), mask is not None)
    spec = draw((chains if draw(st.integers(0, 2)) else graphs)(setting))
    if not draw(st.integers(0, 5)):
        spec = nested(spec)
    if setting.trained and _called_once(spec) and draw(FLAG):
        spec = spec.with_seeds(draw(st.integers(0, 99)))  # every layer draws its own dropout masks
    free = [name for name in spec.recurrent if "/" not in name and not any(c.initial_state for c in spec.calls)]
    states = tuple(name for name in free if draw(mostly(False, (False, True)))) if _called_once(spec) else ()
    loss = None
    if setting.trained and spec.trainable_weights:
        last = spec.layers[-1]
        softmax = len(spec.outputs) == 1 and isinstance(last, Dense) and last.activation == "softmax" and last.units > 1
        loss = "categorical_crossentropy" if softmax and draw(mostly(True, (False,))) else "mean_squared_error"
    count = draw(st.integers(1, 2)) if setting.stateful else 1
    sample = Sample(spec, batch, timesteps, count, mask, states, loss, draw(st.integers(0, 99)))
    assume(not decided_by_rounding(spec))
    largest, largest_gradient = extremes(sample)
    assume(largest < LARGEST and largest_gradient > SMALLEST)
    return sample


def decided_by_rounding(spec: Graph) -> bool:
    """Whether a regularizer demands orthogonal columns of one element: its gradient is rounding alone."""
    return any(
        isinstance(regularizer, OrthogonalRegularizer) and spec.weight_shapes[name][0] == 1
        for name, regularizer in spec.regularizers.items()
    )


def _called_once(spec: Graph) -> bool:
    names = [call.layer for call in spec.calls]
    return len(names) == len(set(names))


def extremes(sample: Sample) -> tuple[float, float]:
    """Return the largest number that the reference computes for a sample, and the largest number of a gradient.

    The first is infinity if a number is NaN, and the second is infinity without a loss.
    """
    case = sample.case("drawn")
    steps = (*case.forward_steps(), *(case.gradient_steps() if sample.loss is not None else ()))
    job = Job(sample.spec, sample.weights(), steps, "float64", loss=sample.loss)
    answers = Executor(ReferenceEngine()).execute(job).answers
    gradients = [float(np.abs(array).max()) for answer in answers for array in answer.gradients.values()]
    maxima = [0.0, *gradients]
    for answer in answers:
        arrays = [*answer.outputs, *(array for state in answer.states.values() for array in state)]
        maxima += [float(np.abs(array).max()) for array in arrays]
    return max(math.inf if math.isnan(value) else value for value in maxima), max(gradients, default=math.inf)


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Delay Ctrl-C, SIGTERM and SIGHUP until the samples are drawn, which takes about a second.

    Hypothesis registers a callback with the garbage collector and does not remove it. Python prints an exception of
    such a callback and continues, so the signal would be lost.
    """
    callbacks, later = gc.callbacks[:], list[int]()
    is_main = threading.current_thread() is threading.main_thread()  # no other thread may set handlers
    names = ("SIGINT", "SIGTERM", "SIGHUP") if is_main else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]  # Windows has no SIGHUP
    handlers = {number: signal.signal(number, lambda number, _: later.append(number)) for number in numbers}
    try:
        yield
    finally:
        gc.callbacks[:] = callbacks
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for received in later:
        signal.raise_signal(received)


def draw_samples(number: int, count: int) -> list[Sample]:
    """Return at most `count` samples of different models.

    The samples are the same for the same seed and version of Hypothesis, whatever else is imported.

    Args:
        number: the random seed.
        count: the largest number of samples.
    """
    by_model: dict[Graph, Sample] = {}  # Hypothesis repeats models with other data; the first sample counts

    @seed(number)
    @settings(
        max_examples=4 * count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(samples())
    def collect(sample: Sample) -> None:
        by_model.setdefault(sample.spec, sample)

    with _signals_later(), without_constants_of_modules():
        collect()
    others = list(by_model.values())[1:]  # the first model is the simplest one for every seed, and the next ones small
    return [others[number * len(others) // count] for number in range(count)] if len(others) > count else others
