"""Hypothesis strategies: models of all layers with all options that multilstm executes.

An option has its default in about half of the models. One or two options thus meet in a model, rather than all at once.
Sizes are small, since a wrong answer shows in two units as well as in two hundred.
"""

from __future__ import annotations

import contextlib
import gc
import math
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.fuzz.sample import Sample
from multilstm.jobs.job import Job
from multilstm.spec import (
    L1,
    L1L2,
    L2,
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Input,
    Layer,
    Masking,
    Model,
    OrthogonalRegularizer,
    RepeatVector,
    TimeDistributed,
)
from multilstm.spec.layers import ACTIVATIONS, MERGE_MODES

LARGEST = 1e3  # the largest number that a sample may compute; beyond it, rounding alone decides

Draw = Callable[[Any], Any]


def _mostly(default: Any, others: Any) -> Any:
    """Return a strategy that draws `default` as often as all others together."""
    others = tuple(others)
    return st.sampled_from((default,) * len(others) + others)


_FLAG = _mostly(False, (True,))
_REGULARIZERS = (L1(0.125), L2(0.25), L1L2(0.125, 0.25))
_REGULARIZER = _mostly(None, _REGULARIZERS)
_REGULARIZER_OF_FOUR = _mostly(None, (*_REGULARIZERS, OrthogonalRegularizer(0.125, "columns")))
_RATE = _mostly(0.0, (0.5, 0.25))


@st.composite
def lstms(draw: Draw, sequences: bool, stateful: bool, fixed: bool, trained: bool, states: bool = False) -> LSTM:
    """Draw an LSTM.

    Args:
        draw: Hypothesis's function.
        sequences: whether it returns sequences.
        stateful: whether it may be stateful.
        fixed: whether the timesteps are fixed, so that it may be unrolled.
        trained: whether its gradient is computed, in which dropout and regularizers act.
        states: whether it returns its states.
    """
    training: dict[str, Any] = {}
    if trained and draw(_FLAG):
        training = {
            "dropout": draw(_RATE),
            "recurrent_dropout": draw(_RATE),
            "kernel_regularizer": draw(_REGULARIZER_OF_FOUR),
            "recurrent_regularizer": draw(_REGULARIZER_OF_FOUR),
            "bias_regularizer": draw(_REGULARIZER),
            "trainable": draw(_mostly(True, (False,))),
        }
    return LSTM(
        draw(st.integers(1, 4)),
        activation=draw(_mostly("tanh", ACTIVATIONS)),
        recurrent_activation=draw(_mostly("sigmoid", ACTIVATIONS)),
        use_bias=draw(_mostly(True, (True, False))),
        return_sequences=sequences,
        return_state=states,
        go_backwards=draw(_FLAG),
        stateful=stateful and draw(_FLAG),
        unroll=fixed and draw(_FLAG),
        use_cudnn=draw(_mostly("auto", (False,))),
        zero_output_for_mask=draw(_FLAG),
        implementation=draw(_mostly(2, (1,))),
        **training,
    )


@st.composite
def recurrent(draw: Draw, sequences: bool, stateful: bool, fixed: bool, trained: bool) -> Layer:
    """Draw an LSTM, or a Bidirectional around one."""
    lstm: LSTM = draw(lstms(sequences, stateful, fixed, trained))
    if not draw(st.integers(0, 2)) and not lstm.go_backwards and lstm.trainable:
        return Bidirectional(lstm, merge_mode=draw(st.sampled_from([mode for mode in MERGE_MODES if mode])))
    return lstm


def _heads(sequences: bool) -> Any:
    dense = st.builds(
        Dense,
        st.integers(1, 3),
        activation=_mostly("softmax", ACTIVATIONS),
        use_bias=st.booleans(),
        kernel_regularizer=_REGULARIZER,
    )
    kinds = [dense, st.builds(Activation, st.sampled_from(ACTIVATIONS)), st.just(Dropout(0.5))]
    return st.one_of(dense, *kinds, dense.map(TimeDistributed)) if sequences else st.one_of(dense, *kinds)


@st.composite
def stacks(draw: Draw, fixed: bool, timesteps: int, batch: int, stateful: bool, trained: bool) -> Any:
    """Draw a stack of up to three recurrent layers: after nothing, Masking or Embedding, with layers in between."""
    length = timesteps if fixed else None
    size = batch if stateful else None
    front = draw(st.sampled_from(("none", "none", "masking", "embedding")))
    if front == "embedding":
        source = Input((length,), size, "int32")
        tensor = Embedding(draw(st.integers(3, 5)), draw(st.integers(1, 3)), mask_zero=draw(st.booleans()))(source)
    else:
        source = tensor = Input((length, draw(st.integers(1, 3))), size)
        if front == "masking":
            tensor = Masking(draw(st.sampled_from((0.0, -1.0, 0.5))))(tensor)
    depth = draw(st.sampled_from((1, 1, 2, 3)))
    sequences = True
    for number in range(depth):
        sequences = number < depth - 1 or draw(st.booleans())
        tensor = draw(recurrent(sequences, stateful, fixed, trained))(tensor)
        if not draw(st.integers(0, 1 if number == depth - 1 else 3)):
            tensor = draw(_heads(sequences))(tensor)
    if not sequences and not draw(st.integers(0, 3)):
        tensor = RepeatVector(draw(st.integers(1, 3)))(tensor)
        tensor = draw(recurrent(draw(st.booleans()), stateful, True, trained))(tensor)
    return Model(source, tensor)


