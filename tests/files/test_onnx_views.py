"""Nodes of ONNX around an LSTM: they answer as the evaluator of the package `onnx`, or are refused."""

import numpy as np
import pytest
from onnx_files import attribute, field, indices, integers, lstm_file, number, operator, tensor

import multilstm
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import InputError
from multilstm.jobs.job import Batch, Job, Step

pytestmark = pytest.mark.usefixtures("parse_here")
SIZE = attribute("hidden_size", field(3, 4), field(20, 2))
BOTH = attribute("direction", field(4, "bidirectional"), field(20, 3))
LAST, REST = 2**63 - 1, -(2**63) + 1
RNG = np.random.default_rng(0)
MATRIX = tensor("K", RNG.normal(size=(4, 3)))


def integer(name, value):
    return attribute(name, field(3, value % 2**64), field(20, 2))


def text(name, value):
    return attribute(name, field(4, value), field(20, 3))


def after(*nodes, tensors=(), both=False, sizes=(6, None, 5)):
    """Return a model with nodes behind an LSTM, whose output is `z`."""
    attributes = (SIZE, BOTH) if both else (SIZE,)
    return lstm_file(*attributes, nodes=nodes, tensors=tensors, outputs="z", directions=1 + both, sizes=sizes)


def behind(given, **options):
    nodes, constants = given
    return after(*nodes, tensors=constants, **options)


def sliced(start, stop, axis, step, name="y"):
    """Return a Slice and its constants, without an axis where that is None."""
    values = {"i": start, "j": stop, "k": axis, "l": step}
    names = [key if values[key] is not None else "" for key in values]
    constants = [indices(key, [value]) for key, value in values.items() if value is not None]
    return [operator("Slice", [name, *names], ["z"], name="cut")], constants


def with_bias(*sizes):
    nodes = [
        operator("Squeeze", ["y", "one"], ["s"]),
        operator("MatMul", ["s", "K"], ["m"], name="dense"),
        operator("Add", ["m", "v"], ["z"], name="bias"),
    ]
    return nodes, [indices("one", [1]), MATRIX, tensor("v", RNG.normal(size=sizes))]


def picked(place, *nodes):
    """Return nodes, and a Gather of one direction behind them, with its constant."""
    return [*nodes, operator("Gather", ["r", "i"], ["z"], integer("axis", 0))], [indices("i", place), MATRIX]


RELU, DENSE = operator("Relu", ["h"], ["r"]), operator("MatMul", ["h", "K"], ["r"], name="dense")
READ = {
    "slice_of_the_first_axis": behind(sliced(-1, LAST, None, 1)),
    "slice_of_the_first_direction": behind(sliced(0, 1, None, 1, "h"), both=True),
    "slice_to_the_end": behind(sliced(0, LAST, 0, 1)),
    "gather_the_last_timestep": after(operator("Gather", ["y", "i"], ["z"]), tensors=[indices("i", [-1])]),
    "a_bias_of_one_number": behind(with_bias(1)),
    **{
        f"{name}_of_direction_{place}": behind(picked(place, node), both=True)
        for place in (0, 1)
        for name, node in (("relu", RELU), ("dense", DENSE))
    },
    "relu_of_both": after(operator("Relu", ["h"], ["z"]), both=True),
    "selu": after(operator("Selu", ["y"], ["z"])),
    "sum_of_one": after(operator("Sum", ["y"], ["z"])),
}


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_answers_as_the_evaluator(content, tmp_path):
    onnx = pytest.importorskip("onnx")
    onnx_reference = pytest.importorskip("onnx.reference")
    (tmp_path / "model.onnx").write_bytes(content)
    loaded = multilstm.load(tmp_path / "model.onnx")
    x = np.random.default_rng(1).normal(size=(6, 2, 5)).astype("float32")  # [timesteps, batch, features]
    (desired,) = onnx_reference.ReferenceEvaluator(onnx.load_from_string(content)).run(None, {"x": x})
    step = Step("forward", Batch({"x": x.swapaxes(0, 1)}), keep=("outputs",))
    job = Job(loaded.spec, loaded.weights, (step,), "float64")
    outputs = Executor(ReferenceEngine()).execute(job).answers[0].outputs
    is_sequence = len(desired) == len(x)
    desired = desired.reshape(6, 2, -1).swapaxes(0, 1)[None] if is_sequence else desired.reshape(len(outputs), 2, -1)
    np.testing.assert_allclose(np.stack(outputs), desired, rtol=0, atol=1e-6)


