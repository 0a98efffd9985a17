"""Models whose one source builds both: with `multilstm.spec` a Graph, with Keras a Keras model.

Run as a script, in its own process, this is the Keras side: `same_source.py ASK ANSWER`. It reads the models' JSON by
name, as multilstm wrote it. It writes the facts of the models that Keras builds from it, and Keras's own JSON.
"""

import json
import sys
import types

KEPT = {"units": 3, "return_sequences": True}


def seed_1(k):
    layers = [
        k.LSTM(100, return_sequences=True, stateful=True, name="a"),
        k.LSTM(100, name="b"),
        k.Dense(2, activation="softmax", name="c"),
    ]
    return k.Sequential([k.Input((None, 100), batch_size=200, name="x"), *layers], name="seed_1")


def seed_2(k):
    stack = [k.LSTM(32, return_sequences=True, name="a"), k.LSTM(32, return_sequences=True, name="b")]
    stack += [k.LSTM(32, name="c"), k.Dense(10, activation="softmax", name="d")]
    return k.Sequential([k.Input((8, 16), name="x"), *stack], name="seed_2")


def other_recurrent(k):
    x = k.Input((None, 3), name="x")
    sequence, state = k.GRU(4, "relu", return_sequences=True, return_state=True, reset_after=False, name="a")(x)
    both = k.Bidirectional(k.GRU(3, dropout=0.25, recurrent_dropout=0.5, name="inner"), "sum", name="b")(sequence)
    last = k.SimpleRNN(4, "sigmoid", use_bias=False, go_backwards=True, name="c")(sequence, initial_state=[state])
    return k.Model(x, [both, last], name="other_recurrent")


def seed_4_one(k):
    return k.Sequential([k.Input((None, 1), name="x"), k.LSTM(1, name="a")], name="one")


def seed_4_two(k):
    return k.Sequential([k.Input((None, 2), name="x"), k.LSTM(1, name="a")], name="two")


def seed_5(k):
    layers = [
        k.LSTM(32, return_sequences=True, name="a"),
        k.LSTM(8, return_sequences=True, name="b"),
        k.TimeDistributed(k.Dense(2, activation="softmax", name="d"), name="t"),
    ]
    return k.Sequential([k.Input((None, 5), name="x"), *layers], name="seed_5")


def every_lstm_argument(k):
    layer = k.LSTM(
        4, "relu", "hard_sigmoid", False, "he_normal", "lecun_uniform", "random_normal", False,
        dropout=0.25, recurrent_dropout=0.125, seed=7, return_sequences=True, return_state=True, go_backwards=True,
        stateful=True, unroll=True, zero_output_for_mask=True, name="a",
    )  # fmt: skip
    x = k.Input((5, 3), batch_size=2, name="x")
    return k.Model(x, layer(x), name="every_argument")


def initializers(k):
    names = ["zeros", "ones", "random_uniform", "random_normal", "glorot_uniform", "glorot_normal", "he_uniform"]
    names += ["he_normal", "lecun_uniform", "lecun_normal", "orthogonal"]
    layers = [k.Dense(2, kernel_initializer=name, bias_initializer="ones", name=f"d_{name}") for name in names]
    return k.Sequential([k.Input((3,), name="x"), *layers], name="initializers")


def tokens(k):
    layers = [
        k.Embedding(25, 16, mask_zero=True, name="e"),
        k.Bidirectional(k.LSTM(**KEPT, name="inner"), name="both"),
        k.Dropout(0.5, seed=3, name="drop"),
        k.Bidirectional(k.LSTM(2, zero_output_for_mask=True, name="inner"), merge_mode="ave", name="last"),
    ]
    return k.Sequential([k.Input((None,), dtype="int32", name="x"), *layers], name="tokens")


def masked(k):
    layers = [k.Masking(-1.5, name="m"), k.LSTM(3, name="a"), k.RepeatVector(4, name="r"), k.LSTM(**KEPT, name="b")]
    layers += [k.Activation("softmax", name="s"), k.TimeDistributed(k.Dense(1, name="d"), name="t")]
    return k.Sequential([k.Input((None, 2), name="x"), *layers], name="masked")


def last_of_a_stack_returns_its_states(k):
    layers = [k.LSTM(**KEPT, name="a"), k.LSTM(2, return_state=True, name="b")]
    return k.Sequential([k.Input((4, 2), name="x"), *layers], name="states")


def encoder_decoder(k):
    encoded, decoded = k.Input((None, 3), name="enc"), k.Input((None, 2), name="dec")
    _, hidden, cell = k.LSTM(4, return_state=True, name="e")(encoded)
    y = k.LSTM(4, return_sequences=True, name="d")(decoded, initial_state=[hidden, cell])
    return k.Model([decoded, encoded], [y, hidden], name="encoder_decoder")


def shared(k):
    left, right = k.Input((5, 3), name="left"), k.Input((5, 3), name="right")
    layer, again = k.LSTM(3, return_sequences=True, name="shared"), k.Dense(3, name="again")
    first, second = layer(left), layer(layer(right))
    joined = k.Concatenate(name="joined")([again(first), second, again(second), first])
    return k.Model([left, right], joined, name="shared")


