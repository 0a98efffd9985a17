"""ONNX graphs that define a value, an attribute or a state more than once, or not at all."""

import numpy as np
import pytest
from onnx_files import attribute, field, indices, integers, lstm_file, lstm_weights, operator, tensor

import multilstm
from multilstm.errors import InputError

pytestmark = pytest.mark.usefixtures("parse_here")
SIZE = attribute("hidden_size", field(3, 4), field(20, 2))


@pytest.fixture
def load(tmp_path):
    def loaded(content, **options):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return multilstm.load(path, **options)

    return loaded


TWICE = {
    "constant": {"tensors": [tensor("W", lstm_weights(5, 4, seed=1)["W"])]},
    "input": {"states": [("x", (None, 2, 5))]},
    "result": {"nodes": [operator("Relu", ["x"], ["y"])]},
    "constant_and_result": {"nodes": [operator("Relu", ["x"], ["W"])]},
    "input_and_result": {"nodes": [operator("Relu", ["y"], ["x"])]},
}


@pytest.mark.parametrize("options", TWICE.values(), ids=TWICE)
def test_a_value_is_defined_once(load, options):
    with pytest.raises(InputError, match=r"the graph defines '[Wxy]' 2 times; expected once"):
        load(lstm_file(SIZE, **options))


def test_an_attribute_is_given_once(load):
    layout = attribute("layout", field(3, 1), field(20, 2))
    with pytest.raises(InputError, match="a node 'LSTM' has the attribute 'layout' twice"):
        load(lstm_file(SIZE, layout, layout))


def test_an_input_may_have_a_constant_as_its_default(load):
    assert load(lstm_file(SIZE, states=[("W", (1, 16, 5))])).spec.inputs == load(lstm_file(SIZE)).spec.inputs


Z = [("z", (1, None, 4))]
ROW = [("z", (None, 4))]
TO_STATE = operator("Unsqueeze", ["z", "first"], ["s"])
FIRST = [indices("first", [0])]
SECOND = operator("LSTM", ["x", "W", "R", "B", "", "z", "z"], ["", "g", ""], SIZE, name="second")
SHARED = {
    "hidden_and_cell": ({"extra": ("", "z", "z"), "states": Z}, ["x", "rnn_hidden"]),
    "two_nodes": (
        {"extra": ("", "z", "z"), "states": Z, "nodes": [SECOND], "outputs": "h g"},
        ["x", "rnn_hidden"],
    ),
    "two_computations": (
        {
            "extra": ("", "s", "t"),
            "states": ROW,
            "before": [TO_STATE, operator("Unsqueeze", ["z", "first"], ["t"])],
            "tensors": FIRST,
        },
        ["x", "rnn_hidden"],
    ),
    "data_too": (
        {
            "extra": ("", "s", "s"),
            "states": ROW,
            "before": [TO_STATE],
            "nodes": [operator("Squeeze", ["h", "first"], ["v"]), operator("Add", ["v", "z"], ["o"])],
            "tensors": FIRST,
            "outputs": "o",
        },
        ["x", "z"],
    ),
    "two_parts": (
        {
            "extra": ("", "s", "t"),
            "states": [("z", (2, None, 4))],
            "before": [
                operator("Slice", ["z", "zero", "one", "zero"], ["s"]),
                operator("Slice", ["z", "one", "two", "zero"], ["t"]),
            ],
            "tensors": [indices(name, [number]) for number, name in enumerate(("zero", "one", "two"))],
        },
        ["x", "rnn_hidden", "rnn_cell"],
    ),
}


@pytest.mark.parametrize(("options", "names"), SHARED.values(), ids=SHARED)
def test_a_number_of_an_input_is_one_number_of_the_spec(load, options, names):
    assert list(load(lstm_file(SIZE, **options)).spec.inputs) == names


def test_a_shared_state_has_the_answers_of_onnx_runtime(load):
    onnxruntime = pytest.importorskip("onnxruntime")
    content = lstm_file(SIZE, **SHARED["data_too"][0])
    rng = np.random.default_rng(2)
    inputs, state = rng.normal(size=(6, 2, 5)).astype("float32"), rng.normal(size=(2, 4)).astype("float32")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (desired,) = session.run(None, {"x": inputs, "z": state})
    given = {"x": inputs.swapaxes(0, 1), "z": state}
    (actual,) = multilstm.run(load(content), "reference", given, dtype="float64").outputs
    np.testing.assert_allclose(actual, desired, atol=1e-6)


