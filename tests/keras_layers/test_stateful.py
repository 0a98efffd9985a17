"""multilstm.keras_layers.LSTM as it carries its states, on every backend, against the float64 reference."""

import numpy as np
import pytest
from portable_lstm import (
    ATOL,
    BATCH,
    CLASSES,
    FEATURES,
    FIXED,
    MASKED,
    TIMESTEPS,
    UNITS,
    all_close,
    close,
    stateful_spec,
)

from multilstm.spec import LSTM, Bidirectional, Dense, Input, Masking, Model

FLOATX = pytest.mark.parametrize("floatx", ATOL)


@FLOATX
def test_predict_carries_the_state(ran, reference, arrays, floatx):
    found = ran(f"stateful_predict-{floatx}")
    judge = reference(stateful_spec(timesteps=None), arrays(found))
    x1, x2, x3 = found["x1"], found["x2"], found["x3"]
    close(found["y1"], judge.predict(x1), floatx)
    close(found["y2"], judge.predict(x2), floatx)
    all_close(arrays(found, "state"), judge.states("lstm"), floatx)
    close(found["y3"], judge.predict(x3), floatx)
    close(found["y4"], judge.predict(x1), floatx)
    judge.reset()
    close(found["y5"], judge.predict(x1), floatx)
    close(found["y6"], np.concatenate([judge.predict(x1), judge.predict(x3)]), floatx)
    assert not np.any(arrays(found, "reset"))
    assert found["y1"].dtype == found["state0"].dtype == floatx
    assert np.abs(found["y5"] - found["y6"][:BATCH]).max() > 0.01  # the state matters


@FLOATX
def test_fit_evaluate_and_train_on_batch_carry_the_state(ran, reference, arrays, floatx):
    found = ran(f"stateful_fit-{floatx}")
    judge = reference(stateful_spec(), arrays(found))
    x, y, other_x, other_y = (found[key] for key in ("x", "y", "other_x", "other_y"))
    close(found["fit"], [judge.fit(x, y, BATCH), judge.fit(x, y, BATCH)], floatx)
    close(found["predict"], judge.predict(x[:BATCH]), floatx)
    close(found["evaluate"], judge.evaluate(other_x, other_y, BATCH), floatx)
    close(found["train1"], judge.fit(x[:BATCH], y[:BATCH], BATCH), floatx)
    close(found["train2"], judge.fit(x[BATCH : 2 * BATCH], y[BATCH : 2 * BATCH], BATCH), floatx)
    close(found["test"], judge.evaluate(other_x[:BATCH], other_y[:BATCH], BATCH), floatx)
    close(found["again"], [judge.fit(x, y, BATCH)], floatx)
    close(found["validation"], [judge.evaluate(other_x, other_y, BATCH)], floatx)
    all_close(arrays(found, "after"), list(judge.weights.values()), floatx)
    all_close(arrays(found, "state"), judge.states("lstm"), floatx)


def test_a_callback_can_reset_the_state(ran, reference, arrays):
    found = ran("stateful_fit_reset_by_callback")
    judge, losses = reference(stateful_spec(), arrays(found)), []
    for _ in range(3):
        judge.reset()
        losses.append(judge.fit(found["x"], found["y"], BATCH))
    close(found["fit"], losses)
    all_close(arrays(found, "after"), list(judge.weights.values()))
    all_close(arrays(found, "state"), judge.states("lstm"))


def test_two_stateful_layers(ran, reference, arrays):
    found = ran("stateful_stack")
    inputs = Input(batch_shape=(BATCH, None, FEATURES))
    first = LSTM(UNITS, stateful=True, return_sequences=True, name="first")
    second = LSTM(CLASSES, stateful=True, name="second")
    judge = reference(Model(inputs, second(first(inputs))), arrays(found))
    close(found["fit"], [judge.fit(found["x"], found["y"], BATCH)], "float64")
    close(found["predict"], judge.predict(found["x"][:BATCH]), "float64")
    all_close(arrays(found, "after"), list(judge.weights.values()), "float64")
    for name in ("first", "second"):
        all_close(arrays(found, name), judge.states(name), "float64")


