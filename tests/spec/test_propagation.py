import numpy as np
import pytest

from multilstm.spec import (
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    Model,
    Ref,
    RepeatVector,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.propagation import walk

T, F = True, False
X = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [2.0, 2.0]]])  # [batch, timesteps, features]
MASK = np.array([[T, F], [F, T]])


@pytest.mark.parametrize(
    ("layer", "inputs", "mask", "expected"),
    [
        (Embedding(9, 2, mask_zero=True), np.array([[3, 0], [0, 1]]), None, [[T, F], [F, T]]),
        (Embedding(9, 2), np.array([[3, 0], [0, 1]]), None, None),
        (Masking(0.0), X, None, [[T, F], [F, T]]),
        (Masking(0.0), X, ~MASK, [[T, F], [F, T]]),
        (Masking(2.0), X, None, [[T, T], [T, F]]),
        (LSTM(2, return_sequences=True), X, MASK, MASK),
        (LSTM(2, return_sequences=True, go_backwards=True), X, MASK, MASK),
        (LSTM(2), X, MASK, None),
        (LSTM(2), X, None, None),
        (Bidirectional(LSTM(2, return_sequences=True)), X, MASK, MASK),
        (Bidirectional(LSTM(2)), X, MASK, None),
        (RepeatVector(2), X[0], MASK, None),
        (Dense(2), X, MASK, MASK),
        (TimeDistributed(Dense(2)), X, MASK, MASK),
        (Dropout(0.5), X, MASK, MASK),
        (Activation("relu"), X, MASK, MASK),
        (Dense(2), X, None, None),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, (list, np.ndarray, type(None))) else "",
)
def test_mask_of_one_input(layer, inputs, mask, expected):
    found = layer.output_mask([inputs], [mask])
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == bool


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([None, None], None),
        ([MASK, None], [[T, T], [T, T]]),
        ([None, MASK], [[T, T], [T, T]]),
        ([MASK, ~MASK], [[T, T], [T, T]]),
        ([MASK, MASK & [[F, T], [F, T]]], [[T, F], [F, T]]),
        ([MASK & F, MASK & F, MASK], MASK),
    ],
    ids=["none", "first", "second", "both", "within", "three"],
)
def test_concatenate_keeps_a_step_that_any_of_its_inputs_keeps(masks, expected):
    found = Concatenate().output_mask([X] * len(masks), masks)
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


def recorded(graph, inputs, masks):
    """Walk `graph` with an `apply` that returns arrays of the right shapes and records its arguments."""
    seen = []

    def apply(call, layer, given, masks, states):
        seen.append((call.layer, [array.shape for array in given], masks[0], [array.shape for array in states]))
        index = graph.calls.index(call)
        shapes = [graph.tensor_shapes[Ref(index, output)] for output in range(layer.output_count)]
        return [np.zeros([2 if size is None else size for size in shape]) for shape in shapes]

    return seen, *walk(graph, inputs, masks, apply)


def test_walk_applies_every_layer_in_order():
    graph = Sequential([LSTM(3, return_sequences=True), LSTM(4), Dense(1)], input_shape=(2, 2))
    seen, tensors, masks = recorded(graph, {"input_layer": X}, {"input_layer": MASK})
    assert [name for name, *_ in seen] == ["lstm", "lstm_1", "dense"]
    assert [shapes for _, shapes, *_ in seen] == [[(2, 2, 2)], [(2, 2, 3)], [(2, 4)]]
    assert seen[0][2] is MASK
    assert seen[1][2] is MASK
    assert seen[2][2] is None
    assert tensors[Ref(0)] is X
    assert tensors[graph.outputs[0]].shape == (2, 1)
    assert [mask is MASK for mask in masks.values()] == [True, True, False, False]


def test_walk_passes_states_on_without_a_mask():
    x = Input((2, 2), name="x")
    output, *state = LSTM(3, return_sequences=True, return_state=True, name="a")(x)
    graph = Model(x, [LSTM(3, name="b")(output, initial_state=state), *state])
    seen, tensors, masks = recorded(graph, {"x": X}, {"x": MASK})
    assert seen[1][3] == [(2, 3), (2, 3)]
    assert masks[Ref(1, 0)] is MASK
    assert masks[Ref(1, 1)] is None
    assert masks[Ref(1, 2)] is None
    assert set(tensors) == set(masks) == set(graph.tensor_shapes)


@pytest.mark.parametrize(("merge_mode", "kept"), [(None, [T, T, F, F, F, F]), ("concat", [T, F, F, F, F])])
def test_both_sequences_of_a_bidirectional_carry_the_mask_and_its_states_do_not(merge_mode, kept):
    x = Input((2, 2), name="x")
    layer = Bidirectional(LSTM(3, return_sequences=True, return_state=True), merge_mode, name="b")
    graph = Model(x, layer(x))
    _, _, masks = recorded(graph, {"x": X}, {"x": MASK})
    assert [masks[Ref(1, output)] is MASK for output in range(len(kept))] == kept


def test_an_input_without_a_mask_has_none():
    graph = Sequential([LSTM(3)], input_shape=(2, 2))
    seen, _, masks = recorded(graph, {"input_layer": X}, {})
    assert seen[0][2] is None
    assert set(masks.values()) == {None}


def test_a_missing_input_is_an_error():
    graph = Sequential([LSTM(3)], input_shape=(2, 2))
    with pytest.raises(KeyError, match="input_layer"):
        recorded(graph, {}, {})
