import dataclasses

import numpy as np
import pytest

from multilstm import LSTM, Conv1D, Cropping1D, Dense, Embedding, Input, Model, RepeatVector, Sequential, State
from multilstm.errors import InputError, SpecError
from multilstm.jobs.job import Batch
from multilstm.jobs.memory import bytes_needed, check_memory
from multilstm.jobs.validation import check_batch, check_shapes

SPEC = Sequential([LSTM(3, return_sequences=True), Dense(2)], input_shape=(None, 4))
GOOD = Batch({"input_layer": np.ones((2, 5, 4), "f4")}, (np.ones((2, 5, 2), "f4"),))
STATE = State(np.zeros((2, 3)), np.zeros((2, 3)))
NAN = np.ones((2, 5, 4))
NAN[1, 2, 3] = np.nan

RAGGED = [[[1.0, 2.0, 3.0, 4.0]], [[1.0]]]
MASKED = np.ma.masked_array(np.ones((2, 5, 4), "f4"), np.zeros((2, 5, 4)))

REFUSED = {
    "input_ragged": ({"inputs": {"input_layer": RAGGED}}, "input 'input_layer': given list, expected an array"),
    "input_complex": ({"inputs": {"input_layer": np.ones((2, 5, 4), complex)}}, "dtype is complex128, expected numb"),
    "input_masked": ({"inputs": {"input_layer": MASKED}}, "input 'input_layer': given a NumPy masked array"),
    "mask_ragged": ({"masks": {"input_layer": [[True], [True, False]]}}, "mask of input 'input_layer': given list"),
    "mask_of_objects": ({"masks": {"input_layer": np.full((2, 5), True, object)}}, "mask of .*: dtype is object"),
    "mask_of_complex": ({"masks": {"input_layer": np.ones((2, 5), complex)}}, "mask of .*: dtype is complex128"),
    "mask_masked": ({"masks": {"input_layer": np.ma.ones((2, 5), bool)}}, "mask of .*: given a NumPy masked array"),
    "state_ragged": ({"states": {"lstm": State([[1.0], [1.0, 2.0]], STATE.cell)}}, "hidden state: given list"),
    "target_ragged": ({"targets": (RAGGED,)}, "target 0: given list, expected an array"),
    "target_masked": ({"targets": (np.ma.ones((2, 5, 2)),)}, "target 0: given a NumPy masked array"),
    "inputs_are_a_list": ({"inputs": [1]}, "inputs: given list, expected a dict of arrays by name"),
    "masks_are_a_list": ({"masks": [1]}, "masks: given list, expected a dict"),
    "states_are_a_list": ({"states": [1]}, "states: given list, expected a dict"),
    "dropout_is_a_list": ({"dropout": [1]}, "dropout masks: given list, expected a dict"),
    "input_key": ({"inputs": {3: 1}}, "inputs: given the key 3, expected names"),
    "input_dict": ({"inputs": {"input_layer": {"a": 1}}}, "dtype is object, expected numbers"),
    "input_missing": ({"inputs": {}}, "input: 'input_layer' is missing"),
    "input_unknown": ({"inputs": {"x": np.ones((2, 5, 4))}}, "input: unknown 'x'; expected 'input_layer'"),
    "input_rank": ({"inputs": {"input_layer": np.ones((2, 4))}}, r"shape is \(2, 4\), expected \(any, any, 4\)"),
    "input_features": ({"inputs": {"input_layer": np.ones((2, 5, 3))}}, r"expected \(any, any, 4\)"),
    "input_text": ({"inputs": {"input_layer": np.full((2, 5, 4), "a")}}, "dtype is <U1, expected numbers"),
    "input_objects": ({"inputs": {"input_layer": np.full((2, 5, 4), None)}}, "dtype is object, expected numbers"),
    "input_nan": ({"inputs": {"input_layer": NAN}}, r"value nan at \(1, 2, 3\); expected finite numbers"),
    "no_sequences": (
        {"inputs": {"input_layer": np.ones((0, 5, 4))}, "targets": (np.ones((0, 5, 2)),)},
        "input .input_layer.: it is empty",
    ),
    "no_timesteps": ({"inputs": {"input_layer": np.ones((2, 0, 4))}}, "it is empty"),
    "mask_shape": ({"masks": {"input_layer": np.ones((2, 4), bool)}}, r"shape is \(2, 4\), expected \(2, 5\)"),
    "mask_of_nothing": ({"masks": {"lstm": np.ones((2, 5), bool)}}, "mask: unknown 'lstm'"),
    "mask_of_numbers": ({"masks": {"input_layer": np.full((2, 5), 2)}}, "expected True and False"),
    "state_of_nothing": ({"states": {"dense": STATE}}, r"states are given for 'dense'.*\(lstm\)"),
    "state_units": (
        {"states": {"lstm": State(np.zeros((2, 4)), STATE.cell)}},
        r"LSTM 'lstm': its hidden state has shape \(2, 4\), expected \(2, 3\): \[batch, units\]",
    ),
    "state_would_broadcast": ({"states": {"lstm": State(STATE.hidden, np.zeros((1, 3)))}}, "its cell state has shape"),
    "state_is_one_array": ({"states": {"lstm": np.zeros((2, 3))}}, "its state is State"),
    "state_text": ({"states": {"lstm": State(np.full((2, 3), "a"), STATE.cell)}}, "expected numbers"),
    "input_of_80_bits": ({"inputs": {"input_layer": np.ones((2, 5, 4), "g")}}, "numbers of at most 64 bits"),
    "state_nan": ({"states": {"lstm": State(STATE.hidden + np.nan, STATE.cell)}}, "expected finite numbers"),
    "targets_count": ({"targets": GOOD.targets * 2}, "2 targets given, expected one for each of 1 outputs"),
    "targets_shape": ({"targets": (np.ones((2, 5, 3)),)}, r"target 0: shape is \(2, 5, 3\), expected \(2, any, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(change, words):
    with pytest.raises(InputError, match=words):
        check_batch(SPEC, dataclasses.replace(GOOD, **change))


def test_a_mask_needs_timesteps():
    spec = Sequential([Dense(2)], input_shape=(4,))
    batch = Batch({"input_layer": np.ones((2, 4))}, masks={"input_layer": np.ones((2, 4), bool)})
    with pytest.raises(InputError, match=r"mask of input 'input_layer': the input is \[batch, features\]"):
        check_batch(spec, batch)


def test_good_batch_passes_unchanged():
    checked = check_batch(SPEC, dataclasses.replace(GOOD, states={"lstm": STATE}))
    np.testing.assert_array_equal(checked.inputs["input_layer"], GOOD.inputs["input_layer"])
    assert checked.states["lstm"].cell.shape == (2, 3)


def test_fixed_batch_size_is_kept():
    spec = Sequential([LSTM(3, stateful=True)], input_shape=(5, 4), batch_size=2)
    with pytest.raises(InputError, match=r"expected \(2, 5, 4\)"):
        check_batch(spec, Batch({"input_layer": np.ones((3, 5, 4))}))


@pytest.mark.parametrize("value", [2.5, 0.1, -0.5, np.nextafter(3, 4), np.nan], ids=str)
@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("check", [check_batch, check_shapes], ids=lambda check: check.__name__)
def test_a_fraction_is_no_token(check, dtype, value):
    """Engines would round it, most of them down, also where the Input has floats."""
    spec = Sequential([Embedding(9, 2, name="words"), LSTM(1)], input_shape=(3,), input_dtype=dtype)
    check(spec, Batch({"input_layer": np.array([[1.0, 2.0, 3.0]])}))
    words = "does not fit into int32" if np.isnan(value) and dtype == "int32" else "is no integer of Embedding 'words'"
    with pytest.raises(InputError, match=rf"input 'input_layer': value .* at \(0, 1\) {words}"):
        check(spec, Batch({"input_layer": np.array([[1.0, value, 3.0]])}))


def test_a_fraction_is_no_integer():
    with pytest.raises(InputError, match=r"value 1.5 at \(0, 1\) is no integer; expected whole numbers"):
        check_shapes(INTEGERS, Batch({"input_layer": np.array([[1.0, 1.5]])}))


def test_tokens_outside_the_vocabulary_are_refused():
    spec = Sequential([Embedding(9, 2), LSTM(1)], input_shape=(3,), input_dtype="int32")
    with pytest.raises(InputError, match=r"Embedding 'embedding': token 9 .*expected 0 to 8"):
        check_batch(spec, Batch({"input_layer": np.array([[1, 2, 9]])}))


def test_inputs_of_different_batch_sizes():
    first, second = Input((None, 2), name="first"), Input((None, 2), name="second")
    spec = Model([first, second], [LSTM(2)(first), LSTM(2)(second)])
    batch = Batch({"first": np.ones((2, 3, 2)), "second": np.ones((3, 3, 2))})
    with pytest.raises(InputError, match="different numbers of sequences"):
        check_batch(spec, batch)


INTEGERS = Sequential([Dense(1)], input_shape=(2,), input_dtype="int32")


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**32 + 5, 2**63, 1e12, -1e300, np.inf, np.nan], ids=str)
@pytest.mark.parametrize("check", [check_batch, check_shapes], ids=lambda check: check.__name__)
def test_an_integer_that_int32_does_not_hold_is_refused(check, value):
    """A cast would wrap it alike in every engine, so that all would agree on a wrong answer."""
    with pytest.raises(InputError, match=r"input 'input_layer': value .* at \(1, 0\) does not fit into int32"):
        check(INTEGERS, Batch({"input_layer": np.array([[0, 1], [value, 0]])}))


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31), 0, 3.0], ids=str)
def test_an_integer_that_int32_holds_passes(value):
    check_batch(INTEGERS, Batch({"input_layer": np.array([[0, 1], [value, 0]])}))
    check_batch(SPEC, Batch({"input_layer": np.full((2, 5, 4), 2**40)}))  # a float32 input


