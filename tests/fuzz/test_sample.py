"""Samples: the same numbers in every call, the shapes of the spec, and no change by a way through JSON."""

import gc
import signal
import threading

import numpy as np
import pytest
from hypothesis import given

from multilstm.fuzz.sample import Sample, sample_from_json
from multilstm.fuzz.strategies import LARGEST, draw_samples, drawing, extremes, samples
from multilstm.jobs.validation import check_batch
from multilstm.spec import LSTM, BatchNormalization, Embedding, Masking, OrthogonalRegularizer, Sequential

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
    assert 0 <= extremes(sample)[0] < LARGEST


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


def test_samples_cover_every_kind_of_data():
    drawn = [sample for number in range(3) for sample in draw_samples(number, 40)]
    assert {sample.mask is None for sample in drawn} == {True, False}
    assert {bool(sample.states) for sample in drawn} == {True, False}
    assert {sample.count for sample in drawn} == {1, 2}
    assert {sample.loss for sample in drawn} == {None, "mean_squared_error", "categorical_crossentropy"}
    assert {sample.spec.name for sample in drawn} == {"model", "outer"}  # a model inside of a model
    assert any(call.initial_state for sample in drawn for call in sample.spec.calls)
    assert any(layer.seed is not None for sample in drawn for layer in sample.spec.recurrent.values())


@pytest.mark.parametrize("features", [1, 2])
def test_a_regularizer_of_columns_of_one_element_is_not_drawn(features):
    lstm = LSTM(2, kernel_regularizer=OrthogonalRegularizer(mode="columns"))
    assert drawing.decided_by_rounding(Sequential([lstm], (2, features))) == (features == 1)


def test_a_moving_variance_is_not_negative():
    spec = Sequential([BatchNormalization()], (2, 30))
    weights = Sample(spec).weights()
    assert weights["batch_normalization/moving_variance"].min() >= 0
    assert weights["batch_normalization/beta"].min() < 0


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals are the main thread's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_samples_are_drawn_is_not_lost(monkeypatch, number):
    """Hypothesis adds a callback to the garbage collector, and Python only prints an exception that is raised there."""

    class Ended(BaseException):
        pass

    def end(*_):
        raise Ended

    def collected(*_):
        gc.callbacks.remove(collected)
        signal.raise_signal(number)

    def extremes_and_collect(sample):
        if not drawn:
            gc.callbacks.append(collected)
            gc.collect()
        drawn.append(sample)
        return extremes(sample)

    drawn, callbacks = [], gc.callbacks[:]
    monkeypatch.setattr(drawing, "extremes", extremes_and_collect)
    previous = signal.signal(number, end)
    try:
        with pytest.raises(Ended):
            draw_samples(0, 2)
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, previous)
    assert len(drawn) > 1
    assert gc.callbacks == callbacks
