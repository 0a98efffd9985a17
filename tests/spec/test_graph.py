import runpy
from pathlib import Path

import pytest

from multilstm import spec as multilstm_spec
from multilstm.errors import SpecError
from multilstm.spec import (
    LSTM,
    Bidirectional,
    Call,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Input,
    InputLayer,
    Model,
    Ref,
    RepeatVector,
    Sequential,
    TimeDistributed,
)

MODELS = {
    name: build(multilstm_spec)
    for name, build in runpy.run_path(str(Path(__file__).with_name("same_source.py")))["MODELS"].items()
}


# Known numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [("seed_1", 161_002), ("seed_2", 23_242), ("seed_4_one", 12), ("seed_4_two", 16), ("seed_5", 6_194)],
)
def test_parameter_counts_of_the_seed_programs(name, count):
    assert MODELS[name].parameter_count == count


def test_parameter_counts_by_layer():
    assert MODELS["seed_5"].parameter_counts == {"a": 4_864, "b": 1_312, "t": 18}


@pytest.mark.parametrize("batch", [None, 1, 200])
@pytest.mark.parametrize("timesteps", [None, 1, 60])
def test_the_parameter_count_depends_on_neither_batch_nor_timesteps(batch, timesteps):
    assert Sequential([LSTM(32), Dense(2)], input_shape=(timesteps, 5), batch_size=batch).parameter_count == 4_930


def test_a_shared_layer_counts_once():
    assert MODELS["shared"].parameter_counts == {"shared": 84, "again": 12, "joined": 0}


# Sequential ------------------------------------------------------------------------------------------------------


def test_sequential_is_flat_data():
    graph = Sequential([LSTM(4, return_sequences=True), LSTM(2)], input_shape=(None, 3))
    assert graph == Graph(
        name="sequential",
        layers=(
            InputLayer((None, 3), name="input_layer"),
            LSTM(4, return_sequences=True, name="lstm"),
            LSTM(2, name="lstm_1"),
        ),
        calls=(Call("input_layer"), Call("lstm", (Ref(0),)), Call("lstm_1", (Ref(1),))),
        outputs=(Ref(2),),
        sequential=True,
        input_order=("input_layer",),
    )


@pytest.mark.parametrize(
    "first", [Input((None, 3), name="x"), InputLayer((None, 3), name="x"), Input(batch_shape=(None, None, 3), name="x")]
)
def test_sequential_takes_an_input_as_first_layer(first):
    graph = Sequential([first, LSTM(2)])
    assert graph.inputs == {"x": InputLayer((None, 3), name="x")}
    assert graph.output_shapes == ((None, 2),)


def test_sequential_passes_batch_size_and_dtype_on():
    graph = Sequential([Embedding(9, 4), LSTM(2)], input_shape=(7,), batch_size=5, input_dtype="int32")
    assert graph.inputs["input_layer"] == InputLayer((7,), 5, "int32", name="input_layer")
    assert graph.tensor_shapes == {Ref(0): (5, 7), Ref(1): (5, 7, 4), Ref(2): (5, 2)}


def test_the_last_of_a_stack_may_return_its_states():
    graph = Sequential([LSTM(2, return_state=True)], input_shape=(None, 3))
    assert graph.outputs == (Ref(1, 0), Ref(1, 1), Ref(1, 2))


SHARED = LSTM(3, return_sequences=True)


