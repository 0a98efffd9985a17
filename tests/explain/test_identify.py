"""The convention of LSTM arrays, found from recorded outputs: of every dialect, and of other orders and functions."""

import numpy as np
import pytest

from multilstm.conversion import DIALECTS, LSTMWeights, to_dialect
from multilstm.conversion.operations import GATES
from multilstm.errors import InputError
from multilstm.explain.identify import SIGMOIDS, identify, outputs_of, readings

pytestmark = pytest.mark.unit
FEATURES, UNITS = 3, 4


def problem(features=FEATURES, sigmoid="sigmoid", seed=0, units=UNITS):
    """Return random weights, inputs, and the outputs of these weights."""
    rng = np.random.default_rng(seed)
    shapes = ((features, 4 * units), (units, 4 * units), (4 * units,))
    weights = LSTMWeights(*(rng.normal(size=shape).astype("float32") for shape in shapes))
    x = rng.normal(size=(2, 6, features))
    return weights, x, outputs_of(sigmoid, weights, x)


@pytest.mark.parametrize("features", [FEATURES, UNITS], ids=["other_sizes", "equal_sizes"])
@pytest.mark.parametrize("dialect", [name for name, row in DIALECTS.items() if row.placement != "packed"])
def test_the_arrays_of_a_dialect_are_identified(dialect, features):
    weights, x, y = problem(features)
    arrays = to_dialect([[weights]], dialect)
    if len(arrays) <= 4:  # the names do not matter
        arrays = dict(enumerate(arrays.values()))
    fits, tried = identify({str(name): array for name, array in arrays.items()}, x, y)
    assert tried >= 6
    assert len(fits) == 1
    assert dialect in fits[0].convention.dialects
    np.testing.assert_allclose(fits[0].weights.kernel, weights.kernel, rtol=0, atol=1e-7)
    np.testing.assert_allclose(fits[0].weights.bias, weights.bias, rtol=0, atol=1e-6)


@pytest.mark.parametrize("features", [FEATURES, UNITS], ids=["other_sizes", "equal_sizes"])
@pytest.mark.parametrize("dialect", ["haiku", "tf1"])
def test_a_kernel_with_the_hidden_state_first_is_of_no_dialect(dialect, features):
    weights, x, y = problem(features)
    joined, bias = sorted(to_dialect([[weights]], dialect).values(), key=lambda array: -array.ndim)
    for arrays, words, dialects in (
        ({"a": joined, "b": bias}, "one kernel, inputs first", {dialect}),
        ({"a": np.roll(joined, UNITS, axis=0), "b": bias}, "one kernel, hidden state first", set()),
    ):
        (fit,) = identify(arrays, x, y)[0]
        assert words in fit.convention.words
        assert dialects <= set(fit.convention.dialects)
        assert bool(dialects) is bool(fit.convention.dialects)


@pytest.mark.parametrize("dialect", ["keras", "torch", "onnx"])
@pytest.mark.parametrize(("features", "units"), [(1, 4), (2, 4), (3, 1), (3, 2), (1, 1), (2, 2), (8, 2)])
def test_layers_of_few_features_and_units_are_identified(features, units, dialect):
    """Their matrices have the shapes of biases, or of an axis of directions."""
    weights, x, y = problem(features, units=units)
    arrays = {str(number): array for number, array in enumerate(to_dialect([[weights]], dialect).values())}
    fits, _ = identify(arrays, x, y)
    assert dialect in {name for fit in fits for name in fit.convention.dialects}
    for fit in fits:
        np.testing.assert_allclose(outputs_of(fit.convention.recurrent_activation, fit.weights, x), y, atol=1e-4)
    shaped, _ = readings(arrays)
    assert (features, units) in {(reading.features, reading.units) for reading in shaped}


@pytest.mark.parametrize("order", ["ifco", "ifoc", "ocif", "fcoi"])
@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_any_order_and_function_of_the_gates_is_identified(order, sigmoid):
    weights, x, y = problem(sigmoid=sigmoid)
    blocks = {gate: [np.split(array, 4, -1)[GATES.index(gate)] for array in weights] for gate in GATES}
    k, r, b = (np.concatenate([blocks[gate][number] for gate in order], -1) for number in range(3))
    fits, _ = identify({"a": b, "b": r.T, "c": k.T}, x, y)
    assert [(fit.convention.order, fit.convention.transposed, fit.convention.recurrent_activation) for fit in fits] == [
        (order, True, sigmoid)
    ]


def test_the_last_output_alone_identifies_too():
    weights, x, y = problem()
    fits, _ = identify(to_dialect(weights, "haiku"), x, y[:, -1])
    assert [fit.convention.dialects for fit in fits] == [("haiku", "tf1")]


def test_constant_arrays_fit_every_order():
    weights = LSTMWeights(np.full((FEATURES, 16), 0.1), np.full((UNITS, 16), 0.1), np.zeros(16))
    _, x, _ = problem()
    fits, _ = identify(weights._asdict(), x, outputs_of("sigmoid", weights, x))
    assert len({fit.convention.order for fit in fits}) == 24


def test_other_outputs_fit_no_convention():
    weights, x, y = problem()
    fits, tried = identify(weights._asdict(), x, y + 0.01)
    assert (fits, tried) == ([], 24 * 6 + 6)