TORN = {
    "overlapping_parts": (
        {
            "extra": ("", "s", "t"),
            "states": [("z", (None, 8))],
            "before": [
                operator("Unsqueeze", ["z", "zero"], ["w"]),
                operator("Slice", ["w", "zero", "four", "two"], ["s"]),
                operator("Slice", ["w", "one", "five", "two"], ["t"]),
            ],
            "tensors": [
                indices(name, [n]) for n, name in ((0, "zero"), (1, "one"), (2, "two"), (4, "four"), (5, "five"))
            ],
        },
        "its initial cell state holds a number of the input 'z' that another state holds too",
    ),
    "parts_of_a_size_that_varies": (
        {
            "extra": ("", "s", "t"),
            "states": [("z", (None, None, 4))],
            "before": [
                operator("Slice", ["z", "zero", "one", "zero"], ["s"]),
                operator("Slice", ["z", "last", "end", "zero"], ["t"]),
            ],
            "tensors": [indices(name, [n]) for n, name in ((0, "zero"), (1, "one"), (-1, "last"), (2**31, "end"))],
        },
        "one is unknown: axis 0, of which it is a part, has no fixed size",
    ),
    "timestep_of_the_data": (
        {
            "extra": ("", "s", "s"),
            "before": [
                operator("Gather", ["x", "zero"], ["v"]),
                operator("Slice", ["v", "zero", "four", "one"], ["u"]),
                operator("Unsqueeze", ["u", "zero"], ["s"]),
            ],
            "tensors": [indices("zero", [0]), indices("four", [4]), indices("one", [1])],
        },
        "place 0 of the 'b' axis",
    ),
}


@pytest.mark.parametrize(("options", "message"), TORN.values(), ids=TORN)
def test_an_input_that_the_spec_would_tear_apart_is_refused(load, options, message):
    with pytest.raises(InputError, match=message):
        load(lstm_file(SIZE, **options))


def zeros(*shape):
    return tensor("s", np.zeros(shape))


FILL = [operator("Shape", ["x"], ["n"]), operator("Concat", ["one", "n", "units"], ["m"], integers("axis", 0))]
MISFITS = {
    "units": ({"tensors": [zeros(1, 2, 6)]}, r"initial_h is zeros of the shape \[1, 2, 6\]; expected \[1, batch, 4\]"),
    "directions": ({"tensors": [zeros(2, 2, 4)]}, r"\[2, 2, 4\]; .* proj_size"),
    "batch": ({"tensors": [zeros(1, 3, 4)]}, r"\[1, 3, 4\]"),
    "axes": ({"tensors": [zeros(2, 4)]}, r"\[2, 4\]"),
    "computed": (
        {
            "nodes": [*FILL, operator("Expand", ["zero", "m"], ["s"])],
            "tensors": [indices("one", [1]), indices("units", [6]), tensor("zero", 0.0)],
        },
        r"\[\?, \?, 6\]; expected \[1, batch, 4\]",
    ),
}


@pytest.mark.parametrize(("options", "message"), MISFITS.values(), ids=MISFITS)
def test_zero_states_have_the_shape_of_the_states(load, options, message):
    content = lstm_file(SIZE, extra=("", "s", "s"), **options)
    with pytest.raises(InputError, match=message):
        load(content)


@pytest.mark.parametrize("state", [np.zeros((1, 2, 6)), np.ones((1, 2, 4))], ids=["shape", "ones"])
def test_an_architecture_gets_no_weights_of_a_node_with_other_constant_states(load, state):
    content = lstm_file(SIZE, extra=("", "s", "s"), tensors=[tensor("s", state)])
    with pytest.raises(InputError, match=r"initial_h is zeros of the shape \[1, 2, 6\]|has constant initial states"):
        load(content, architecture=multilstm.Sequential([multilstm.LSTM(4)], input_shape=(None, 5)))