@pytest.mark.parametrize(
    ("layers", "arguments", "message"),
    [
        ([LSTM(2)], {}, r"Sequential: input_shape is missing; expected for example input_shape=\(None, 5\)"),
        ([], {"input_shape": (3,)}, "Sequential: it has no layers"),
        ([Input((3,))], {}, "Sequential: it has no layers"),
        ([Input((None, 3)), LSTM(2)], {"input_shape": (None, 3)}, "the first layer is an Input, and input_shape was"),
        ([LSTM(2), InputLayer((3,))], {"input_shape": (None, 3)}, "expected layers of multilstm, given InputLayer"),
        ([LSTM(2), "dense"], {"input_shape": (None, 3)}, "expected layers of multilstm, given 'dense'"),
        ([LSTM(2), Dense], {"input_shape": (None, 3)}, "expected layers of multilstm, given <class"),
        ([LSTM(2, return_state=True), Dense(2)], {"input_shape": (None, 3)}, "a layer below the last returns several"),
        ([SHARED, SHARED], {"input_shape": (None, 3)}, "Sequential: LSTM is in it twice, which would share"),
        ([LSTM(2), LSTM(2)], {"input_shape": (None, 3)}, r"LSTM 'lstm_1': expected an input \[batch, timesteps"),
        ([LSTM(2)], {"input_shape": (None, None)}, "LSTM 'lstm': the last dimension"),
        (
            [LSTM(2, stateful=True)],
            {"input_shape": (None, 3)},
            "LSTM 'lstm': stateful=True .* batch size must be fixed",
        ),
        ([Dense(2)], {"input_shape": (3,), "name": "a/b"}, "model: name must be a non-empty string"),
        ([Dense(2)], {"input_shape": (3,), "name": None}, "model: name must be a non-empty string .* got None"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_sequential_refuses(layers, arguments, message):
    with pytest.raises(SpecError, match=message):
        Sequential(layers, **arguments)


# Names -----------------------------------------------------------------------------------------------------------


def test_names_are_made_from_classes_as_in_keras():
    layers = [
        Bidirectional(LSTM(2)),
        RepeatVector(2),
        TimeDistributed(Dense(2)),
        TimeDistributed(Dense(2)),
        Dropout(0.5),
        LSTM(2),
    ]
    graph = Sequential(layers, input_shape=(None, 3))
    assert [layer.name for layer in graph.layers] == [
        "input_layer", "bidirectional", "repeat_vector", "time_distributed", "time_distributed_1", "dropout", "lstm",
    ]  # fmt: skip


def test_a_made_name_differs_from_given_names():
    layers = [Dense(1), Dense(2, name="dense"), Dense(3, name="dense_1"), Dense(4)]
    graph = Sequential(layers, input_shape=(3,))
    assert [layer.name for layer in graph.layers[1:]] == ["dense_2", "dense", "dense_1", "dense_3"]


@pytest.mark.parametrize("same", [True, False], ids=["equal-layers", "different-layers"])
def test_two_layers_of_one_name_are_refused_and_not_merged(same):
    layers = [Dense(3, name="a"), Dense(3 if same else 4, name="a")]
    with pytest.raises(SpecError, match="model 'm': layer names must be unique; given more than once: 'a'"):
        Sequential(layers, input_shape=(3,), name="m")


def test_a_layer_with_the_name_of_an_input_is_refused():
    with pytest.raises(SpecError, match="given more than once: 'x'"):
        Sequential([Input((3,), name="x"), Dense(2, name="x")])


# Model -----------------------------------------------------------------------------------------------------------


def test_a_layer_called_twice_shares_its_weights():
    x = Input((None, 3))
    layer = LSTM(3, return_sequences=True)
    graph = Model(x, layer(layer(x)))
    assert [call.layer for call in graph.calls] == ["input_layer", "lstm", "lstm"]
    assert list(graph.weight_shapes) == ["lstm/kernel", "lstm/recurrent_kernel", "lstm/bias"]
    assert graph.parameter_count == 84


def test_equal_layers_are_not_shared():
    x = Input((None, 3))
    graph = Model(x, LSTM(3)(LSTM(3, return_sequences=True)(x)))
    assert graph.parameter_counts == {"lstm": 84, "lstm_1": 84}


def test_a_call_comes_after_its_inputs():
    graph = MODELS["encoder_decoder"]
    seen = set()
    for index, call in enumerate(graph.calls):
        assert all(ref in seen for ref in (*call.inputs, *call.initial_state))
        seen |= {Ref(index, output) for output in range(graph.layer(call.layer).output_count)}
    assert list(graph.inputs) == ["dec", "enc"]
    assert graph.output_shapes == ((None, None, 4), (None, 4))


def test_a_graph_deeper_than_the_recursion_limit():
    tensor = x = Input((None, 3))
    for _ in range(5_000):
        tensor = Dense(3)(tensor)
    assert len(Model(x, tensor).layers) == 5_001


X, OTHER = Input((None, 3), name="x"), Input((None, 3), name="other")
H = LSTM(2, return_state=True, name="h")(X)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Model(X, []), "model 'model': it has no outputs"),
        (lambda: Model(X, None), "Model: expected results of Input.. or of layers, given None"),
        (lambda: Model(None, X), "Model: expected results of Input.. or of layers, given None"),
        (lambda: Model(X, [3]), "Model: expected results of Input.. or of layers, given 3"),
        (lambda: Model(X, LSTM(2)), "Model: expected results of Input.. or of layers, given LSTM"),
        (lambda: Model(X, LSTM(2)(OTHER)), "an output depends on an Input 'other' that is not in inputs; add it"),
        (lambda: Model([], LSTM(2)(X)), "an output depends on an Input 'x' that is not in inputs"),
        (lambda: Model([X, X], LSTM(2)(X)), "an Input was given twice; expected every Input once"),
        (lambda: Model([X, H[0]], H[1]), "inputs must be results of Input.., given a tensor of LSTM"),
        (lambda: Model([X, OTHER], LSTM(2)([X, OTHER])), "LSTM 'lstm': it takes one input, given 2"),
        (lambda: Model(X, LSTM(2)([])), "LSTM 'lstm': it was called without an input"),
        (lambda: Model(X, Concatenate()(X)), "Concatenate 'concatenate': expected at least two inputs, given 1"),
        (lambda: Model(X, LSTM(3)(X, initial_state=H[1:])),
         r"LSTM 'lstm': initial hidden state has shape \(any, 2\), expected \(any, 3\)"),
        (lambda: Model(X, LSTM(2)(X, initial_state=[H[1], X])),
         r"LSTM 'lstm': initial cell state has shape \(any, any, 3\), expected \(any, 2\)"),
        (lambda: Model(X, H[0], name=""), "model: name must be a non-empty string"),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)  # fmt: skip
def test_model_refuses(build, message):
    with pytest.raises(SpecError, match=message):
        build()


def test_model_refuses_initial_states_of_another_batch_size():
    x, state = Input((None, 3), batch_size=4), Input((2,), batch_size=5)
    with pytest.raises(SpecError, match=r"initial hidden state has shape \(5, 2\), expected \(4, 2\)"):
        Model([x, state], LSTM(2)(x, initial_state=[state, state]))


def test_model_refuses_weights_shared_by_other_features():
    x, layer = Input((None, 3)), LSTM(2, return_sequences=True)
    with pytest.raises(SpecError, match=r"shared by inputs of different features; its kernel would be \(3, 8\) and"):
        Model(x, layer(layer(x)))


# Properties of a graph -------------------------------------------------------------------------------------------


def test_lstms_have_a_name_for_each_direction():
    lstms = MODELS["tokens"].lstms
    assert list(lstms) == ["both/forward", "both/backward", "last/forward", "last/backward"]
    assert [lstm.go_backwards for lstm in lstms.values()] == [False, True, False, True]


@pytest.mark.parametrize(
    ("model", "lstm", "batch", "shape"),
    [
        ("seed_1", "a", None, (200, 100)),
        ("seed_2", "c", None, (None, 32)),
        ("seed_2", "c", 7, (7, 32)),
        ("tokens", "both/backward", 7, (7, 3)),
        ("both_directions_apart", "next/forward", None, (4, 3)),
    ],
)
def test_state_shape(model, lstm, batch, shape):
    assert MODELS[model].state_shape(lstm, batch) == shape


def test_weights_are_in_keras_order():
    assert MODELS["seed_5"].weight_shapes == {
        "a/kernel": (5, 128),
        "a/recurrent_kernel": (32, 128),
        "a/bias": (128,),
        "b/kernel": (32, 32),
        "b/recurrent_kernel": (8, 32),
        "b/bias": (32,),
        "t/kernel": (8, 2),
        "t/bias": (2,),
    }
    assert list(MODELS["seed_5"].weight_shapes)[:3] == ["a/kernel", "a/recurrent_kernel", "a/bias"]


def test_layer_by_name():
    assert MODELS["seed_4_one"].layer("a") == LSTM(1, name="a")


@pytest.mark.parametrize("graph", MODELS.values(), ids=MODELS)
def test_graphs_are_values(graph):
    again = Graph(graph.name, graph.layers, graph.calls, graph.outputs, graph.sequential, graph.input_order)
    assert again == graph
    assert hash(again) == hash(graph)
    assert again.to_json() == graph.to_json()
    assert again.summary() == graph.summary()


def test_different_graphs_differ():
    assert len(set(MODELS.values())) == len(MODELS)


def test_a_graph_that_doubles_its_width_is_refused_at_the_limit():
    tensor = source = Input((None, 1), name="x")
    for _ in range(15_000):
        tensor = Concatenate()([tensor, tensor])
    with pytest.raises(
        SpecError, match=r"Concatenate 'concatenate_30': every size must be below 2\*\*31, given an out"
    ):
        Model(source, tensor)


def test_a_tensor_is_shown_without_the_tensors_below_it():
    tensor = Input((None, 1), name="x")
    for _ in range(100):
        tensor = Concatenate(name="joined")([tensor, tensor])
    assert repr(tensor) == "<output 0 of Concatenate 'joined'>"
