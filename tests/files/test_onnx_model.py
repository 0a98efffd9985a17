"""ONNX graphs without any library: constants that are computed, nodes without a layer, hostile graphs."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_files import (
    FLOAT,
    INT64,
    attribute,
    field,
    indices,
    integers,
    lstm_file,
    lstm_weights,
    number,
    onnx_file,
    operator,
    tensor,
    value_info,
)

import multilstm
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import InputError
from multilstm.files.onnx.recurrent import activation_name
from multilstm.files.onnx.spec import spec_of
from multilstm.files.parsers.onnx_graph import from_document
from multilstm.files.parsers.onnx_model import parse
from multilstm.jobs.job import Batch, Job, Step

pytestmark = pytest.mark.usefixtures("parse_here")
SIZE = attribute("hidden_size", field(3, 4), field(20, 2))
WEIGHTS = lstm_weights(5, 4)


@pytest.fixture
def load(tmp_path):
    def loaded(content, **options):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return multilstm.load(path, **options)

    return loaded


def integer(name, value):
    return attribute(name, field(3, value % 2**64), field(20, 2))


def keras(array):
    """Return W or R in Keras's layout."""
    i, o, f, c = np.split(array[0], 4)
    return np.concatenate([i, f, c, o]).T


def test_gates_are_reordered_and_biases_added(load):
    weights = load(lstm_file(SIZE)).weights
    np.testing.assert_array_equal(weights["rnn/kernel"], keras(WEIGHTS["W"]))
    np.testing.assert_array_equal(weights["rnn/recurrent_kernel"], keras(WEIGHTS["R"]))
    both = WEIGHTS["B"].reshape(1, 2, 16).sum(1)
    np.testing.assert_array_equal(weights["rnn/bias"], keras(both[..., None])[0])


W = WEIGHTS["W"]
CUT = [operator("Slice", ["a", "zero", "one", "first"], ["W"])]
COMPUTED = {
    "constant": ([], [], [operator("Constant", [], ["W"], attribute("value", field(5, tensor("", W)), field(20, 4)))]),
    "identity": ([tensor("a", W)], [], [operator("Identity", ["a"], ["W"])]),
    "transpose": (
        [tensor("a", W.swapaxes(1, 2))],
        [],
        [operator("Transpose", ["a"], ["W"], integers("perm", 0, 2, 1))],
    ),
    "unsqueeze_by_input": ([tensor("a", W[0])], [("z", [0])], [operator("Unsqueeze", ["a", "z"], ["W"])]),
    "unsqueeze": ([tensor("a", W[0])], [], [operator("Unsqueeze", ["a"], ["W"], integers("axes", 0))]),
    "squeeze": ([tensor("a", W[None])], [("z", [0])], [operator("Squeeze", ["a", "z"], ["W"])]),
    "reshape": ([tensor("a", W[0])], [("z", [1, 16, -1])], [operator("Reshape", ["a", "z"], ["W"])]),
    "slice": (
        [tensor("a", np.concatenate([W, W + 1]))],
        [("zero", [0]), ("one", [1]), ("first", [0])],
        CUT,
    ),
    "slice_backwards": (
        [tensor("a", W[:, ::-1])],
        [("start", [-1]), ("end", [-(2**63)]), ("axis", [1]), ("step", [-1])],
        [operator("Slice", ["a", "start", "end", "axis", "step"], ["W"])],
    ),
    "old_slice": (
        [tensor("a", np.concatenate([W, W + 1]))],
        [],
        [operator("Slice", ["a"], ["W"], integers("starts", 0), integers("ends", 1), integers("axes", 0))],
    ),
    "concat": (
        [tensor("a", W[:, :6]), tensor("b", W[:, 6:])],
        [],
        [operator("Concat", ["a", "b"], ["W"], integer("axis", 1))],
    ),
    "gather": (
        [tensor("a", W[:, ::-1])],
        [("z", list(range(15, -1, -1)))],
        [operator("Gather", ["a", "z"], ["W"], integer("axis", 1))],
    ),
    "cast": ([tensor("a", W)], [], [operator("Cast", ["a"], ["W"], integer("to", 1))]),
}


