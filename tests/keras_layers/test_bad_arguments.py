"""multilstm.keras_layers refuses wrong arguments alike on every backend, and names the remedy."""

import pytest
from portable_lstm import BATCH, TIMESTEPS, UNITS

ARGUMENTS = {
    "dropout_above_one": ("LSTM: dropout must be a number with 0 <= dropout < 1; given 1.5", "give 0.2 for 20 %"),
    "dropout_below_zero": ("LSTM: dropout must be a number with 0 <= dropout < 1; given -1", "give 0.2 for 20 %"),
    "dropout_not_a_number": ("LSTM: dropout must be a number with 0 <= dropout < 1; given nan", "give 0.2 for 20 %"),
    "recurrent_dropout": ("LSTM: recurrent_dropout must be a number", "given 1.5"),
    "implementation": ("LSTM: implementation must be 1 (", "given 3. Leave it out for 2"),
    "stateful": ("LSTM: stateful must be True or False; given 'yes'",),
    "return_sequences": ("LSTM: return_sequences must be True or False; given None",),
    "units": ("LSTM: units must be a positive integer below 2**31; given 2.5",),
}
TWO_STATES = "Give a list of 2 arrays [batch, units]: the hidden and the cell state"
INPUTS = {
    "one_array": ("LSTM 'lstm': initial_state must be a list; given one array of the shape (2, 6, 4)", TWO_STATES),
    "one_tensor": ("LSTM 'lstm': initial_state must be a list; given one array of the shape (2, 6, 4)", TWO_STATES),
    "symbolic_array": ("initial_state must be a list; given one array of the shape (any, 6, 4)", TWO_STATES),
    "units": (f"LSTM 'lstm': array 0 of initial_state has the shape (2, {UNITS + 1}), expected (2, {UNITS})",),
    "batch": (
        f"LSTM 'lstm': array 1 of initial_state has the shape (3, {UNITS}), expected (2, {UNITS})",
        "one row for",
    ),
    "nested_lists": (f"array 1 of initial_state has the shape (3, {UNITS}), expected (2, {UNITS})",),
    "lists": ("LSTM 'lstm': array 1 of initial_state is [[", "Give a numpy.array"),
    "integers": ("LSTM 'lstm': array 1 of initial_state has integers beyond int32, from 1099511627776",),
    "masked_state": ("LSTM 'lstm': array 1 of initial_state must be an array without a mask",),
    "complex_state": ("LSTM 'lstm': array 0 of initial_state must be real numbers; given the dtype complex",),
    "text_state": ("LSTM 'lstm': array 0 of initial_state must be numbers; given the dtype str",),
    "mask_of_lists": ("LSTM 'lstm': the mask must be an array of booleans [batch, timesteps]; given [True, ",),
    "masked_mask": ("LSTM 'lstm': the mask must be an array of booleans [batch, timesteps]; given masked_array",),
    "mask_of_one": ("LSTM 'lstm': the mask must be an array of booleans [batch, timesteps]; given True",),
    "both_three": ("Bidirectional", "initial_state has 3 arrays, expected 4", "of each direction"),
    "both_units": ("Bidirectional", f"array 3 of initial_state has the shape (2, {UNITS + 1}), expected (2, {UNITS})"),
    "text": ("LSTM 'lstm': the input must be numbers; given the dtype str", "TextVectorization"),
    "text_objects": ("LSTM 'lstm': the input must be numbers; given the dtype object", "TextVectorization"),
    "text_list": ("LSTM 'lstm': the input must be numbers; given the dtype str", "TextVectorization"),
    "complex": ("LSTM 'lstm': the input must be real numbers; given the dtype complex",),
    "masked": ("LSTM 'lstm': the input must be an array without a mask",),
    "int64": ("LSTM 'lstm': the input has integers beyond int32, from 4294967301 to 4294967301",),
    "uint64": ("LSTM 'lstm': the input has integers beyond int32, from 9223372036854775808",),
    "features_LSTM": ("LSTM 'layer': the input has 2 features, expected 3",),
    "features_GRU": ("GRU 'layer': the input has 2 features, expected 3",),
    "features_SimpleRNN": ("SimpleRNN 'layer': the input has 2 features, expected 3",),
    "features_more": ("LSTM 'layer': the input has 6 features, expected 3",),
    "features_both": ("the input has 2 features, expected 3",),
    "features_inside": ("the input has 2 features, expected 3",),
    "no_timesteps": (
        "LSTM 'lstm': the input must have at least one timestep; given the shape (2, 0, 3)",
        "Leave empty",
    ),
    "both_no_timesteps": ("Bidirectional", "must have at least one timestep; given the shape (2, 0, 3)"),
    "symbolic_no_timesteps": ("must have at least one timestep; given the shape (any, 0, 3)",),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_wrong_arguments_of_a_layer_are_refused(ran, name):
    message = str(ran("refused_arguments")[name])
    assert message.startswith("ValueError: ")
    assert [words for words in ARGUMENTS[name] if words not in message] == [], message


def test_every_argument_of_every_class_is_refused_in_our_words_or_taken_as_by_keras(ran):
    found = ran("wrong_types")
    assert found["differences"].tolist() == []
    assert found["refused_by_us"] > 10
    assert found["accepted"] > 50


def test_equal_arguments_of_other_types_are_accepted(ran):
    found = ran("accepted_arguments")
    assert found["shape"].tolist() == [BATCH, TIMESTEPS, UNITS]
    assert found["use_bias"]


@pytest.mark.parametrize("name", INPUTS)
def test_wrong_inputs_of_a_call_are_refused(ran, name):
    message = str(ran("refused_inputs")[name])
    assert message.startswith("ValueError: ")
    assert [words for words in INPUTS[name] if words not in message] == [], message


@pytest.mark.parametrize("how", ["call", "fit", "predict"])
def test_a_smaller_last_batch_of_a_stateful_model_is_refused(ran, backend, how):
    message = str(ran("smaller_last_batch")[how])
    if backend == "tensorflow" and how != "call":  # a graph, in which the batch size is open
        assert "with_stateful_every_batch_must_have_2_sequences" in message, message
    else:
        assert "with stateful=True every batch must have the batch size of its states, 2; given 1" in message, message
        assert "Leave out a smaller last batch" in message
