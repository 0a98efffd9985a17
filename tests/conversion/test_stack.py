"""Weights in every layout and back: bitwise in float32, and refused where they are no LSTM's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import ways_of
from layouts_drawn import SHIFTED

from multilstm.conversion import DIALECTS, LSTMWeights, from_dialect, to_dialect
from multilstm.errors import InputError

pytestmark = pytest.mark.unit


def cell(features=3, units=4, use_bias=True, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    shapes = ((features, 4 * units), (units, 4 * units), (4 * units,))[: 2 + use_bias]
    return LSTMWeights(*(rng.normal(size=shape).astype(dtype) for shape in shapes))


def stack_of(dialect, layers, directions, features, units, use_bias, seed):
    """Return a stack that the layout can hold."""
    placement = DIALECTS[dialect].placement
    layers = layers if placement in ("numbered", "packed") else 1
    directions = 1 if placement == "cell" else directions
    return [
        [cell(units * directions if k else features, units, use_bias, seed + 10 * k + d) for d in range(directions)]
        for k in range(layers)
    ]


def sizes_of(dialect, stack):
    if DIALECTS[dialect].placement != "packed":
        return {}
    first = stack[0][0]
    sizes = {"features": first.features, "units": first.units}
    return {**sizes, "layers": len(stack), "directions": len(stack[0])}


def assert_bitwise(actual, desired):
    assert [len(layer) for layer in actual] == [len(layer) for layer in desired]
    for layer, layer_desired in zip(actual, desired, strict=True):
        for weights, weights_desired in zip(layer, layer_desired, strict=True):
            for array, array_desired in zip(weights, weights_desired, strict=True):
                if array_desired is None:
                    assert array is None or not array.any()
                else:
                    assert array.dtype == array_desired.dtype
                    np.testing.assert_array_equal(array, array_desired)


stacks = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 5), st.integers(1, 5), st.booleans())


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=20, deadline=None)
@given(sizes=stacks, seed=st.integers(0, 99))
def test_weights_return_bitwise(dialect, sizes, seed):
    stack = stack_of(dialect, *sizes, seed)
    if dialect in SHIFTED and stack[0][0].bias is not None:  # from 0.5 to 2, b - 1 is exact
        units = stack[0][0].units
        stack[0][0].bias[units : 2 * units] = np.random.default_rng(seed).uniform(0.5, 2, units)
    arrays = to_dialect(stack, dialect)
    assert_bitwise(from_dialect(arrays, dialect, **sizes_of(dialect, stack)), stack)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_way_through_any_other_layout_and_back_is_bitwise(dialect):
    """As `python parity/layouts.py`, which draws 200 models."""
    total, equal = ways_of(dialect, range(3))
    assert (total, equal) == (2 * 3 * (len(DIALECTS) - 1), total)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_gradients_return_bitwise(dialect):
    stack = stack_of(dialect, 2, 2, 3, 4, True, 5)
    arrays = to_dialect(stack, dialect, gradients=True)
    assert_bitwise(from_dialect(arrays, dialect, gradients=True, **sizes_of(dialect, stack)), stack)


@pytest.mark.parametrize("dialect", SHIFTED)
def test_a_constant_of_the_forget_gate_is_rounded_once(dialect):
    weights = cell()
    returned = from_dialect(to_dialect(weights, dialect), dialect)[0][0]
    np.testing.assert_allclose(returned.bias, weights.bias, rtol=0, atol=np.finfo("float32").eps)
    np.testing.assert_array_equal(returned.kernel, weights.kernel)


def test_gates_have_the_order_of_each_framework():
    """Keras's gates i, f, c, o hold 1, 2, 3, 4."""
    values = np.repeat([1.0, 2.0, 3.0, 4.0], 2)
    weights = LSTMWeights(np.tile(values, (3, 1)), np.tile(values, (2, 1)), values)
    assert to_dialect(weights, "onnx")["B"][0, ::2].tolist() == [1, 4, 2, 3, 0, 0, 0, 0]
    assert to_dialect(weights, "haiku")["linear/b"][::2].tolist() == [1, 3, 2 - 1, 4]
    assert to_dialect(weights, "openvino")["W"][0, ::2, 0].tolist() == [2, 1, 3, 4]
    assert to_dialect(weights, "coreml")["weight_ih"][::2, 0].tolist() == [1, 2, 4, 3]
    assert to_dialect(weights, "dl4j")["W"][0, ::2].tolist() == [3, 2, 4, 1]
    assert to_dialect(weights, "tflite")["recurrent_to_output"].tolist() == [[4, 4], [4, 4]]
    assert to_dialect(weights, "flax-nnx")["if_/kernel"].tolist() == [[2, 2]] * 3


