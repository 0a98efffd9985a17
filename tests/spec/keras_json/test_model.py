import copy
import json
import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_json_models import EXPECTED, functional, simple

from multilstm import spec as multilstm_spec
from multilstm.errors import SpecError
from multilstm.spec import (
    L1,
    L1L2,
    L2,
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    MaxNorm,
    MinMaxNorm,
    Model,
    NonNeg,
    OrthogonalRegularizer,
    Sequential,
    TimeDistributed,
    UnitNorm,
    from_json,
    to_json,
)

SAME_SOURCE = Path(__file__).parents[1] / "same_source.py"
MODELS = {name: build(multilstm_spec) for name, build in runpy.run_path(str(SAME_SOURCE))["MODELS"].items()}
# Arguments of Keras's constructors that Keras's own JSON leaves out.
DROPPED = {
    "use_cudnn": Sequential([Input((None, 3), name="x"), LSTM(2, use_cudnn=False, name="a")]),
    "implementation": Sequential([Input((None, 3), name="x"), LSTM(2, implementation=1, name="a")]),
}


@pytest.fixture(scope="module")
def keras(ask_keras):
    """Return the facts of the models that Keras builds, computed once: starting a backend takes seconds."""
    return ask_keras(SAME_SOURCE.read_text(), {name: to_json(graph) for name, graph in {**MODELS, **DROPPED}.items()})


# Keras -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MODELS, *DROPPED])
def test_keras_builds_the_same_model_from_our_json(keras, name):
    graph, built = {**MODELS, **DROPPED}[name], keras[name]
    assert built["name"] == graph.name
    assert built["parameter_count"] == graph.parameter_count
    layers = {layer.name: [] for layer in graph.layers}
    for weight, shape in graph.weight_shapes.items():
        layers[weight.split("/")[0]].append(list(shape))
    counts = {name: graph.parameter_counts.get(name, 0) for name in layers}
    if graph.sequential:  # Keras leaves the InputLayer out of a Sequential's layers
        del counts["x"], layers["x"]
    assert built["parameter_counts"] == counts
    assert built["weights"] == layers
    assert built["outputs"] == [list(shape) for shape in graph.output_shapes]
    inputs = [[name, [layer.batch_size, *layer.shape], layer.dtype] for name, layer in graph.inputs.items()]
    assert built["inputs"] == inputs


@pytest.mark.parametrize("name", MODELS)
def test_the_json_of_kerass_copy_reads_as_equal(keras, name):
    assert from_json(keras[name]["again"]) == MODELS[name]


@pytest.mark.parametrize("name", MODELS)
def test_the_json_of_kerass_own_model_reads_as_equal(keras, name):
    assert from_json(keras[name]["own"]) == MODELS[name]


@pytest.mark.parametrize("name", MODELS)
def test_keras_trains_and_regularizes_the_same_weights(keras, name):
    graph = MODELS[name]
    trained = [weight.split("/")[0] for weight in graph.trainable_weights]
    assert keras[name]["trainable"] == {layer: trained.count(layer) for layer in keras[name]["trainable"]}
    assert keras[name]["losses"] == len(graph.regularizers)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_keras_froze_as_a_whole_trains_nothing(keras, name):
    graph = from_json(keras[name]["frozen"])
    assert graph.trainable_weights == ()
    assert graph.weight_shapes == MODELS[name].weight_shapes
    data = json.loads(to_json(MODELS[name]))
    data["config"]["trainable"] = False  # as Keras writes it where the layers were thawed afterwards
    assert from_json(data) == graph


def test_keras_takes_the_implementation_from_our_json_and_leaves_it_out_of_its_own(keras):
    built = keras["implementation"]
    assert built["implementation"] == {"a": 1}
    assert "implementation" not in built["again"]
    assert from_json(built["again"]).lstms["a"].implementation == 2  # as Keras itself reads it


# Round trip ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MODELS, *DROPPED])
def test_round_trip(name):
    graph = {**MODELS, **DROPPED}[name]
    assert from_json(to_json(graph)) == graph
    assert from_json(json.loads(to_json(graph))) == graph


