"""Samples: the same numbers in every call, the shapes of the spec, and no change by a way through JSON."""

import gc
import signal
import threading

import numpy as np
import pytest
from hypothesis import given

from multilstm.fuzz import strategies
from multilstm.fuzz.sample import Sample, sample_from_json
from multilstm.fuzz.strategies import LARGEST, draw_samples, largest, samples
from multilstm.jobs.validation import check_batch
from multilstm.spec import LSTM, Embedding, Masking, OrthogonalRegularizer, Sequential
from multilstm.spec.layers import ACTIVATIONS

MASK = ((True, False, True), (False, True, True))


@given(samples())
def test_json_there_and_back(sample):
    assert sample_from_json(sample.to_json()) == sample


@given(samples())
def test_numbers_fit_the_model_and_come_again(sample):
    for first, second in zip(sample.batches(), sample.batches(), strict=True):
        check_batch(sample.spec, first)
        for name, values in first.inputs.items():
            np.testing.assert_array_equal(values, second.inputs[name])
    assert 0 <= largest(sample) < LARGEST


@pytest.mark.parametrize(
    ("spec", "masked"),
    [
        (Sequential([Masking(0.5), LSTM(2)], (None, 3)), lambda batch: (batch.inputs["input_layer"] == 0.5).all(-1)),
        (
            Sequential([Embedding(4, 2, mask_zero=True), LSTM(2)], (None,), input_dtype="int32"),
            lambda batch: batch.inputs["input_layer"] == 0,
        ),
        (Sequential([LSTM(2)], (None, 3)), lambda batch: ~batch.masks["input_layer"]),
    ],
    ids=["masking", "embedding", "given"],
)
def test_the_mask_reaches_the_source_of_masks(spec, masked):
    (batch,) = Sample(spec, batch=2, timesteps=3, mask=MASK).batches()
    np.testing.assert_array_equal(masked(batch), ~np.array(MASK))


def test_a_number_draws_the_same_samples_and_another_others():
    assert draw_samples(5, 10) == draw_samples(5, 10)
    assert set(draw_samples(5, 10)) & set(draw_samples(6, 10)) == set()


def test_samples_cover_every_option_and_layer():
    """Every option and layer is drawn, at its default and not."""
    drawn = [sample for number in range(12) for sample in draw_samples(number, 40)]
    lstms = [lstm for sample in drawn for lstm in sample.spec.lstms.values()]
    for option in (
        "use_bias", "return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask",
        "implementation", "use_cudnn", "dropout", "recurrent_dropout", "kernel_regularizer", "trainable",
    ):  # fmt: skip
        assert len({getattr(lstm, option) for lstm in lstms}) > 1, option
    for role in ("activation", "recurrent_activation"):
        assert {getattr(lstm, role) for lstm in lstms} == set(ACTIVATIONS)
    layers = {type(layer).__name__ for sample in drawn for layer in sample.spec.layers}
    assert layers == {
        "InputLayer", "Embedding", "Masking", "LSTM", "Bidirectional", "Dense", "TimeDistributed", "Dropout",
        "Activation", "RepeatVector", "Concatenate",
    }  # fmt: skip
    assert {sample.mask is None for sample in drawn} == {True, False}
    assert {bool(sample.states) for sample in drawn} == {True, False}
    assert {sample.loss for sample in drawn} == {None, "mean_squared_error", "categorical_crossentropy"}
    assert any(call.initial_state for sample in drawn for call in sample.spec.calls)
    rows = [
        sample.spec.weight_shapes[name][0]
        for sample in drawn
        for name, regularizer in sample.spec.regularizers.items()
        if isinstance(regularizer, OrthogonalRegularizer)
    ]
    assert rows
    assert min(rows) > 1


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals are the main thread's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_samples_are_drawn_is_not_lost(monkeypatch, number):
    """Hypothesis adds a callback to the garbage collector, and Python only prints an exception that is raised there."""

    class Ended(BaseException):
        pass

    def end(*_):
        raise Ended

    def collected(*_):
        gc.callbacks.remove(collected)
        signal.raise_signal(number)

    def largest_and_collect(sample):
        if not drawn:
            gc.callbacks.append(collected)
            gc.collect()
        drawn.append(sample)
        return largest(sample)

    drawn, callbacks = [], gc.callbacks[:]
    monkeypatch.setattr(strategies, "largest", largest_and_collect)
    previous = signal.signal(number, end)
    try:
        with pytest.raises(Ended):
            draw_samples(0, 2)
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, previous)
    assert len(drawn) > 1
    assert gc.callbacks == callbacks