@pytest.mark.parametrize(("tensors", "shapes", "nodes"), COMPUTED.values(), ids=COMPUTED)
def test_weights_that_the_graph_computes_are_read(load, tensors, shapes, nodes):
    others = [tensor(name, WEIGHTS[name]) for name in "RB"]
    content = onnx_file(
        [*nodes, operator("LSTM", ["x", "W", "R", "B"], ["y"], SIZE, name="rnn")],
        [*tensors, *others, *(indices(name, values) for name, values in shapes)],
        [value_info("x", FLOAT, (None, None, 5))],
        [value_info("y", FLOAT, ())],
    )
    np.testing.assert_array_equal(load(content).weights["rnn/kernel"], keras(W))


def test_zero_states_of_a_computed_shape_are_left_out(load):
    nodes = [
        operator("Shape", ["x"], ["s"]),
        operator("ConstantOfShape", ["s"], ["z"]),
        operator("Slice", ["z", "i", "i", "i"], ["zz"]),
        operator("LSTM", ["x", "W", "R", "B", "", "zz", "zz"], ["y"], SIZE, name="rnn"),
    ]
    constants = [tensor(name, array) for name, array in WEIGHTS.items()] + [indices("i", [0])]
    content = onnx_file(nodes, constants, [value_info("x", FLOAT, (None, None, 5))], [value_info("y", FLOAT, ())])
    assert [type(layer).__name__ for layer in load(content).spec.layers] == ["InputLayer", "LSTM"]


def test_a_single_timestep_is_repeated_once(load):
    nodes = [
        operator("Unsqueeze", ["v"], ["x"], integers("axes", 0)),
        operator("LSTM", ["x", "W", "R", "B"], ["", "h"], SIZE, name="rnn"),
    ]
    constants = [tensor(name, array) for name, array in WEIGHTS.items()]
    content = onnx_file(nodes, constants, [value_info("v", FLOAT, (None, 5))], [value_info("h", FLOAT, ())])
    assert [type(layer).__name__ for layer in load(content).spec.layers] == ["InputLayer", "RepeatVector", "LSTM"]


def test_batch_first_layout(load):
    content = lstm_file(SIZE, integer("layout", 1), sizes=(None, 7, 5))
    loaded = load(content)
    assert loaded.spec.layer("x").shape == (7, 5)
    assert "output 'y' has the axes [batch, timesteps, 1, features]" in " ".join(loaded.provenance.notes)


@pytest.mark.parametrize("direction", [0, 1])
def test_the_sequence_of_one_direction_is_a_half_of_both(direction, load):
    onnx = pytest.importorskip("onnx")
    onnx_reference = pytest.importorskip("onnx.reference")
    content = lstm_file(
        *(SIZE, text("direction", "bidirectional")),
        nodes=[operator("Gather", ["y", "i"], ["z"], integer("axis", 1), name="pick")],
        tensors=[indices("i", direction)],
        directions=2,
        outputs="z",
    )
    loaded = load(content)
    array = np.random.default_rng(0).normal(size=(3, 2, 5)).astype("float32")  # [timesteps, batch, features]
    (desired,) = onnx_reference.ReferenceEvaluator(onnx.load_from_string(content)).run(None, {"x": array})
    step = Step("forward", Batch({"x": array.swapaxes(0, 1)}), keep=("outputs",))
    result = Executor(ReferenceEngine()).execute(Job(loaded.spec, loaded.weights, (step,), "float64"))
    np.testing.assert_allclose(result.answers[0].outputs[0], desired.swapaxes(0, 1), rtol=0, atol=1e-6)