def both_directions_apart(k):
    x = k.Input((None, 3), batch_size=4, name="x")
    layer = k.Bidirectional(k.LSTM(**KEPT, return_state=True, name="inner"), merge_mode=None, name="both")
    outputs = layer(x)
    last = k.Bidirectional(k.LSTM(3, name="inner"), merge_mode="mul", name="next")
    return k.Model(x, [*outputs, last(outputs[1], initial_state=outputs[2:])], name="apart")


def penalised(k):
    """Return a model with penalties. Their factors are exact in float32, because Keras rounds the factor of an L1."""
    layers = [
        k.Embedding(25, 4, embeddings_regularizer="l2", embeddings_constraint=k.MaxNorm(3, axis=1), name="e"),
        k.Bidirectional(
            k.LSTM(3, return_sequences=True, kernel_regularizer=k.L1(0.25), recurrent_regularizer=k.L1L2(0.5, 0.125),
                   bias_regularizer="l1l2", kernel_constraint="unit_norm", recurrent_constraint=k.MinMaxNorm(0.5, 1.5),
                   bias_constraint="non_neg", name="inner"), name="both",
        ),
        k.LSTM(2, return_sequences=True, recurrent_regularizer=k.OrthogonalRegularizer(0.5, "columns"), name="a"),
        k.TimeDistributed(k.Dense(2, kernel_regularizer=k.L2(0.3), bias_constraint=k.MaxNorm(), name="d"), name="t"),
    ]  # fmt: skip
    return k.Sequential([k.Input((None,), dtype="int32", name="x"), *layers], name="penalised")


def partly_frozen(k):
    x = k.Input((None, 3), name="x")
    y = k.LSTM(3, return_sequences=True, trainable=False, kernel_regularizer="l2", name="a")(x)
    y = k.Bidirectional(k.LSTM(2, return_sequences=True, trainable=False, name="inner"), name="both")(y)
    inner = k.Dense(2, trainable=False, name="inner_dense")
    y = k.TimeDistributed(inner, trainable=False, name="t")(y)
    y = k.Masking(trainable=False, name="m")(y)
    return k.Model(x, k.Dense(1, name="d")(y), name="partly_frozen")


def masked_graph(k):
    """Return a model whose masks Keras writes into its JSON: each is a tensor that operations compute."""
    tokens, x, y = k.Input((5,), dtype="int32", name="tokens"), k.Input((5, 3), name="x"), k.Input((5, 3), name="y")
    words = k.Embedding(9, 3, mask_zero=True, name="e")(tokens)
    first, second = k.Masking(2.0, name="m")(x), k.Masking(name="n")(k.Dense(3, name="before")(y))
    both = k.Concatenate(name="both")([words, first, second])
    some = k.Concatenate(name="some")([first, y])
    a, hidden, cell = k.LSTM(4, return_sequences=True, return_state=True, name="a")(both)
    b = k.Bidirectional(k.LSTM(4, return_sequences=True, name="inner"), name="b")(k.Dropout(0.5, name="drop")(some))
    c = k.LSTM(4, return_sequences=True, name="c")(words, initial_state=[hidden, cell])
    last = k.LSTM(2, name="last")(k.Concatenate(name="all")([a, b, c]))
    return k.Model([tokens, x, y], [last, k.TimeDistributed(k.Dense(1, name="d"), name="t")(a)], name="masked_graph")


MODELS = {
    function.__name__: function
    for function in (
        seed_1, seed_2, seed_4_one, seed_4_two, seed_5, every_lstm_argument, initializers, tokens, masked,
        last_of_a_stack_returns_its_states, encoder_decoder, shared, both_directions_apart, penalised, partly_frozen,
        masked_graph,
        other_recurrent,
    )
}  # fmt: skip


def main(ask, answer):
    import keras

    with open(ask, encoding="utf-8") as file:
        ours = json.load(file)
    k = types.SimpleNamespace(**{**vars(keras.regularizers), **vars(keras.constraints), **vars(keras.layers)})
    k.Model, k.Sequential = keras.Model, keras.Sequential
    answers = {}
    for name, text in ours.items():
        model = keras.models.model_from_json(text)
        own = MODELS[name](k) if name in MODELS else None
        counts = {layer.name: layer.count_params() for layer in model.layers}
        answers[name] = {
            "name": model.name,
            "parameter_count": model.count_params(),
            "parameter_counts": counts,
            "weights": {layer.name: [list(weight.shape) for weight in layer.weights] for layer in model.layers},
            "inputs": [[tensor.name, list(tensor.shape), tensor.dtype] for tensor in model.inputs],
            "outputs": [list(tensor.shape) for tensor in model.outputs],
            "again": model.to_json(),
            "own": None if own is None else own.to_json(),
            "trainable": {layer.name: len(layer.trainable_weights) for layer in model.layers},
            "losses": len(model.losses),
            "implementation": {
                layer.name: layer.cell.implementation
                for layer in model.layers
                if hasattr(getattr(layer, "cell", None), "implementation")
            },
        }
        model.trainable = False
        answers[name]["frozen"] = model.to_json()
    with open(answer, "w", encoding="utf-8") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
