"""GRU, SimpleRNN and ConvLSTM2D as data: weights, parameters, states, dropout masks, summary, source."""

import pytest

from multilstm.errors import InputError, SpecError
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.jobs.job import Batch
from multilstm.jobs.validation import check_batch
from multilstm.spec import GRU, LSTM, Bidirectional, ConvLSTM2D, Input, Model, Sequential, SimpleRNN, from_json
from multilstm.spec.arrays import HiddenState, State, as_state
from multilstm.spec.source import keras_source

pytestmark = pytest.mark.unit

WEIGHTS = {
    "gru": (GRU(4), {"kernel": (5, 12), "recurrent_kernel": (4, 12), "bias": (2, 12)}, "3*(5*4 + 4*4 + 2*4)"),
    "before": (GRU(4, reset_after=False), {"bias": (12,)}, "3*(5*4 + 4*4 + 4)"),
    "no_bias": (GRU(4, use_bias=False), {"recurrent_kernel": (4, 12)}, "3*(5*4 + 4*4)"),
    "simple": (SimpleRNN(4), {"kernel": (5, 4), "recurrent_kernel": (4, 4), "bias": (4,)}, "5*4 + 4*4 + 4"),
}


@pytest.mark.parametrize(("layer", "shapes", "figures"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_and_parameters(layer, shapes, figures):
    spec = Sequential([layer], input_shape=(None, 5))
    found = layer.weight_shapes((None, None, 5))
    assert found | shapes == found
    assert ("bias" in found) is layer.use_bias
    assert layer.parameter_formula((None, None, 5)).split(" = ")[1] == figures
    assert spec.parameter_count == eval(figures)
    assert f"= {figures}" in spec.summary()


@pytest.mark.parametrize("layer", [GRU(4), SimpleRNN(4)], ids=lambda layer: layer.class_name)
def test_the_state_is_one_array(layer):
    x = Input((None, 3))
    outputs = type(layer)(4, return_state=True)(x)
    assert [len(outputs), layer.state_names, layer.state_type] == [2, ("hidden",), HiddenState]
    spec = Model(x, outputs)
    assert spec.output_shapes == ((None, 4), (None, 4))
    (name,) = spec.recurrent
    assert spec.lstms == {}
    with pytest.raises(SpecError, match=r"initial_state has 2 tensors, expected 1 \(hidden\)"):
        layer(x, initial_state=outputs)
    state = HiddenState([[1.0] * 4] * 2)
    batch = Batch({"input_layer": [[[1.0] * 3]] * 2}, states={name: state})
    assert type(check_batch(spec, batch).states[name]) is HiddenState
    with pytest.raises(
        InputError, match=rf"{layer.class_name} '{name}': its state is HiddenState\(hidden\); given State"
    ):
        check_batch(spec, Batch(batch.inputs, states={name: State(*state, *state)}))


def test_a_state_is_made_of_one_or_two_arrays():
    assert (as_state(1), as_state(1, 2)) == (HiddenState(1), State(1, 2))


DROPOUT = {
    "gru": (GRU(4, dropout=0.5), {"gru/dropout": (2, 3)}),
    "gates": (GRU(4, dropout=0.5, implementation=1), {"gru/dropout": (3, 2, 3)}),
    "recurrent": (
        GRU(4, dropout=0.5, recurrent_dropout=0.25),
        {"gru/dropout": (3, 2, 3), "gru/recurrent_dropout": (3, 2, 4)},
    ),
    "simple": (
        SimpleRNN(4, dropout=0.5, recurrent_dropout=0.25),
        {"simple_rnn/dropout": (2, 3), "simple_rnn/recurrent_dropout": (2, 4)},
    ),
}


@pytest.mark.parametrize(("layer", "shapes"), DROPOUT.values(), ids=DROPOUT)
def test_dropout_masks(layer, shapes):
    spec = Sequential([layer], input_shape=(None, 3))
    assert {mask.name: mask.shape for mask in dropout_masks(spec, 2)} == shapes


def test_a_bidirectional_takes_each_of_them():
    spec = Sequential(
        [Bidirectional(GRU(4, return_sequences=True)), Bidirectional(SimpleRNN(2))], input_shape=(None, 3)
    )
    names = [f"bidirectional{number}/{half}" for number in ("", "_1") for half in ("forward", "backward")]
    assert list(spec.recurrent) == names
    assert spec.recurrent["bidirectional/backward"] == GRU(
        4, return_sequences=True, go_backwards=True, zero_output_for_mask=True
    )
    assert "two SimpleRNNs, forward and backward" in spec.summary()


def test_the_summary_names_the_gates_of_each_class_once():
    text = Sequential(
        [GRU(4, return_sequences=True), GRU(4, return_sequences=True), LSTM(3)], input_shape=(5, 3)
    ).summary()
    assert text.count("3*units: the three gates of a GRU side by side: update, reset, candidate.") == 1
    assert text.count("4*units: the four gates of an LSTM side by side: input, forget, cell, output.") == 1
    assert "bias (2, 3*4)" in text


def test_source_names_the_states_of_both_directions():
    x = Input((None, 3))
    source = keras_source(Model(x, Bidirectional(GRU(4, return_state=True, reset_after=False))(x)))
    assert "layers.GRU(4, return_state=True, reset_after=False)" in source
    assert "    bidirectional_forward_hidden,\n    bidirectional_backward_hidden,\n" in source


def test_a_conv_lstm_as_data():
    layer = ConvLSTM2D(3, (3, 2), padding="same", dropout=0.5, recurrent_dropout=0.25, return_state=True, name="images")
    x = Input((None, 6, 5, 4))
    spec = Model(x, layer(x))
    assert spec.output_shapes == ((None, 6, 5, 3),) * 3
    assert spec.state_shape("images", 2) == (2, 6, 5, 3)
    assert spec.weight_shapes == {
        "images/kernel": (3, 2, 4, 12),
        "images/recurrent_kernel": (3, 2, 3, 12),
        "images/bias": (12,),
    }
    assert spec.parameter_count == 4 * (3 * 2 * (4 + 3) * 3 + 3)
    assert layer.parameter_formula((None, None, 6, 5, 4)).endswith(" = 4*(3*2*(4 + 3)*3 + 3)")
    masks = {mask.name: mask.shape for mask in dropout_masks(spec, 2)}
    assert masks == {"images/dropout": (4, 2, 6, 5, 4), "images/recurrent_dropout": (4, 2, 6, 5, 3)}
    assert "windows of 3x2, padding same" in spec.summary()
    assert from_json(spec.to_json()) == spec
    assert "layers.ConvLSTM2D(" in keras_source(spec)
    state = State(*[[[[[0.0] * 3] * 4] * 6] * 2] * 2)  # four columns
    with pytest.raises(
        InputError, match=r"shape \(2, 6, 4, 3\), expected \(2, 6, 5, 3\): \[batch, rows, columns, filters\]"
    ):
        check_batch(spec, Batch({"input_layer": [[[[[1.0] * 4] * 5] * 6]] * 2}, states={"images": state}))