def test_bidirectional_of_a_stateful_layer(ran, reference, arrays):
    found = ran("stateful_bidirectional")
    inputs = Input(batch_shape=(BATCH, TIMESTEPS, FEATURES))
    both = Bidirectional(LSTM(UNITS, stateful=True, return_sequences=True), name="both")
    judge = reference(Model(inputs, Dense(CLASSES, name="dense")(both(inputs))), arrays(found))
    x, y = found["x"], found["y"]
    close(found["y1"], judge.predict(x[:BATCH]), "float64")
    close(found["y2"], judge.predict(x[BATCH:]), "float64")
    close(found["fit"], [judge.fit(x, y, BATCH)], "float64")
    all_close(arrays(found, "after"), list(judge.weights.values()), "float64")
    for direction in ("forward", "backward"):
        all_close(arrays(found, direction), judge.states(f"both/{direction}"), "float64")
    judge.reset()
    close(found["y3"], judge.predict(x[:BATCH]), "float64")


@pytest.mark.parametrize("name", MASKED)
def test_masked_beginning_of_a_second_batch(ran, reference, arrays, name):
    found = ran("stateful_masked")
    inputs = Input(batch_shape=(BATCH, TIMESTEPS, FEATURES))
    lstm = LSTM(UNITS, stateful=True, name="lstm", **MASKED[name])
    judge = reference(Model(inputs, lstm(Masking(name="masking")(inputs))), arrays(found))
    close(found[f"{name}_y1"], judge.predict(found["x1"]), "float64")
    close(found[f"{name}_y2"], judge.predict(found["x2"]), "float64")
    all_close(arrays(found, f"{name}_state"), judge.states("lstm"), "float64")
    assert not found[f"{name}_y2"][1].any()  # masked throughout


def test_mixed_precision_carries_the_state(ran, arrays):
    found = ran("stateful_mixed_precision")
    assert found["kinds"].tolist() == ["float32"]
    for mixed, full in zip(arrays(found, "state"), arrays(found, "full"), strict=True):
        assert np.abs(full).max() > 0.1
        np.testing.assert_allclose(mixed, full, rtol=0, atol=0.02)  # bfloat16


@pytest.mark.parametrize(
    "how", ["predict_3", "predict_2_1", "predict_on_batch", "call", "fit", "evaluate", "train_on_batch"]
)
def test_another_batch_size_is_refused(ran, how):
    message = str(ran("wrong_batch_size")[how])
    assert message
    assert "shape" in message or "batch size" in message, message


def test_one_sequence_and_no_batch_size_given(ran, reference, arrays):
    found = ran("batch_of_one")
    judge = reference(stateful_spec(batch=1), arrays(found))
    close(found["fit"], [judge.fit(found["x"], found["y"], 1)])
    close(found["evaluate"], judge.evaluate(found["x"], found["y"], 1))
    close(found["predict"], judge.predict(found["x"]))
    all_close(arrays(found, "after"), list(judge.weights.values()))


def test_plain_predict_forgets_on_jax(ran, backend):
    found = ran("plain_stateful")
    assert np.array_equal(found["y1"], found["y2"]) == (backend == "jax"), FIXED


def test_plain_train_on_batch_raises_on_torch(ran, backend):
    assert ("RuntimeError" in str(ran("plain_stateful")["train"])) == (backend == "torch"), FIXED


def test_plain_predict_takes_another_batch_size_on_tensorflow(ran, backend):
    assert (str(ran("plain_stateful")["rows"]) == "") == (backend == "tensorflow"), FIXED


def test_plain_fit_of_one_sequence_raises_on_tensorflow_and_torch(ran, backend):
    assert (str(ran("plain_stateful")["one_row"]) != "") == (backend != "jax"), FIXED


def test_plain_state_is_lost_in_mixed_precision_on_torch(ran, backend):
    assert (ran("plain_stateful")["mixed_state"] == 0) == (backend == "torch"), FIXED


def test_plain_output_before_the_mask_begins_is_the_initial_state_on_jax(ran, backend):
    assert (ran("plain_stateful")["masked"].max() == 1) == (backend == "jax"), FIXED


def test_plain_unrolled_output_is_not_zero_where_masked_on_jax(ran, backend):
    assert ran("plain_stateful")["unrolled"][:, 2:].any() == (backend == "jax"), FIXED
