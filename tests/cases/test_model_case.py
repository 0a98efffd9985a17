"""The length of the random inputs of a user's model."""

import pytest

from multilstm.cases.model_case import TIMESTEPS, enough_timesteps, model_case
from multilstm.spec import LSTM, Conv1D, Cropping1D, MaxPooling1D, Sequential

pytestmark = pytest.mark.unit
WIDE = {
    "plain": ([LSTM(2)], 7),
    "window_of_7": ([Conv1D(2, 7), LSTM(2)], 7),
    "window_of_8": ([Conv1D(2, 8), LSTM(2)], 14),
    "pooled": ([Conv1D(2, 40, strides=2), MaxPooling1D(9), LSTM(2)], 56),
    "cropped": ([Cropping1D((5, 5)), LSTM(2)], 14),
    "beyond_reason": ([Conv1D(2, 10**5), LSTM(2)], 7),
}


@pytest.mark.parametrize("label", WIDE)
def test_a_model_gets_enough_timesteps_for_its_windows(label):
    layers, timesteps = WIDE[label]
    assert enough_timesteps(Sequential(layers, input_shape=(None, 3))) == timesteps


def test_the_inputs_of_a_case_have_these_timesteps():
    case = model_case(Sequential([Conv1D(2, 8), LSTM(2)], input_shape=(None, 3)))
    assert {batch.inputs["input_layer"].shape for batch in case.forward.batches()} == {(3, 2 * TIMESTEPS, 3)}
