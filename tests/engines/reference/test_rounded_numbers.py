"""The numbers that plain Keras rounds to float32, as the reference with a fault computes with them."""

import numpy as np
import pytest

from multilstm.engines.reference.activations import FUNCTIONS, function_of, with_functions
from multilstm.engines.reference.faults import NUMBERS_ARE_ROUNDED, SOFTPLUS_ENDS
from multilstm.engines.reference.rounded_numbers import activations_of, optimizers_of, with_rounded_numbers
from multilstm.spec import (
    L1L2,
    LSTM,
    Bidirectional,
    Dense,
    LeakyReLU,
    Normalization,
    ReLU,
    Rescaling,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.optimizers import SGD, Adam, AdamW, RMSprop

NARROW = {value: float(np.float32(value)) for value in (0.1, 0.2, 0.3, 0.7, 0.9, 0.999)}
LAYERS = {
    "slope": (LeakyReLU(0.3), LeakyReLU(NARROW[0.3])),
    "relu": (ReLU(max_value=0.3, negative_slope=0.1), ReLU(max_value=NARROW[0.3], negative_slope=0.1)),
    "leaky": (ReLU(negative_slope=0.1), ReLU(negative_slope=NARROW[0.1])),
    "lists": (Rescaling((0.1, 0.5), 0.2), Rescaling((NARROW[0.1], 0.5), NARROW[0.2])),
    "moments": (
        Normalization(mean=(0.1, 0.2), variance=(0.3, 0.7)),
        Normalization(mean=(NARROW[0.1], NARROW[0.2]), variance=(NARROW[0.3], NARROW[0.7])),
    ),
    "inside": (TimeDistributed(LeakyReLU(0.3)), TimeDistributed(LeakyReLU(NARROW[0.3]))),
    "penalty": (
        Bidirectional(LSTM(2, bias_regularizer=L1L2(0.1, 0.2), return_sequences=True)),
        Bidirectional(LSTM(2, bias_regularizer=L1L2(NARROW[0.1], NARROW[0.2]), return_sequences=True)),
    ),
    "nothing": (Dense(2), Dense(2)),
}


def model(layer):
    return Sequential([layer, LSTM(2)], (3, 2), name="model")


@pytest.mark.parametrize("name", LAYERS)
def test_the_numbers_of_a_layer_are_rounded_under_the_fault_alone(name):
    exact, rounded = (model(layer) for layer in LAYERS[name])
    assert with_rounded_numbers(exact, {NUMBERS_ARE_ROUNDED}) == rounded
    assert with_rounded_numbers(exact, set()) == exact
    assert (exact == rounded) == (name == "nothing")


@pytest.mark.parametrize(
    ("optimizer", "coefficients", "rule"),
    [
        (SGD(0.1, 0.9), SGD(0.1, NARROW[0.9]), SGD(0.1, NARROW[0.9])),
        (RMSprop(0.1, 0.7, 0.3), RMSprop(0.1, 0.7, 0.3), RMSprop(0.1, 0.7, 0.3)),
        (Adam(0.1), Adam(0.1, NARROW[0.9], NARROW[0.999]), Adam(0.1)),
        (
            AdamW(0.1, weight_decay=0.2),
            AdamW(0.1, NARROW[0.9], NARROW[0.999], weight_decay=NARROW[0.2]),
            AdamW(0.1, weight_decay=0.2),
        ),
        (Adam(0.1, beta_2=1 - 1e-12), Adam(0.1, NARROW[0.9], 1 - 1e-12), Adam(0.1, beta_2=1 - 1e-12)),
    ],
    ids=["sgd", "rmsprop", "adam", "adamw", "a beta that becomes 1"],
)
def test_an_optimizer_casts_some_numbers(optimizer, coefficients, rule):
    assert optimizers_of(optimizer, {NUMBERS_ARE_ROUNDED}) == (coefficients, rule)
    assert optimizers_of(optimizer, set()) == (optimizer, optimizer)


@pytest.mark.parametrize(
    ("fault", "name", "least", "most"),
    [
        (NUMBERS_ARE_ROUNDED, "gelu", 1e-10, 1e-7),
        (NUMBERS_ARE_ROUNDED, "leaky_relu", 1e-10, 1e-7),
        (SOFTPLUS_ENDS, "hard_sigmoid", 1e-10, 1e-7),
        (SOFTPLUS_ENDS, "softplus", 1e-10, 1e-7),
    ],
)
def test_an_activation_has_a_fault_inside_of_the_block(fault, name, least, most):
    """Values and slopes differ by the rounding of a number; other names have the functions of before."""
    z = np.array([-4.0, -0.5, 0.3, 2.0, 20.5])

    def computed():
        function = function_of(name)
        return np.concatenate([function.forward(z), function.pullback(z, function.forward(z), np.ones_like(z))])

    exact = computed()
    with with_functions(activations_of({fault})):
        assert least < np.abs(computed() - exact).max() < most
        assert function_of("tanh") is FUNCTIONS["tanh"]
    np.testing.assert_array_equal(computed(), exact)
    assert activations_of(set()) == {}