@pytest.mark.parametrize(
    ("spec", "batch", "timesteps"),
    [
        (SPEC, 10**9, 100),
        (Sequential([RepeatVector(2**31 - 1), LSTM(9)], input_shape=(4,)), 2, 1),
        (Sequential([Embedding(2**31 - 1, 64)], input_shape=(None,), input_dtype="int32"), 1, 1),
    ],
    ids=["batch", "repeat", "embedding"],
)
def test_a_batch_beyond_the_memory_is_refused_in_one_line(monkeypatch, spec, batch, timesteps):
    monkeypatch.setattr("multilstm.jobs.memory.memory", lambda: 2**36)
    with pytest.raises(InputError, match=r"needs at least [\d,]+ GiB, this machine has 64 GiB") as raised:
        check_memory(spec, batch, timesteps)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("sizes", [(2**31, 1), (1, 2**31), (10**400, 1)], ids=["batch", "timesteps", "beyond_floats"])
def test_a_size_beyond_all_arrays_is_refused(sizes):
    with pytest.raises(InputError, match=r"(batch|timesteps) must be below 2\*\*31, given \d+"):
        check_memory(SPEC, *sizes)


def test_the_estimate_counts_weights_and_tensors():
    assert bytes_needed(SPEC, 2, 5) == 8 * (SPEC.parameter_count + 2 * 5 * (4 + 3 + 2))


def test_the_batch_is_checked_before_it_is_computed(monkeypatch):
    monkeypatch.setattr("multilstm.jobs.memory.memory", lambda: 1000)
    with pytest.raises(InputError, match=r"a batch of 2 with 5 timesteps needs at least"):
        check_batch(SPEC, GOOD)


@pytest.mark.parametrize(
    ("layer", "message"),
    [(Conv1D(2, 3), "is shorter than a window of 3"), (Cropping1D(1), "no timestep .* is left")],
    ids=["Conv1D", "Cropping1D"],
)
def test_an_open_number_of_timesteps_that_a_layer_cannot_take_is_refused(layer, message):
    """Without the check, the LSTM gets no timestep, and every answer is zero."""
    spec = Sequential([layer, LSTM(2)], input_shape=(None, 4))
    with pytest.raises(SpecError, match=message):
        check_shapes(spec, Batch({"input_layer": np.ones((2, 2, 4))}))
    check_shapes(spec, Batch({"input_layer": np.ones((2, 3, 4))}))
