"""Regularizers and constraints as data; their values equal those computed by hand, on arrays of every kind."""

import dataclasses
import importlib.util
import math

import numpy as np
import pytest

from multilstm.engines.reference.penalties import penalty_gradient
from multilstm.errors import SpecError
from multilstm.spec import (
    L1,
    L1L2,
    L2,
    LSTM,
    Bidirectional,
    Constraint,
    Dense,
    Embedding,
    Input,
    MaxNorm,
    MinMaxNorm,
    Model,
    NonNeg,
    OrthogonalRegularizer,
    Regularizer,
    Sequential,
    TimeDistributed,
    UnitNorm,
)
from multilstm.spec.penalties import KINDS, named

W = np.array([[3.0, -4.0, 0.5], [0.0, 3.0, -1.2]])  # the norms of its columns are 3, 5, 1.3
REGULARIZED = {
    "L1": (L1(0.5), 0.5 * 11.7),
    "L2": (L2(0.5), 0.5 * 35.69),
    "L1L2": (L1L2(0.5, 2.0), 0.5 * 11.7 + 2.0 * 35.69),
    "L1L2_of_nothing": (L1L2(), 0.0),
    "orthogonal_rows": (OrthogonalRegularizer(0.5), 0.5 * 12.6 / math.sqrt(25.25 * 10.44)),
    "orthogonal_columns": (
        OrthogonalRegularizer(0.5, "columns"), 0.5 * (0.8 + 0.5 / 1.3 + 5.6 / 6.5) / 3,
    ),
}  # fmt: skip
FACTORS = np.array([1 / 3, 1 / 5, 1 / 1.3])
CONSTRAINED = {
    "MaxNorm": (MaxNorm(4.0), W * [1, 4 / 5, 1]),
    "MaxNorm_rows": (MaxNorm(3.3, axis=1), W * [[3.3 / math.sqrt(25.25)], [1]]),
    "MaxNorm_last_axis": (MaxNorm(3.3, axis=-1), W * [[3.3 / math.sqrt(25.25)], [1]]),
    "NonNeg": (NonNeg(), [[3.0, 0.0, 0.5], [0.0, 3.0, 0.0]]),
    "UnitNorm": (UnitNorm(), W * FACTORS),
    "MinMaxNorm": (MinMaxNorm(2.0, 4.0), W * [3, 4, 2] * FACTORS),
    "MinMaxNorm_half": (MinMaxNorm(2.0, 4.0, 0.5), W * [3, 4.5, 1.65] * FACTORS),
}
ALL = {**REGULARIZED, **CONSTRAINED}
ONE_OF_EACH = [found() for kind in KINDS.values() for found in kind]


@pytest.fixture(params=["numpy", "jax", "torch"])
def array(request):
    """Make an array of a library."""
    if not importlib.util.find_spec(request.param):
        pytest.skip(f"{request.param} is not installed")
    if request.param == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
        return jax.numpy.asarray
    if request.param == "torch":
        import torch

        return torch.tensor
    return np.asarray


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ALL)
def test_values_by_hand(array, name, dtype):
    penalty, desired = ALL[name]
    actual = np.asarray(penalty(array(W.astype(dtype))))
    assert (actual.dtype, actual.shape) == (np.dtype(dtype), np.shape(desired))
    # A norm n is divided by n + 1e-7.
    np.testing.assert_allclose(actual, desired, rtol=2e-7 if name in CONSTRAINED or dtype == "float32" else 1e-15)


def test_every_class_has_a_value_by_hand():
    assert {type(penalty) for penalty, _ in ALL.values()} == {found for kind in KINDS.values() for found in kind}


def test_a_norm_is_divided_by_itself_and_a_little_more():
    np.testing.assert_allclose(UnitNorm()(W)[:, 0], [3 / (3 + 1e-7), 0.0], rtol=1e-15)
    np.testing.assert_array_equal(UnitNorm()(np.zeros((2, 2))), np.zeros((2, 2)))


def gradients(penalty, weight):
    """The gradient of a penalty as JAX and PyTorch find it, as far as they are installed."""
    if importlib.util.find_spec("jax"):
        import jax

        jax.config.update("jax_enable_x64", True)
        yield np.asarray(jax.grad(penalty)(jax.numpy.asarray(weight)))
    if importlib.util.find_spec("torch"):
        import torch

        given = torch.tensor(weight, requires_grad=True)
        yield torch.autograd.grad(penalty(given), given)[0].numpy()


@pytest.mark.parametrize("penalty", [penalty for penalty, _ in REGULARIZED.values()], ids=REGULARIZED)
@pytest.mark.parametrize("weight", [W, np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])], ids=["some", "with_zeros"])
def test_gradients_are_those_by_hand(penalty, weight):
    desired = penalty_gradient(penalty, weight)
    assert np.isfinite(desired).all()
    for gradient in gradients(penalty, weight):
        np.testing.assert_allclose(gradient, desired, rtol=1e-14, atol=1e-16)