@st.composite
def graphs(draw: Draw, fixed: bool, timesteps: int, batch: int, stateful: bool, trained: bool) -> Any:
    """Draw a functional model: states as outputs or inputs, an encoder and a decoder, branches, or a shared layer."""
    length, size = timesteps if fixed else None, batch if stateful else None
    shape = (length, draw(st.integers(1, 3)))
    source = Input(shape, size)
    tensor = Masking(0.5)(source) if draw(_FLAG) else source

    def lstm(sequences: bool, states: bool = False) -> LSTM:
        layer: LSTM = draw(lstms(sequences, stateful, fixed, trained, states))
        return layer

    kind = draw(st.sampled_from(("states", "both_directions", "given", "decoder", "branches", "shared")))
    if kind == "states":
        return Model(source, lstm(draw(st.booleans()), True)(tensor))
    if kind == "both_directions":
        inner = draw(lstms(draw(st.booleans()), stateful, fixed, False, draw(st.booleans())).filter(_forward))
        return Model(source, Bidirectional(inner, merge_mode=draw(st.sampled_from(MERGE_MODES)))(tensor))
    if kind == "given":
        layer = lstm(draw(st.booleans()), draw(st.booleans()))
        states = [Input((layer.units,), size) for _ in range(2)]
        return Model([source, *states], layer(tensor, initial_state=states))
    if kind == "decoder":
        encoder = lstm(False, True)
        second = Input((length, draw(st.integers(1, 3))), size)
        decoder = draw(lstms(draw(st.booleans()), stateful, fixed, trained))
        _, hidden, cell = encoder(tensor)
        if encoder.units != decoder.units:
            hidden, cell = Dense(decoder.units)(hidden), Dense(decoder.units, "tanh")(cell)
        return Model([source, second], decoder(second, initial_state=[hidden, cell]))
    sequences = draw(st.booleans())
    if kind == "branches":
        return Model(source, Concatenate()([lstm(sequences)(tensor), lstm(sequences)(tensor)]))
    shared = lstm(sequences)
    second = Input(shape, size)
    return Model([source, second], Concatenate()([shared(tensor), shared(second)]))


def _forward(lstm: LSTM) -> bool:
    return not lstm.go_backwards


@st.composite
def samples(draw: Draw) -> Sample:
    """Draw a sample whose numbers stay below `LARGEST`."""
    batch, timesteps = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    fixed, stateful, trained = draw(_FLAG), draw(_FLAG), not draw(st.integers(0, 2))
    kind = graphs if not draw(st.integers(0, 2)) else stacks
    spec = draw(kind(fixed, timesteps, batch, stateful, trained))
    mask = None
    if draw(st.booleans()):
        row = st.lists(_mostly(True, (False,)), min_size=timesteps, max_size=timesteps)
        mask = tuple(tuple(draw(row)) for _ in range(batch))
    free = [name for name in spec.recurrent if "/" not in name and not any(c.initial_state for c in spec.calls)]
    states = tuple(name for name in free if draw(_mostly(False, (False, True)))) if _called_once(spec) else ()
    loss = None
    if trained and spec.trainable_weights:
        last = spec.layers[-1]
        softmax = len(spec.outputs) == 1 and isinstance(last, Dense) and last.activation == "softmax"
        loss = "categorical_crossentropy" if softmax and draw(_mostly(True, (False,))) else "mean_squared_error"
    count = draw(st.integers(1, 2)) if stateful else 1
    sample = Sample(spec, batch, timesteps, count, mask, states, loss, draw(st.integers(0, 99)))
    assume(not _regular_by_rounding(spec) and largest(sample) < LARGEST)
    return sample


def _regular_by_rounding(spec: Graph) -> bool:
    """Whether a regularizer demands orthogonal columns of one element: its gradient is rounding alone."""
    return any(
        isinstance(regularizer, OrthogonalRegularizer) and spec.weight_shapes[name][0] == 1
        for name, regularizer in spec.regularizers.items()
    )


def _called_once(spec: Any) -> bool:
    names = [call.layer for call in spec.calls]
    return len(names) == len(set(names))


def largest(sample: Sample) -> float:
    """Return the largest number that the reference computes for a sample; infinity if one is NaN."""
    case = sample.case("drawn")
    steps = (*case.forward_steps(), *(case.gradient_steps() if sample.loss is not None else ()))
    job = Job(sample.spec, sample.weights(), steps, "float64", loss=sample.loss)
    maxima = [0.0]
    for answer in Executor(ReferenceEngine()).execute(job).answers:
        arrays = [*answer.outputs, *(array for state in answer.states.values() for array in state)]
        maxima += [float(np.abs(array).max()) for array in (*arrays, *answer.gradients.values())]
    return max(math.inf if math.isnan(value) else value for value in maxima)


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the samples are drawn, which takes about a second.

    Hypothesis registers a callback with the garbage collector and does not remove it. Python prints an exception of
    such a callback and continues, so the signal would be lost.
    """
    callbacks, later = gc.callbacks[:], list[int]()
    is_main = threading.current_thread() is threading.main_thread()  # no other thread may set handlers
    numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
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

    The samples are the same for the same seed and version of Hypothesis.

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

    with _signals_later():
        collect()
    return list(by_model.values())[1 : count + 1]  # the first model is the simplest one for every seed
