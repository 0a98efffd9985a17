"""Shrinking: only the parts that make a sample diverge are left of it."""

import itertools
import time

import pytest

from multilstm.fuzz.campaign import traits
from multilstm.fuzz.sample import Sample
from multilstm.fuzz.shrink import shrink, steps
from multilstm.fuzz.strategies import draw_samples
from multilstm.spec import (
    LSTM,
    Bidirectional,
    Concatenate,
    Dense,
    Embedding,
    Input,
    Masking,
    Model,
    Sequential,
)

MASK = ((True, False, True, True), (True, True, False, True), (True, True, True, True))


def any_lstm(**wanted):
    """Return a condition that holds for samples with an LSTM of these arguments."""
    return lambda sample: any(
        all(getattr(lstm, name) == value for name, value in wanted.items()) for lstm in sample.spec.lstms.values()
    )


def functional():
    """Return a sample with everything at once: two inputs, masks, states, branches, a Bidirectional, heads."""
    first, second = Input((4, 3)), Input((4, 2))
    sequence, hidden, cell = LSTM(3, return_sequences=True, return_state=True, unroll=True)(Masking(0.5)(first))
    decoder = LSTM(3, "relu", go_backwards=True)(second, initial_state=[hidden, cell])
    both = Bidirectional(LSTM(2, recurrent_activation="hard_sigmoid", implementation=1), "sum")(sequence)
    return Model([first, second], [Dense(3, "softmax")(Concatenate()([both, decoder])), sequence])


SAMPLE = Sample(functional(), batch=3, timesteps=4, mask=MASK, loss="mean_squared_error", seed=7)


@pytest.mark.parametrize(
    "wanted",
    [
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"implementation": 1},
        {"unroll": True},
        {"go_backwards": True, "activation": "relu"},
    ],
    ids=lambda wanted: "-".join(f"{name}_{value}" for name, value in wanted.items()),
)
def test_one_lstm_with_the_needed_options_is_left(wanted):
    left = shrink(SAMPLE, any_lstm(**wanted), 60)
    layers = [layer for layer in left.spec.layers if type(layer).__name__ != "InputLayer"]
    assert layers == [LSTM(1, name=layers[0].name, **wanted)]
    assert (left.batch, left.timesteps, left.count, left.mask, left.loss, left.seed) == (1, 1, 1, None, None, 0)
    assert next(left.batches()).inputs[next(iter(left.spec.inputs))].shape == (1, 1, 1)


def test_data_that_matter_are_left():
    """A masked timestep after an unmasked one, in the second of two rows, with a state given from outside."""

    def diverges(sample):
        rows = sample.mask or ()
        return bool(sample.states) and any((True, False) in itertools.pairwise(row) for row in rows)

    spec = Sequential([LSTM(2, return_sequences=True, name="first"), LSTM(3, name="second")], (None, 3))
    sample = Sample(spec, batch=3, timesteps=4, count=2, mask=MASK, states=("first", "second"))
    left = shrink(sample, diverges, 60)
    assert left.mask == ((True, False),)
    assert (left.batch, left.timesteps, left.count, len(left.states), len(left.spec.lstms)) == (1, 2, 1, 1, 1)


def test_stateful_batches_shrink_with_their_model():
    spec = Sequential([LSTM(2, stateful=True), Dense(2)], (None, 2), batch_size=3)
    left = shrink(
        Sample(spec, batch=3, timesteps=2, count=2), lambda s: any_lstm(stateful=True)(s) and s.count == 2, 60
    )
    assert (left.batch, left.count) == (1, 2)
    assert next(iter(left.spec.inputs.values())).batch_size == 1


def test_tokens_shrink_too():
    spec = Sequential([Embedding(5, 3, mask_zero=True), LSTM(2)], (4,), input_dtype="int32")
    left = shrink(Sample(spec, batch=2, timesteps=4), lambda s: "Embedding mask_zero=True" in traits(s), 60)
    (embedding,) = (layer for layer in left.spec.layers if isinstance(layer, Embedding))
    assert (left.batch, left.timesteps, embedding.output_dim) == (1, 1, 1)


@pytest.mark.parametrize("number", range(3))
def test_every_step_is_a_sample_that_can_be_executed(number):
    for sample in draw_samples(number, 5):
        for smaller in steps(sample):
            assert smaller != sample
            assert len(list(smaller.batches())) == smaller.count
            assert smaller.weights().keys() == smaller.spec.weight_shapes.keys()


def test_it_ends_when_its_time_is_over():
    start = time.monotonic()
    assert shrink(SAMPLE, lambda sample: time.sleep(0.02) or True, 0.1) != SAMPLE
    assert time.monotonic() - start < 5