def test_the_derivative_of_l1_at_zero_is_zero():
    np.testing.assert_array_equal(penalty_gradient(L1(0.5), np.array([-2.0, 0.0, 3.0])), [-0.5, 0.0, 0.5])


@pytest.mark.parametrize("penalty", ONE_OF_EACH, ids=repr)
def test_penalties_are_values(penalty):
    again = dataclasses.replace(penalty)
    assert again == penalty
    assert hash(again) == hash(penalty)
    assert isinstance(penalty, Regularizer) != isinstance(penalty, Constraint)


def test_defaults_are_keras_own():
    assert L1() == L1(l1=0.01)
    assert L2() == L2(l2=0.01)
    assert L1L2() == L1L2(l1=0.0, l2=0.0)
    assert OrthogonalRegularizer() == OrthogonalRegularizer(factor=0.01, mode="rows")
    assert MaxNorm() == MaxNorm(max_value=2, axis=0)
    assert UnitNorm() == UnitNorm(axis=0)
    assert MinMaxNorm() == MinMaxNorm(min_value=0.0, max_value=1.0, rate=1.0, axis=0)


NUMBERS = [(penalty, field.name) for penalty in ONE_OF_EACH for field in dataclasses.fields(penalty)
           if isinstance(field.default, float)]  # fmt: skip
AXES = [penalty for penalty in ONE_OF_EACH if hasattr(penalty, "axis")]


@pytest.mark.parametrize("value", [-0.1, -1, True, None, "0.5", [0.5], math.nan, math.inf, 10**400, 1j], ids=str)
@pytest.mark.parametrize(("penalty", "argument"), NUMBERS, ids=lambda value: getattr(type(value), "__name__", value))
def test_refuses_a_number(penalty, argument, value):
    message = rf"{type(penalty).__name__}: {argument} must be a finite number that is not negative, got "
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(penalty, **{argument: value})


@pytest.mark.parametrize("value", [0, 1, np.float32(0.5)], ids=repr)
def test_a_number_becomes_a_float(value):
    assert (L2(value).l2, type(L2(value).l2)) == (float(value), float)


@pytest.mark.parametrize("value", [0.0, True, None, "0", [0], (0, 1)], ids=repr)
@pytest.mark.parametrize("penalty", AXES, ids=lambda penalty: type(penalty).__name__)
def test_refuses_an_axis(penalty, value):
    with pytest.raises(SpecError, match=rf"{type(penalty).__name__}: axis must be an integer, got "):
        dataclasses.replace(penalty, axis=value)


@pytest.mark.parametrize("mode", ["row", "", None, 0, ["rows"]], ids=repr)
def test_refuses_a_mode(mode):
    with pytest.raises(SpecError, match=r"OrthogonalRegularizer: unknown mode .*: expected one of rows, columns"):
        OrthogonalRegularizer(mode=mode)


def test_refuses_bounds_in_the_wrong_order():
    with pytest.raises(SpecError, match=r"MinMaxNorm: min_value is 2.0, expected at most max_value=1.0"):
        MinMaxNorm(2.0, 1.0)


# In layers -------------------------------------------------------------------------------------------------------

ARGUMENTS = [
    (layer, field.name)
    for layer in (LSTM(2), Dense(2), Embedding(5, 2))
    for field in dataclasses.fields(layer)
    if field.name.endswith(tuple(KINDS)) and field.name not in (*layer.refused, "activity_regularizer")
]


def test_layers_have_the_arguments_of_keras():
    assert [(type(layer).__name__, argument) for layer, argument in ARGUMENTS] == [
        *(("LSTM", f"{weight}_{kind}") for kind in KINDS for weight in ("kernel", "recurrent", "bias")),
        *(("Dense", f"{weight}_{kind}") for kind in KINDS for weight in ("kernel", "bias")),
        *(("Embedding", f"embeddings_{kind}") for kind in KINDS),
    ]


@pytest.mark.parametrize(("layer", "argument"), ARGUMENTS, ids=lambda value: getattr(value, "class_name", value))
def test_names_of_keras_become_values(layer, argument):
    kind = argument.rpartition("_")[2]
    for name, found in named(kind).items():
        if not (argument.startswith("bias") and found is OrthogonalRegularizer):
            assert getattr(dataclasses.replace(layer, **{argument: name}), argument) == found()
    assert getattr(dataclasses.replace(layer, **{argument: None}), argument) is None


def test_the_names_are_those_of_keras():
    assert list(named("regularizer")) == [
        "L1", "L2", "L1L2", "OrthogonalRegularizer", "l1", "l2", "l1l2", "orthogonal_regularizer",
    ]  # fmt: skip
    assert list(named("constraint")) == [
        "MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm", "max_norm", "non_neg", "unit_norm", "min_max_norm",
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["l3", "", 0.01, True, L2, [L2()], {"class_name": "L2"}, np.sum],
                         ids=lambda value: getattr(value, "__name__", str(value)))  # fmt: skip