@pytest.mark.parametrize("name", [None, "inner", "forward_inner", "forward_", "backward_x", "\x1b[31m", "'\"\\", "名"])
def test_round_trip_keeps_the_name_inside_a_wrapper(name):
    graph = Sequential([Bidirectional(LSTM(2, name=name))], input_shape=(None, 3))
    assert from_json(to_json(graph)) == graph


names = st.text(st.characters(exclude_characters="/", exclude_categories=("Cs",)), min_size=1, max_size=6)
sizes = st.integers(1, 2**30 - 1)  # of which a Bidirectional returns twice as many
small = st.integers(1, 9)
activations = st.sampled_from(multilstm_spec.layers.ACTIVATIONS)
kernels = st.sampled_from(multilstm_spec.layers.INITIALIZERS)
biases = st.sampled_from(multilstm_spec.layers.BIAS_INITIALIZERS)
numbers = st.floats(0, allow_infinity=False)
plain = st.builds(L1, numbers) | st.builds(L2, numbers) | st.builds(L1L2, numbers, numbers)
orthogonal = st.builds(OrthogonalRegularizer, numbers, st.just("columns"))  # of which every weight here has two
axes = st.integers(-2, 1)
projections = st.builds(NonNeg) | st.builds(MaxNorm, numbers, axes) | st.builds(UnitNorm, axes)
projections |= st.builds(MinMaxNorm, st.just(0.5), st.floats(0.5, 2), st.floats(0, 1), axes)
rates = st.floats(0, 1, exclude_max=True)
seeds = st.none() | st.integers()
lstm_arguments = {
    "units": sizes,
    "activation": activations,
    "recurrent_activation": activations,
    "use_bias": st.booleans(),
    "kernel_initializer": kernels,
    "recurrent_initializer": kernels,
    "bias_initializer": biases,
    "unit_forget_bias": st.booleans(),
    "dropout": rates,
    "recurrent_dropout": rates,
    "seed": seeds,
    "use_cudnn": st.sampled_from(["auto", True, False]),
    "zero_output_for_mask": st.booleans(),
    "implementation": st.sampled_from([1, 2]),
    "name": st.none(),
    "trainable": st.booleans(),
    "kernel_regularizer": st.none() | plain | orthogonal,
    "recurrent_regularizer": st.none() | plain | orthogonal,
    "bias_regularizer": st.none() | plain,
    "kernel_constraint": st.none() | projections,
    "recurrent_constraint": st.none() | projections,
    "bias_constraint": st.none() | st.builds(NonNeg) | st.builds(MaxNorm, numbers, st.sampled_from([-1, 0])),
}
forward = st.builds(LSTM, **lstm_arguments, return_sequences=st.just(True))
either_way = st.builds(LSTM, **lstm_arguments, return_sequences=st.just(True), go_backwards=st.booleans())
dense = st.builds(
    Dense, sizes, activations | st.none(), st.booleans(), kernels, biases, kernel_regularizer=st.none() | plain,
    bias_constraint=st.none() | st.builds(UnitNorm), trainable=st.booleans(), name=st.none(),
)  # fmt: skip
merged = st.sampled_from(["concat", "sum", "mul", "ave"])
# Layers from [batch, timesteps, features] to the same, so that any of them can stand on any.
sequences = st.one_of(
    either_way,
    dense,
    st.builds(Bidirectional, forward, merged, name=st.none()),
    st.builds(TimeDistributed, dense, name=st.none()),
    st.builds(Masking, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5), name=st.none()),
    st.builds(Dropout, rates, seed=seeds, name=st.none()),
    st.builds(Activation, activations, name=st.none()),
)


@settings(deadline=None, max_examples=150, database=None)
@given(st.lists(sequences, min_size=1, max_size=6), st.none() | sizes, sizes, st.none() | sizes, names)
def test_round_trip_of_any_stack(layers, timesteps, features, batch, name):
    graph = Sequential(layers, input_shape=(timesteps, features), batch_size=batch, name=name)
    assert from_json(to_json(graph)) == graph


