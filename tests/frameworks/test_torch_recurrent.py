"""LSTM and GRU of PyTorch with Keras's weights: the reference's answers, and gradients in linear time."""

import numpy as np
import pytest

from multilstm.engines.reference import hidden_state, lstm
from multilstm.spec import GRU, LSTM
from multilstm.spec.arrays import HiddenState, State

torch = pytest.importorskip("torch")

from multilstm.frameworks import private_torch, torch_recurrent  # noqa: E402 - it imports torch

BATCH, TIMESTEPS, FEATURES, UNITS = 3, 5, 4, 6
ACTIVATIONS = {"usual": ("tanh", "sigmoid"), "own": ("relu", "tanh")}
KINDS = {"lstm": (LSTM, 4, 2), "gru": (GRU, 3, 1)}  # the spec, gates, states


def tensors(kind, bias):
    """Return sequences, states and weights, in the order of the arguments."""
    _, gates, states = KINDS[kind]
    rng = np.random.default_rng(0)
    width = (gates * UNITS,)
    shapes = [(BATCH, TIMESTEPS, FEATURES), *[(BATCH, UNITS)] * states, (FEATURES, *width), (UNITS, *width)]
    shapes += [width if kind == "lstm" else (2, *width)] if bias else []
    made = [torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
    return [*made, *([] if bias else [None])]


def computed(kind, arguments, names):
    functions = None if names == ACTIVATIONS["usual"] else tuple(getattr(torch, name) for name in names)
    return getattr(torch_recurrent, kind)(*arguments, functions)


cases = pytest.mark.parametrize(
    ("kind", "activations", "bias"),
    [(kind, names, bias) for kind in KINDS for names in ACTIVATIONS for bias in (True, False)],
    ids=lambda value: {True: "bias", False: "no_bias"}.get(value, value),
)


@cases
def test_answers_are_those_of_the_reference(kind, activations, bias):
    spec, _, states = KINDS[kind]
    arguments, names = tensors(kind, bias), ACTIVATIONS[activations]
    outputs, last = computed(kind, arguments, names)
    x, *rest = (None if tensor is None else tensor.detach().numpy() for tensor in arguments)
    weights = dict(zip(("kernel", "recurrent_kernel", "bias"), rest[states:], strict=True))
    layer = spec(UNITS, activation=names[0], recurrent_activation=names[1], use_bias=bias, return_sequences=True)
    module, state = (lstm, State) if kind == "lstm" else (hidden_state, HiddenState)
    record = module.forward(layer, x, None, weights, state(*rest[:states]), {})
    np.testing.assert_allclose(outputs.detach().numpy(), record.sequence, rtol=1e-12, atol=1e-13)
    for actual, desired in zip(last, record.state, strict=True):
        np.testing.assert_allclose(actual.detach().numpy(), desired, rtol=1e-12, atol=1e-13)


@cases
def test_gradients_are_those_of_finite_differences(kind, activations, bias):
    arguments = tensors(kind, bias)

    def function(*given):
        outputs, states = computed(kind, [*given, *([] if bias else [None])], ACTIVATIONS[activations])
        return outputs, *states

    assert torch.autograd.gradcheck(function, [tensor for tensor in arguments if tensor is not None])


def by_two_gradients(function, x):
    return torch.autograd.functional.jvp(function, x, x)[1]


TRANSFORMS = {
    "vmap": lambda function, x: torch.func.vmap(function)(torch.stack([x, 2 * x]))[1] - function(2 * x),
    "jvp": lambda function, x: torch.func.jvp(function, (x,), (x,))[1] - by_two_gradients(function, x),
    "trace": lambda function, x: torch.jit.trace(function, x)(2 * x) - function(2 * x),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning")
def test_transforms_of_pytorch(kind, transform):
    x, *rest = [None if tensor is None else tensor.detach().float() for tensor in tensors(kind, True)]
    difference = TRANSFORMS[transform](lambda x: computed(kind, [x, *rest], ACTIVATIONS["usual"])[0], x)
    assert difference.abs().max() < 1e-5


def operators_of_gradient(outputs):
    with private_torch.record_torch_operators() as operators:
        outputs.sum().backward()
    return operators


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activations", ACTIVATIONS)
def test_no_timestep_has_a_gradient_of_the_size_of_the_sequence(kind, activations):
    outputs, _ = computed(kind, tensors(kind, True), ACTIVATIONS[activations])
    assert "aten::select_backward" not in operators_of_gradient(outputs)


def test_an_index_has_a_gradient_of_the_size_of_the_sequence():
    """The operator that the test above looks for is that of `projected[t]`."""
    sequences = torch.ones(TIMESTEPS, BATCH, UNITS, requires_grad=True)
    assert "aten::select_backward" in operators_of_gradient(torch.stack([sequences[t] for t in range(TIMESTEPS)]))


@pytest.mark.parametrize(
    ("sequences", "possible"),
    [
        (torch.ones(2, 3, 4), True),
        (torch.ones(2, 3, 4, dtype=torch.float64), True),
        (torch.ones(2, 3, 4, dtype=torch.bfloat16), False),
        (torch.ones(2, 3, 4, dtype=torch.int32), False),
        (torch.ones(0, 3, 4), False),
        (torch.ones(2, 3, 4, device="meta"), False),
    ],
    ids=["float32", "float64", "bfloat16", "int32", "no_sequence", "meta"],
)
def test_other_sequences_are_left_to_keras(sequences, possible):
    assert torch_recurrent.is_possible(sequences) is possible