def test_an_embedding_and_a_gemm(load):
    table, matrix = np.arange(15).reshape(3, 5), np.arange(8).reshape(2, 4)
    nodes = [
        operator("Gather", ["table", "ids"], ["e"], name="words"),
        operator("Transpose", ["e"], ["x"], integers("perm", 1, 0, 2)),
        operator("LSTM", ["x", "W", "R", "B"], ["", "h"], SIZE, name="rnn"),
        operator("Squeeze", ["h", "first"], ["s"]),
        operator("Gemm", ["s", "m", "v"], ["z"], integer("transB", 1), name="head"),
    ]
    constants = [tensor(name, array) for name, array in WEIGHTS.items()]
    constants += [tensor("table", table), tensor("m", matrix), tensor("v", [5, 6]), indices("first", [0])]
    content = onnx_file(nodes, constants, [value_info("ids", INT64, (None, None))], [value_info("z", FLOAT, ())])
    weights = load(content).weights
    np.testing.assert_array_equal(weights["words/embeddings"], table)
    np.testing.assert_array_equal(weights["head/kernel"], matrix.T)
    np.testing.assert_array_equal(weights["head/bias"], [5, 6])


def test_an_architecture_takes_the_weights_of_a_graph_with_unknown_nodes(load):
    content = lstm_file(SIZE, nodes=[operator("Erf", ["y"], ["z"], name="odd")], outputs="z")
    spec = multilstm.Sequential([multilstm.LSTM(4)], input_shape=(None, 5))
    np.testing.assert_array_equal(load(content, architecture=spec).weights["lstm/kernel"], keras(W))


def text(name, value):
    return attribute(name, field(4, value), field(20, 3))


def names(*values):
    return attribute("activations", *(field(9, value) for value in values), field(20, 8))


def after(*nodes, tensors=(), **options):
    return lstm_file(SIZE, nodes=nodes, tensors=tensors, outputs="z", **options)