@st.composite
def graphs(draw):
    """Functional models: layers shared and not, states passed on, tensors joined, several inputs and outputs."""
    inputs = [Input((None, 3), name=draw(names)) for _ in range(draw(st.integers(1, 2)))]
    tensors, states, layers = list(inputs), [], [LSTM(3, return_sequences=True), Dense(3)]
    for _ in range(draw(st.integers(1, 8))):
        source = draw(st.sampled_from(tensors))
        kind = draw(st.sampled_from(["shared", "dense", "states", "join"]))
        if kind == "shared":
            layer = draw(st.sampled_from(layers))
            start = draw(st.sampled_from([None, *states])) if isinstance(layer, LSTM) else None
            tensors.append(layer(source, initial_state=start))
        elif kind == "states":
            output, *state = LSTM(3, return_sequences=True, return_state=True)(source)
            tensors.append(output)
            states.append(state)
        else:
            joined = Concatenate()([source, draw(st.sampled_from(tensors))]) if kind == "join" else source
            tensors.append(Dense(3)(joined))
    outputs = draw(st.lists(st.sampled_from(tensors[len(inputs) :]), min_size=1, max_size=3))
    return inputs, outputs


@settings(deadline=None, max_examples=150, database=None)
@given(graphs())
def test_round_trip_of_any_graph(ends):
    inputs, outputs = ends
    if len({tensor.layer.name for tensor in inputs}) < len(inputs):
        return
    graph = Model(inputs, outputs)
    assert from_json(to_json(graph)) == graph


# JSON of other versions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"dtype": "float32"},
        {"dtype": "float64"},
        {"dtype": None},
        {"dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}},
        {"trainable": True},
        {"kernel_regularizer": None, "recurrent_constraint": None},
        {"time_major": False},
        {"batch_input_shape": [None, None, 3]},
        {"kernel_regularizer": None, "activity_regularizer": None, "bias_constraint": None},
        {"kernel_initializer": "GlorotUniform"},
        {"kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": 5}}},
        {"kernel_initializer": {"class_name": "glorot_uniform", "config": None}},
        {"recurrent_initializer": {"class_name": "OrthogonalInitializer", "config": {"gain": 1.0, "seed": None}}},
        {"recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1}}},
        {"bias_initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": {}}},
        {"bias_initializer": "zero"},
        {"activation": "tanh", "recurrent_activation": "sigmoid"},
    ],
    ids=json.dumps,
)
def test_reads_as_the_default(config):
    assert from_json(simple(**config)) == EXPECTED


@pytest.mark.parametrize(
    ("initializer", "expected"),
    [
        ("normal", "random_normal"),
        ({"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": 0.05, "seed": None}}, "random_normal"),
        ({"class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05}}, "random_uniform"),
        ("uniform", "uniform"),
        ("one", "ones"),
        ({"class_name": "HeNormal", "config": {"input_axes": None, "output_axes": None}}, "he_normal"),
    ],
    ids=str,
)
def test_reads_initializers(initializer, expected):
    assert from_json(simple(kernel_initializer=initializer)).layers[1].kernel_initializer == expected


def test_the_class_of_an_embeddings_default_reads_as_that_default():
    entry = {"class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05, "seed": None}}
    data = json.loads(to_json(Sequential([Embedding(9, 2)], input_shape=(None,), input_dtype="int32")))
    data["config"]["layers"][1]["config"]["embeddings_initializer"] = entry
    assert from_json(data).layers[1].embeddings_initializer == "uniform"


@pytest.mark.parametrize(
    "config",
    [
        {"batch_shape": [None, None, 3], "sparse": False, "ragged": False, "optional": False, "dtype": "float32"},
        {"batch_input_shape": [None, None, 3]},
        {"shape": [None, 3], "batch_size": None},
        {"batch_shape": (None, None, 3), "dtype": "float64"},
        {"batch_shape": [None, None, 3], "dtype": {"class_name": "DTypePolicy", "config": {"name": "float32"}}},
    ],
    ids=str,
)
def test_reads_input_layers(config):
    data = simple()
    data["config"]["layers"][0]["config"] = {"name": "x", **config}
    assert from_json(data) == EXPECTED


@pytest.mark.parametrize("key", ["build_input_shape", "batch_shape", "batch_input_shape"])
def test_reads_a_sequential_without_an_input_layer(key):
    data = simple()
    del data["config"]["layers"][0]
    (data["config"] if key == "build_input_shape" else data["config"]["layers"][0]["config"])[key] = [4, None, 3]
    graph = from_json(data)
    assert graph == Sequential([LSTM(2, name="a")], input_shape=(None, 3), batch_size=4, name="model")


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "flat"])
def test_reads_input_and_output_layers(nested):
    data = functional()
    x, a = ["x", 0, 0], ["a", 0, 0]
    data["config"].update(input_layers=[x] if nested else x, output_layers=[a] if nested else a)
    assert from_json(data).output_shapes == ((None, 2),)