@pytest.mark.parametrize(
    ("arrays", "x", "y"),
    [
        ({}, (2, 5, 3), (2, 5, 4)),
        ({"k": (3, 16)}, (2, 5, 3), (2, 5, 4)),
        ({"k": (3, 16), "r": (4, 16), "b": (12,)}, (2, 5, 3), (2, 5, 4)),
        ({"k": (3, 16), "r": (4, 16)}, (2, 5, 2), (2, 5, 4)),
        ({"k": (3, 16), "r": (4, 16)}, (2, 5, 3), (2, 4, 4)),
        ({"k": (3, 16), "r": (4, 16)}, (5, 3), (5, 4)),
        ({f"x{n}": (3, 4) for n in range(12)}, (2, 5, 3), (2, 5, 4)),
    ],
    ids=[
        "no_arrays",
        "one_kernel",
        "bias_of_three_gates",
        "other_features",
        "other_timesteps",
        "no_batch",
        "unnamed_gates",
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(arrays, x, y):
    with pytest.raises(InputError, match=r"expected|give those of one layer"):
        identify({name: np.ones(shape) for name, shape in arrays.items()}, np.ones(x), np.ones(y))


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["nan", "inf"])
@pytest.mark.parametrize("place", ["inputs", "outputs", "array 'bias'"])
def test_numbers_that_are_not_finite_are_refused(place, value):
    weights, x, y = problem()
    arrays = {name: array.copy() for name, array in weights._asdict().items()}
    {"inputs": x, "outputs": y}.get(place, arrays["bias"]).flat[1] = value
    with pytest.raises(InputError, match=f"{place}: it holds NaN or infinity, .*; expected finite numbers"):
        identify(arrays, x, y)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((0, 5, 3), (0, 5, 4)),
        ((2, 0, 3), (2, 0, 4)),
        ((2, 0, 3), (2, 4)),
        ((2, 5, 0), (2, 5, 4)),
        ((2, 5, 3), (2, 5, 0)),
    ],
    ids=["batch", "timesteps", "timesteps_of_the_last_output", "features", "units"],
)
def test_empty_arrays_are_refused(x, y):
    units = y[-1]
    arrays = {"k": np.ones((x[-1], 4 * units)), "r": np.ones((units, 4 * units)), "b": np.ones(4 * units)}
    with pytest.raises(
        InputError, match=r"(inputs|outputs|array 'k'): given the shape \[.*, which is empty; expected at least 1"
    ):
        identify(arrays, np.ones(x), np.ones(y))


def test_arrays_without_units_are_refused_without_outputs_too():
    with pytest.raises(InputError, match=r"array 'k': given the shape \[3, 0\], which is empty; expected at least 1"):
        readings({"k": np.ones((3, 0)), "r": np.ones((0, 0))})


# Without outputs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [name for name, row in DIALECTS.items() if row.placement != "packed"])
def test_shapes_and_names_of_a_dialect_are_recognised(dialect):
    weights, _, _ = problem()
    arrays = to_dialect([[weights]], dialect)
    shaped, named = readings(arrays)
    assert dialect in named
    if len(arrays) <= 4:
        assert all(reading[:2] == (FEATURES, UNITS) for reading in shaped)
        assert [reading for reading in shaped if dialect in reading.dialects]
    else:
        assert shaped == []  # an array for each gate: the names alone


def test_equal_sizes_allow_both_axes():
    weights, _, _ = problem(features=4 * UNITS)
    square = {"a": weights.kernel, "b": weights.recurrent_kernel.T, "c": weights.bias}
    shaped, named = readings(square)
    assert named == []
    assert [(reading.features, reading.units, reading.transposed) for reading in shaped] == [(16, 4, True)]
    shaped, _ = readings({"a": weights.kernel, "b": weights.recurrent_kernel})
    assert [(reading.features, reading.units, reading.transposed) for reading in shaped] == [(16, 4, False)]


@pytest.mark.parametrize("arrays", [{}, {"k": (3, 16)}, {"k": (5, 12), "r": (4, 12)}], ids=["none", "one", "gru"])
def test_shapes_that_no_lstm_has_are_refused(arrays):
    with pytest.raises(InputError, match="no LSTM in one direction has these arrays; give those of one layer"):
        readings({name: np.ones(shape) for name, shape in arrays.items()})


def test_the_command_names_the_convention(tmp_path, capsys):
    from multilstm.cli.app import app

    weights, x, y = problem()
    np.savez(tmp_path / "w.npz", **to_dialect(weights, "onnx"))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    files = [str(tmp_path / name) for name in ("w.npz", "x.npy", "y.npy")]
    command = ["identify", files[0], "--inputs", files[1], "--outputs", files[2]]
    assert app(command, result_action="return_value") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("1 of ")
    assert "gates i o f c; gates along the first axis; two biases, added; sigmoid (as in onnx)" in shown
    np.save(tmp_path / "y.npy", y + 1)
    assert app(command, result_action="return_value") == 1
    assert capsys.readouterr().out.startswith("0 of ")


def test_the_command_reads_shapes_and_names(tmp_path, capsys):
    from multilstm.cli.app import app

    np.savez(tmp_path / "w.npz", **to_dialect(problem()[0], "torch-cell"))
    assert app(["identify", str(tmp_path / "w.npz")], result_action="return_value") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "The shapes allow 1 reading."
    assert "3 features, 4 units; gates along the first axis; two biases, added (as in" in " ".join(lines)
    assert "The names are those of: torch-cell." in lines


def test_the_command_wants_inputs_and_outputs_together(tmp_path):
    from multilstm.cli.app import app
    from multilstm.errors import UsageError

    with pytest.raises(UsageError, match="--inputs is given without --outputs; give both, or neither"):
        app(["identify", "w.npz", "--inputs", "x.npy"], result_action="return_value")