def test_names_of_pytorch_have_layer_and_direction():
    names = to_dialect([[cell(), cell(seed=1)]], "torch")
    assert sorted(names) == sorted(
        f"{kind}_{part}_l0{suffix}"
        for kind in ("weight", "bias")
        for part in ("ih", "hh")
        for suffix in ("", "_reverse")
    )


WRONG = {
    "no_layers": ([], "keras", "expected 1 or 2 in a layer"),
    "three_directions": ([[cell()] * 3], "torch", "expected 1 or 2 in a layer"),
    "kernel_of_three_gates": (cell()._replace(kernel=np.ones((3, 12))), "torch", r"kernel has the shape \(3, 12\)"),
    "bias_of_two": (cell()._replace(bias=np.ones(32)), "torch", r"bias has the shape \(32,\), expected \(16,\)"),
    "second_layer_of_other_features": ([[cell()], [cell(5)]], "torch", "layer 1: kernel has the shape"),
    "two_layers_of_a_cell": ([[cell()], [cell(4)]], "haiku", "given 2 layers; expected one"),
    "two_directions_of_a_cell": ([[cell(), cell()]], "flax-nnx", "given 2 directions; expected one"),
    "unknown_dialect": (cell(), "pytorch", "unknown dialect 'pytorch'"),
}


@pytest.mark.parametrize("label", WRONG)
def test_weights_that_are_no_stack_are_refused(label):
    stack, dialect, message = WRONG[label]
    with pytest.raises(InputError, match=message):
        to_dialect(stack, dialect)


TORCH = to_dialect([[cell()], [cell(4)]], "torch")
BROKEN = {
    "missing": ({k: v for k, v in TORCH.items() if k != "weight_hh_l1"}, "torch", "missing arrays: 'weight_hh'"),
    "one_bias": ({k: v for k, v in TORCH.items() if k != "bias_hh_l0"}, "torch", "missing arrays: 'bias_hh'"),
    "projection": ({**TORCH, "weight_hr_l0": np.ones((2, 4))}, "torch", "unknown: 'weight_hr'"),
    "no_first_layer": ({k: v for k, v in TORCH.items() if "_l1" in k}, "torch", "the arrays lack layer 0"),
    "other_name": ({"kernel": np.ones((3, 16))}, "torch", "expected names such as"),
    "empty": ({}, "keras", "missing arrays"),
    "scalar": ({"kernel": 1.0, "recurrent_kernel": 2.0}, "keras", "kernel has the shape"),
    "odd_columns": ({"linear/w": np.ones((5, 6)), "linear/b": np.ones(6)}, "haiku", "no weights of an LSTM"),
    "three_directions": ({n: np.ones((3, 16, 4)) for n in "WR"}, "onnx", "expected 1 or 2 directions"),
    "flat_without_sizes": ({"weights": np.ones(10)}, "jax-rnn", "expected one flat array 'weights', and both sizes"),
    "unknown_dialect": (TORCH, "caffe", "unknown dialect 'caffe'"),
}


@pytest.mark.parametrize("label", BROKEN)
def test_arrays_that_are_no_lstm_are_refused(label):
    arrays, dialect, message = BROKEN[label]
    with pytest.raises(InputError, match=message):
        from_dialect(arrays, dialect)