def test_reads_layers_in_any_order():
    data = functional()
    data["config"]["layers"].reverse()
    assert from_json(data) == from_json(functional())


def test_reads_initial_states_as_second_argument():
    graph = MODELS["encoder_decoder"]
    data = json.loads(to_json(graph))
    node = next(entry for entry in data["config"]["layers"] if entry["name"] == "d")["inbound_nodes"][0]
    node["args"].append(node["kwargs"].pop("initial_state"))
    assert from_json(data) == graph


def bidirectional(**changes):
    graph = Sequential([Input((None, 3), name="x"), Bidirectional(LSTM(2, name="a"), name="b")], name="model")
    data = json.loads(to_json(graph))
    config = data["config"]["layers"][1]["config"]
    config["backward_layer"] = copy.deepcopy(config["layer"])
    config["backward_layer"]["config"].update({"go_backwards": True, "name": "backward_a", **changes})
    return graph, data


def test_reads_a_backward_layer_that_is_the_forward_ones_copy():
    graph, data = bidirectional()
    assert from_json(data) == graph


@pytest.mark.parametrize(
    ("key", "value"), [("go_backwards", False), ("units", 3), ("activation", "relu"), ("use_bias", False)]
)
def test_refuses_a_backward_layer_of_its_own(key, value):
    _, data = bidirectional(**{key: value})
    with pytest.raises(SpecError, match=rf"'b' \(Bidirectional\): backward_layer has its own {key}: given {value!r}"):
        from_json(data)


PORTABLE = """
import json, sys
import keras
from multilstm import keras_layers as portable

layers = [
    keras.Input((None, 3), name="x"),
    portable.LSTM(4, return_sequences=True, kernel_regularizer=portable.L2(0.1), name="a"),
    keras.layers.LSTM(
        4, portable.activations.gelu, portable.activations.hard_sigmoid_keras2, return_sequences=True, name="f"
    ),
    portable.Bidirectional(portable.LSTM(3, return_sequences=True, name="c"), name="b"),
    portable.TimeDistributed(portable.Dense(2, name="e"), name="d"),
]
ours = keras.models.model_from_json(json.load(open(sys.argv[1])))
assert ours.layers[0].recurrent_activation is portable.activations.hard_sigmoid_keras2
json.dump(keras.Sequential(layers, name="model").to_json(), open(sys.argv[2], "w"))
"""


def test_keras_reads_and_writes_the_json_of_portable_layers(ask_keras):
    ours = Sequential([LSTM(2, recurrent_activation="hard_sigmoid_keras2")], input_shape=(None, 3))
    written = ask_keras(PORTABLE, to_json(ours))
    assert "multilstm.keras_layers" in written
    layers = [
        Input((None, 3), name="x"),
        LSTM(4, return_sequences=True, kernel_regularizer=L2(0.1), name="a"),
        LSTM(4, "gelu", "hard_sigmoid_keras2", return_sequences=True, name="f"),
        Bidirectional(LSTM(3, return_sequences=True, name="c"), name="b"),
        TimeDistributed(Dense(2, name="e"), name="d"),
    ]
    assert from_json(written) == Sequential(layers, name="model")