@pytest.mark.parametrize(("layer", "argument"), ARGUMENTS, ids=lambda value: getattr(value, "class_name", value))
def test_refuses_values_of_another_kind(layer, argument, value):
    kind = argument.rpartition("_")[2]
    known = ", ".join(found.__name__ for found in KINDS[kind])
    message = rf"{type(layer).__name__}: unknown {argument} .*: expected one of {known}"
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(layer, **{argument: value})
    other = {"regularizer": MaxNorm(), "constraint": L2()}[kind]
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(layer, **{argument: other})


@pytest.mark.parametrize(
    ("layer", "argument", "value", "axes"),
    [
        (LSTM(2), "kernel_constraint", MaxNorm(axis=2), 2),
        (LSTM(2), "recurrent_constraint", UnitNorm(-3), 2),
        (LSTM(2), "bias_constraint", MinMaxNorm(axis=1), 1),
        (Dense(2), "bias_constraint", MaxNorm(axis=-2), 1),
        (Embedding(5, 2), "embeddings_constraint", UnitNorm(2), 2),
    ],
    ids=lambda value: getattr(value, "class_name", str(value)),
)
def test_refuses_an_axis_that_the_weight_lacks(layer, argument, value, axes):
    given = f"{type(layer).__name__}: {argument}: {type(value).__name__} has axis={value.axis}"
    with pytest.raises(SpecError) as raised:
        dataclasses.replace(layer, **{argument: value})
    assert str(raised.value) == f"{given}, expected an axis of a weight that has {axes}"


@pytest.mark.parametrize("layer", [LSTM(2), Dense(2)], ids=["LSTM", "Dense"])
def test_a_bias_cannot_be_orthogonal(layer):
    message = "bias_regularizer: OrthogonalRegularizer needs a weight of two axes, given one of 1"
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(layer, bias_regularizer="orthogonal_regularizer")


def test_refuses_an_orthogonal_regularizer_of_one_row():
    layer = Dense(3, kernel_regularizer=OrthogonalRegularizer(), name="d")
    message = r"weight 'd/kernel': OrthogonalRegularizer needs at least two rows, given shape \(1, 3\)"
    with pytest.raises(SpecError, match=message):
        Sequential([layer], input_shape=(1,))
    Sequential([dataclasses.replace(layer, trainable=False)], input_shape=(1,))  # it never acts


# In models -------------------------------------------------------------------------------------------------------


def model():
    x = Input((None,), dtype="int32", name="x")
    y = Embedding(5, 2, embeddings_regularizer="l2", embeddings_constraint="max_norm", name="e")(x)
    lstm = LSTM(2, return_sequences=True, recurrent_regularizer=L1(0.5), bias_constraint="non_neg")
    y = Bidirectional(lstm, name="b")(y)
    frozen = {"kernel_regularizer": "l1", "kernel_constraint": "unit_norm", "trainable": False}
    y = LSTM(3, return_sequences=True, **frozen, name="f")(y)
    shared = Dense(3, bias_regularizer="l1", kernel_constraint=MaxNorm(0.5), name="s")
    y = TimeDistributed(Dense(3, **frozen), name="t")(shared(shared(y)))
    return Model(x, y)


def test_weights_that_are_trained():
    names = [
        f"b/{side}/{weight}" for side in ("forward", "backward") for weight in ("kernel", "recurrent_kernel", "bias")
    ]
    assert model().trainable_weights == ("e/embeddings", *names, "s/kernel", "s/bias")
    assert set(model().weight_shapes) - set(model().trainable_weights) == {
        "f/kernel", "f/recurrent_kernel", "f/bias", "t/kernel", "t/bias",
    }  # fmt: skip


def test_regularizers_and_constraints_of_trained_weights():
    assert model().regularizers == {
        "e/embeddings": L2(), "b/forward/recurrent_kernel": L1(0.5), "b/backward/recurrent_kernel": L1(0.5),
        "s/bias": L1(),
    }  # fmt: skip
    assert model().constraints == {
        "e/embeddings": MaxNorm(), "b/forward/bias": NonNeg(), "b/backward/bias": NonNeg(), "s/kernel": MaxNorm(0.5),
    }  # fmt: skip


def test_the_penalty_of_a_model_is_the_sum_and_counts_a_shared_layer_once():
    graph, rng = model(), np.random.default_rng(0)
    weights = {name: rng.normal(size=shape) for name, shape in graph.weight_shapes.items()}
    desired = 0.01 * (weights["e/embeddings"] ** 2).sum() + 0.01 * np.abs(weights["s/bias"]).sum()
    desired += 0.5 * sum(np.abs(weights[f"b/{side}/recurrent_kernel"]).sum() for side in ("forward", "backward"))
    np.testing.assert_allclose(graph.penalty(weights), desired, rtol=1e-14)
    assert Sequential([Dense(2)], input_shape=(3,)).penalty({}) == 0


def test_counts_include_untrained_weights():
    frozen = Sequential([LSTM(2, trainable=False), Dense(1)], input_shape=(None, 3))
    assert frozen.parameter_counts == {"lstm": 48, "dense": 3}
