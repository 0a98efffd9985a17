"""TimeDistributed around layers with sequences of their own: what it refuses, its shapes and its JSON."""

import numpy as np
import pytest

from multilstm.engines.reference.layers import Given, apply
from multilstm.errors import SpecError
from multilstm.spec import (
    GRU,
    LSTM,
    Bidirectional,
    ConvLSTM2D,
    Embedding,
    Input,
    Model,
    SimpleRNN,
    TimeDistributed,
    from_json,
)

INSIDE = {
    "state": (LSTM(1, stateful=True), "LSTM with stateful=True"),
    "states": (GRU(1, return_state=True), "GRU with return_state=True"),
    "dropout": (SimpleRNN(1, dropout=0.5), "SimpleRNN with dropout=0.5"),
    "recurrent dropout": (Bidirectional(LSTM(1, recurrent_dropout=0.5)), "LSTM with recurrent_dropout=0.5"),
    "two outputs": (Bidirectional(LSTM(1), None), "a Bidirectional of two outputs"),
    "images": (Bidirectional(ConvLSTM2D(1, 1)), "or of a ConvLSTM2D"),
}


@pytest.mark.parametrize(("layer", "message"), INSIDE.values(), ids=INSIDE)
def test_time_distributed_refuses_what_it_does_not_execute_inside(layer, message):
    with pytest.raises(SpecError, match=f"TimeDistributed: given .*{message}"):
        TimeDistributed(layer)


def test_each_timestep_is_a_sequence_from_zero_states():
    """The result is that of one call of the layer inside for each timestep."""
    rng = np.random.default_rng(0)
    layer, x = Bidirectional(LSTM(3)), rng.normal(size=(2, 4, 5, 2))
    weights = {name: rng.normal(size=shape) for name, shape in layer.weight_shapes((2, 5, 2)).items()}
    (found,) = apply(TimeDistributed(layer), Given([x], [np.eye(2, 4, dtype=bool)], weights)).outputs
    steps = [apply(layer, Given([x[:, t]], [None], weights, (None, None))).outputs[0] for t in range(4)]
    np.testing.assert_array_equal(found, np.stack(steps, axis=1))


def test_documents_of_sentences_survive_keras_json():
    tokens = Input((4, 5), dtype="int32", name="tokens")
    words = TimeDistributed(Embedding(9, 3, name="table"), name="words")(tokens)
    sentences = TimeDistributed(Bidirectional(GRU(2, name="gru"), "sum", name="both"), name="sentences")(words)
    graph = Model(tokens, sentences)
    assert graph.output_shapes == ((None, 4, 2),)
    assert graph.token_tables == {"tokens": [9]}
    assert not graph.recurrent
    assert from_json(graph.to_json()) == graph