VECTOR = [tensor("v", np.ones(4))]
REFUSED = {
    "unknown_operator": (after(operator("Erf", ["y"], ["z"], name="odd")), r"node 'odd' \('Erf'\): .* no layer"),
    "other_domain": (
        after(operator("Relu", ["y"], ["z"], name="odd") + field(7, "com.microsoft")),
        r"node 'odd' \('com.microsoft.Relu'\)",
    ),
    "peepholes": (lstm_file(SIZE, extra=("", "", "", "v"), tensors=[tensor("v", np.ones((1, 12)))]), "has peepholes"),
    "sequence_lens": (lstm_file(SIZE, extra=("n",), states=[("n", (None,))]), "has sequence_lens"),
    "clip": (lstm_file(SIZE, number("clip", 3.0)), "has clip or input_forget"),
    "input_forget": (lstm_file(SIZE, integer("input_forget", 1)), "has clip or input_forget"),
    "direction": (lstm_file(SIZE, text("direction", "up")), "direction is 'up'"),
    "hidden_size": (lstm_file(integer("hidden_size", 5)), "hidden_size is 5, but R has 4 units"),
    "activation": (lstm_file(SIZE, names("Sigmoid", "ScaledTanh", "Tanh")), "the activation is 'ScaledTanh'"),
    "two_activations": (lstm_file(SIZE, names("Sigmoid", "Tanh", "Relu")), "has one for the gates, and one for"),
    "few_activations": (lstm_file(SIZE, names("Sigmoid")), "given 1 activations; expected 3"),
    "reverse_sequence": (lstm_file(SIZE, text("direction", "reverse")), "go_backwards returns the reversed one"),
    "first_timestep": (
        after(operator("Gather", ["y", "i"], ["z"], name="pick"), tensors=[indices("i", [0])]),
        "node 'pick' .* place 0 of the 't' axis",
    ),
    "range_of_timesteps": (
        after(operator("Slice", ["y", "i", "j", "i"], ["z"]), tensors=[indices("i", [0]), indices("j", [3])]),
        "takes 0 to 3 of the 't' axis",
    ),
    "wrong_features": (lstm_file(SIZE, sizes=(None, 2, 6)), "has 6 features, W has 5"),
    "four_axes": (lstm_file(SIZE, sizes=(1, 2, 3, 5)), "input 'x' has 4 axes"),
    "scaled_gemm": (
        after(operator("Gemm", ["y", "m"], ["z"], number("alpha", 2.0)), tensors=[tensor("m", np.ones((4, 2)))]),
        "alpha and beta are",
    ),
    "matrix_of_an_input": (after(operator("MatMul", ["y", "y"], ["z"])), "times a constant matrix"),
    "subtracted_values": (after(operator("Sub", ["y", "y"], ["z"])), r"\('Sub'\): multilstm has no layer"),
    "added_axes": (
        after(operator("Transpose", ["y"], ["w"]), operator("Add", ["y", "w"], ["z"])),
        r"\('Add'\): its inputs have different axes",
    ),
    "convolution_of_the_batch": (after(operator("Conv", ["y", "K"], ["z"])), r"\('Conv'\): its input has the axes"),
    "softmax_over_time": (after(operator("Softmax", ["y"], ["z"], integer("axis", 0))), "axis is 0"),
    "softmax_without_axis": (
        after(operator("Transpose", ["y"], ["w"]), operator("Softmax", ["w"], ["z"])),
        "expected the last one, that of the features",
    ),
    "squeezed_batch": (
        after(operator("Squeeze", ["y", "i"], ["z"]), tensors=[indices("i", [2])]),
        "removes the axis 'b'",
    ),
    "axis_beyond": (after(operator("Squeeze", ["y", "i"], ["z"]), tensors=[indices("i", [9])]), "axis 9 of 4 axes"),
    "reshape": (
        after(operator("Reshape", ["y", "i"], ["z"]), tensors=[indices("i", [-1])]),
        "changes the axes t, 1, b, f",
    ),
    "computed_reshape": (after(operator("Reshape", ["y", "y"], ["z"])), "its shape is computed from an input"),
    "permutation": (after(operator("Transpose", ["y"], ["z"], integers("perm", 0, 0, 1, 2))), "perm is"),
    "state_from_a_computation": (
        lstm_file(SIZE, extra=("", "g", "g"), nodes=[operator("Erf", ["x"], ["g"], name="odd")]),
        "no layer|is the result of a node that has no layer",
    ),
    "constant_state": (
        lstm_file(SIZE, extra=("", "s", "s"), tensors=[tensor("s", np.ones((1, 2, 4)))]),
        "'s' is a constant; expected a value computed from the inputs",
    ),
    "no_outputs": (lstm_file(SIZE, nodes=[operator("MatMul", ["y", "W"], [], name="m")]), "node 'm' .* has no outputs"),
    "one_state": (lstm_file(SIZE, extra=("", "h0"), states=[("h0", (1, None, 4))]), "one of initial_h and initial_c"),
    "weights_of_an_input": (
        onnx_file(
            [operator("LSTM", ["x", "W", "R"], ["y"], name="rnn")],
            [tensor("R", WEIGHTS["R"])],
            [value_info("x", FLOAT, (None, 2, 5)), value_info("W", FLOAT, (1, 16, 5))],
            [value_info("y", FLOAT, ())],
        ),
        "the weight W, 'W', is computed from an input",
    ),
    "circle": (
        after(operator("Relu", ["q"], ["r"], name="a"), operator("Relu", ["r"], ["q"]), operator("Relu", ["q"], ["z"])),
        "'q' is the result of a node that has no layer|no node LSTM, GRU or RNN leads to an output",
    ),
    "unknown_output": (lstm_file(SIZE, outputs="nothing"), "no node LSTM, GRU or RNN leads to an output"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_a_graph_by_the_name_of_its_node(load, content, message):
    with pytest.raises(InputError, match=message):
        load(content)


def doubled(count):
    """Return nodes that double a constant by Concat."""
    return [operator("Concat", [f"v{k}", f"v{k}"], [f"v{k + 1}"], integer("axis", 0)) for k in range(count)]


HOSTILE = {
    "doubled_constant": (doubled(60), [tensor("v0", np.ones(1000))], "claims .* bytes"),
    "filled": ([operator("ConstantOfShape", ["s"], ["f"])], [indices("s", [2**40])], "claims .* bytes"),
    "negative_fill": ([operator("ConstantOfShape", ["s"], ["f"])], [indices("s", [-5])], "claims|does not fit"),
    "expanded": ([operator("Expand", ["v", "s"], ["f"])], [*VECTOR, indices("s", [2**35, 4])], "claims .* bytes"),
    "gathered": (
        [operator("Gather", ["v", "s"], [name]) for name in "fg"],
        [tensor("v", np.ones((1, 10**5))), indices("s", [0] * 10**4)],
        "claims .* bytes",
    ),
    "broken_reshape": ([operator("Reshape", ["v", "s"], ["f"])], [*VECTOR, indices("s", [3])], "does not fit"),
    "reshape_to_axis_that_lacks": (
        [operator("Reshape", ["v", "s"], ["f"])],
        [*VECTOR, indices("s", [0, 0])],
        "does not fit",
    ),
    "slice_of_no_axis": (
        [operator("Slice", ["v", "s", "s", "s"], ["f"])],
        [*VECTOR, indices("s", [7])],
        "does not fit",
    ),
    "cast_to_text": ([operator("Cast", ["v"], ["f"], integer("to", 8))], VECTOR, "does not fit"),
    "empty_constant": ([operator("Constant", [], ["f"])], [], "expected dense numbers"),
    "many_axes": ([operator("Unsqueeze", ["v"], ["f"], integers("axes", *range(1, 9)))], VECTOR, "it has 9 axes"),
}


@pytest.mark.parametrize(("nodes", "tensors", "message"), HOSTILE.values(), ids=HOSTILE)
def test_refuses_constants_that_fill_the_memory_or_do_not_fit(nodes, tensors, message):
    content = onnx_file([*nodes, operator("LSTM", ["x", "W", "R"], ["y"])], tensors, [], [])
    start = time.process_time()
    with pytest.raises(InputError, match=message):
        parse(content)
    assert time.process_time() - start < 5


def test_many_nodes_may_not_multiply_one_large_constant(load):
    nodes = [operator("LSTM", ["x", "W", "R"], [f"y{k}"], name=f"n{k}") for k in range(400)]
    weights = [tensor("W", np.zeros((1, 4, 60_000))), tensor("R", np.zeros((1, 4, 1)))]
    outputs = [value_info(f"y{k}", FLOAT, ()) for k in range(400)]
    content = onnx_file(nodes, weights, [value_info("x", FLOAT, (None, 2, 60_000))], outputs)
    for options in ({}, {"architecture": multilstm.Sequential([multilstm.LSTM(1)], input_shape=(None, 60_000))}):
        with pytest.raises(InputError, match="the whole file may unpack to at most"):
            load(content, **options)


SMALL = lstm_file(
    SIZE,
    nodes=[operator("Squeeze", ["y", "i"], ["s"]), operator("Softmax", ["s"], ["z"], integer("axis", -1))],
    tensors=[indices("i", [1])],
    outputs="z",
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_changed_model_is_read_or_refused(data):
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        parsed = parse(bytes(content))
        translation = spec_of(from_document(parsed.document["graph"], parsed.arrays))
    except InputError:
        return
    assert set(translation.weights) == set(translation.spec.weight_shapes)


@pytest.mark.parametrize(
    ("numbers", "name"),
    [((1.0, 0.0), "linear"), ((None, None), None), ((1.0, None), None), ((None, 0.0), None), ((2.0, 0.0), None)],
    ids=["both", "none", "alpha", "beta", "another"],
)
def test_affine_has_no_default_since_programs_differ(numbers, name):
    if name:
        assert activation_name("Affine", *numbers, "the node") == name
    else:
        with pytest.raises(InputError, match="the node: the activation is 'Affine' with alpha"):
            activation_name("Affine", *numbers, "the node")