def pooled(kind, *attributes):
    nodes = [operator("Squeeze", ["y", "one"], ["s"]), operator("Transpose", ["s"], ["p"], integers("perm", 1, 2, 0))]
    return after(*nodes, operator(kind, ["p"], ["z"], *attributes, name="pool"), tensors=[indices("one", [1])])


def cast(kind):
    return after(operator("Cast", ["y"], ["z"], integer("to", kind), name="cast"))


DROPS = operator("Dropout", ["y", "rate", "on"], ["z"], name="drop")
ON = field(2, 9) + field(8, "on") + field(9, b"\x01")  # a boolean tensor without axes
REFUSED = {
    "slice_with_a_step": (behind(sliced(LAST, REST, 0, -1)), "the step -1"),
    "slice_of_nothing": (behind(sliced(-1, 0, 0, 1)), "takes -1 to 0"),
    "slice_of_text": (
        after(operator("Slice", ["y"], ["z"], text("starts", "a"), text("ends", "b"), name="cut")),
        "expected one range of one axis",
    ),
    "cast_to_integers": (cast(6), "casts to the data type 6, which changes numbers"),
    "cast_to_booleans": (cast(9), "casts to the data type 9, which changes numbers"),
    "dropout_that_drops": (after(DROPS, tensors=[tensor("rate", 0.5), ON]), "drops numbers at random"),
    "other_selu": (
        after(operator("Selu", ["y"], ["z"], number("gamma", 2.0))),
        "alpha and gamma are not those of Keras",
    ),
    "mean_with_padding": (
        pooled(
            "AveragePool", integers("kernel_shape", 3), text("auto_pad", "SAME_UPPER"), integer("count_include_pad", 1)
        ),
        "count padding",
    ),
    "bias_along_time": (behind(with_bias(6, 1, 1)), "'v' is a constant"),
    "bias_with_further_axes": (behind(with_bias(1, 1, 1, 3)), "'v' is a constant"),
    "bias_along_the_batch": (
        after(
            operator("Squeeze", ["h", "zero"], ["s"]),
            operator("Gemm", ["s", "K", "v"], ["z"], name="dense"),
            tensors=[indices("zero", [0]), MATRIX, tensor("v", np.ones((3, 1)))],
            sizes=(6, 3, 5),
        ),
        "its bias is no constant vector of 3 numbers",
    ),
    "division_by_zero": (after(operator("Div", ["y", "v"], ["z"]), tensors=[tensor("v", 0.0)]), "divides .* by 0"),
    "squeezed_features": (
        after(
            operator("MatMul", ["h", "k"], ["m"], name="dense"),
            operator("Squeeze", ["m"], ["z"], name="squeeze"),
            tensors=[tensor("k", np.ones((4, 1)))],
        ),
        "removes the axis 'f'",
    ),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_nodes_that_change_numbers(content, message, tmp_path):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(InputError, match=message):
        multilstm.load(tmp_path / "model.onnx")


def test_names_the_half_precision_of_a_file(tmp_path):
    nodes = [operator("Cast", ["y"], ["w"], integer("to", 10)), operator("Cast", ["w"], ["z"], integer("to", 1))]
    (tmp_path / "model.onnx").write_bytes(after(*nodes))
    assert "the file computes in half precision" in " ".join(multilstm.load(tmp_path / "model.onnx").provenance.notes)
