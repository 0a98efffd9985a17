"""Regularizers, constraints and weights that are not trained, on every engine; and that no fault in them can hide."""

import dataclasses

import numpy as np
import pytest
from marks import engine_params, is_keras, needs

from multilstm import (
    L1,
    L1L2,
    L2,
    LSTM,
    SGD,
    Adam,
    Bidirectional,
    Concatenate,
    Dense,
    Embedding,
    Input,
    MaxNorm,
    MinMaxNorm,
    Model,
    NonNeg,
    OrthogonalRegularizer,
    RMSprop,
    Sequential,
    TimeDistributed,
    UnitNorm,
)
from multilstm.cases.case import Case, Evaluate, Fit
from multilstm.cases.recipes import GivenBatches
from multilstm.compare import AGREES, Quantity, compare, tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.registry import ENGINES
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec.penalties import KINDS
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.targets import TARGETS

pytestmark = pytest.mark.usefixtures("kept_workers")

CONVERTED = {target.engine for target in TARGETS.values()}  # converted files have no penalties

needs_jax = needs("jax-scan")


def penalised():
    """Return a model with every regularizer and constraint, on every weight that takes them; every bound is reached."""
    return Sequential(
        [
            Embedding(7, 4, embeddings_regularizer=L2(0.02), embeddings_constraint=UnitNorm(axis=1)),
            Bidirectional(
                LSTM(3, return_sequences=True, kernel_regularizer=L1(0.03),
                     recurrent_regularizer=OrthogonalRegularizer(0.1), bias_regularizer=L1L2(0.1, 0.02),
                     recurrent_initializer="glorot_uniform",  # orthogonal rows are where its gradient jumps
                     kernel_constraint=MaxNorm(0.6), recurrent_constraint=MinMaxNorm(0.3, 0.7, rate=0.6),
                     bias_constraint=NonNeg()),
            ),
            LSTM(3, return_sequences=True, kernel_regularizer=OrthogonalRegularizer(0.2, "columns"),
                 recurrent_regularizer=L2(0.1), recurrent_constraint=UnitNorm(), use_bias=False),
            TimeDistributed(Dense(3, kernel_regularizer=L1L2(0.05, 0.1), bias_regularizer=L2(0.3),
                                  kernel_constraint=MaxNorm(0.9, axis=-1), bias_constraint=MaxNorm(0.1))),
        ],
        input_shape=(6,),
        input_dtype="int32",
    )  # fmt: skip


def partly_frozen():
    """Return a model of layers frozen alone, in wrappers, and shared; their penalties and constraints must not act."""
    frozen = {"kernel_regularizer": L2(0.5), "kernel_constraint": UnitNorm(), "trainable": False}
    x = Input((6, 3), name="x")
    shared = Dense(3, "tanh", bias_regularizer=L1(0.5), **frozen, name="shared")
    y = LSTM(3, return_sequences=True, recurrent_regularizer=L2(0.5), **frozen, name="frozen")(shared(x))
    y = LSTM(4, return_sequences=True, kernel_regularizer=L2(0.1), name="trained")(shared(y))
    both = Bidirectional(LSTM(2, return_sequences=True, **frozen), trainable=False, name="both")(y)
    head = TimeDistributed(Dense(2, **frozen), name="head")(Concatenate(name="joined")([both, y]))
    return Model(x, [head, Dense(2, bias_constraint=MaxNorm(0.2), name="last")(y)])


def frozen_throughout():
    return Sequential([LSTM(3, trainable=False), Dense(2, trainable=False)], input_shape=(6, 3))


def two_batches(spec, seed=0):
    rng = np.random.default_rng([seed, 5])
    ((name, layer),) = spec.inputs.items()
    batches = []
    for _ in range(2):
        shape = (4, *layer.shape)
        x = rng.integers(7, size=shape, dtype="i4") if layer.dtype == "int32" else rng.normal(size=shape)
        targets = (rng.uniform(size=(4, *size[1:])).astype("f4") for size in spec.output_shapes)
        batches.append(Batch({name: x if layer.dtype == "int32" else x.astype("f4")}, tuple(targets)))
    return GivenBatches(tuple(batches))


def case(make, optimizer):
    spec = make()
    data = two_batches(spec)
    training = (Fit(data, epochs=2, validation=two_batches(spec, 1)), Evaluate(data))
    return Case(
        make.__name__, "given", spec, data, loss="mean_squared_error", optimizer=optimizer, training=training,
        updates_on=data,
    )  # fmt: skip


CASES = {
    each.name: each
    for each in (
        case(penalised, Adam(0.01)),
        case(partly_frozen, RMSprop(0.01, momentum=0.5, centered=True)),
        case(frozen_throughout, SGD(0.1, momentum=0.5)),
    )
}
FLOAT64 = Options(("reference",), ("float64",))


class InProcess:
    """A substitute for a pool of workers: one engine in this process."""

    def __init__(self, engine):
        self.execute = lambda _, job: Executor(engine).execute(job)


def answers(engine, given, part):
    quantities = Execution(InProcess(engine), "jax-scan", given, "float64", FLOAT64).quantities(Part(part))
    return {str(quantity): arrays for quantity, arrays in quantities.items()}


def diverging(actual, desired):
    """Return the quantities that do not agree in float64."""
    assert desired
    found = set()
    for name in {**actual, **desired}:
        quantity = Quantity.parse(name)
        row = tolerance("float64", "cpu", quantity.kind)
        pairs = zip(actual.get(name, [None]), desired.get(name, [None]), strict=True)
        if any(compare(quantity, *pair, row).verdict == "diverges" for pair in pairs):
            found.add(name)
    return found


# On every engine -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells():
    """The judged cells of all cases, by engine; computed once, since an engine takes seconds to start."""
    found = {}

    def cells(engine, layers="portable", dtype="float64", quantities=()):
        key = (engine, layers, dtype, quantities)
        if key not in found:
            options = Options((engine,), (dtype,), layers, quantities=quantities)
            found[key] = compare_cases(tuple(CASES.values()), options).cells
        return found[key]

    return cells


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", engine_params(lambda row: row.name not in CONVERTED))
def test_agrees(cells, engine, name):
    judged = [cell for cell in cells(engine) if cell.case == name]
    assert failing(judged) == set()
    spec = CASES[name].spec
    gradients = [str(cell.quantity) for cell in judged if cell.kind == "gradient"]
    assert sorted(gradients) == sorted(f"gradient:{weight}" for weight in spec.trainable_weights)
    weights = [(cell.quantity.where.partition("/")[2], cell.verdict) for cell in judged if cell.kind == "weights"]
    assert {weight for weight, _ in weights} == (set() if ENGINES[engine].partial else set(spec.weight_shapes))
    frozen = {verdict for weight, verdict in weights if weight not in spec.trainable_weights}
    assert frozen <= {"bitwise"}, "a frozen weight keeps every bit"


def failing(judged):
    return {f"{cell.comparison.quantity}: {cell.verdict}: {cell.comparison.message}" for cell in judged
            if cell.verdict not in AGREES}  # fmt: skip


@pytest.mark.parametrize("engine", engine_params(is_keras))
def test_gradients_of_plain_keras_agree_in_float32(cells, engine):
    judged = cells(engine, "plain", "float32", ("gradient",))
    assert {cell.kind for cell in judged} == {"gradient"}
    assert failing(judged) == set()


# Frozen weights ------------------------------------------------------------------------------


def trained(spec, steps=3, optimizer=RMSprop(0.01, momentum=0.5)):  # noqa: B008 - it is frozen
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(scale=0.5, size=shape) for name, shape in spec.weight_shapes.items()}
    batch = next(two_batches(spec).batches())
    updates = (Step("update", batch),) * steps
    job = Job(spec, weights, updates, "float64", loss="mean_squared_error", optimizer=optimizer)
    return weights, Executor(ReferenceEngine()).execute(job)


def test_a_frozen_weight_does_not_move_and_has_no_slots():
    spec = partly_frozen()
    before, result = trained(spec)
    moved = {name for name in before if not np.array_equal(before[name], result.weights[name])}
    assert moved == set(spec.trainable_weights)
    assert set(moved) == {
        *(f"trained/{weight}" for weight in ("kernel", "recurrent_kernel", "bias")), "last/kernel", "last/bias",
    }  # fmt: skip
    assert set(result.slots) == {f"{name}/{slot}" for name in moved for slot in ("velocity", "momentum")}


# By hand ---------------------------------------------------------------------------------------------------------


def test_loss_step_and_constraint_by_hand():
    spec = Sequential(
        [Dense(2, use_bias=False, kernel_regularizer=L2(0.5), kernel_constraint=MaxNorm(1.0))], input_shape=(2,)
    )
    kernel, x, y = np.array([[1.0, 0.2], [-0.5, 0.1]]), np.array([[1.0, 2.0]]), np.array([[0.5, -0.5]])
    batch = Batch({"input_layer": x}, (y,))
    steps = tuple(Step(kind, batch, keep=("gradients",)) for kind in ("evaluate", "gradient", "update", "evaluate"))
    job = Job(spec, {"dense/kernel": kernel}, steps, "float64", loss="mean_squared_error", optimizer=SGD(0.1))
    result = Executor(ReferenceEngine()).execute(job)
    # x @ kernel = [0, 0.4]; the error is [-0.5, 0.9], its mean square 0.53; the squared weights add up to 1.3.
    assert [answer.loss for answer in result.answers[:3]] == pytest.approx([0.53 + 0.65] * 3, rel=1e-15)
    gradient = x.T @ [[-0.5, 0.9]] + kernel
    np.testing.assert_allclose(result.answers[1].gradients["dense/kernel"], gradient, rtol=1e-15)
    stepped = kernel - 0.1 * gradient  # [[0.95, 0.09], [-0.35, -0.09]]: the norm of the first column is above 1
    norms = np.sqrt((stepped**2).sum(0))
    assert norms[0] > 1 > norms[1]
    desired = stepped * np.minimum(norms, 1) / (norms + 1e-7)
    np.testing.assert_allclose(result.weights["dense/kernel"], desired, rtol=1e-14)
    error = x @ desired - y
    assert result.answers[3].loss == pytest.approx((error**2).mean() + 0.5 * (desired**2).sum(), rel=1e-14)


@pytest.mark.parametrize("name", ["penalised", "partly_frozen"])
def test_gradients_of_the_reference_are_those_of_its_loss(name):
    spec = CASES[name].spec
    rng = np.random.default_rng(3)
    weights = {key: rng.normal(scale=0.5, size=shape) for key, shape in spec.weight_shapes.items()}
    batch, executor, h = next(two_batches(spec).batches()), Executor(ReferenceEngine()), 1e-4

    def answer(given):
        steps = (Step("gradient", batch, keep=("gradients",)),)
        return executor.execute(Job(spec, given, steps, "float64", loss="mean_squared_error")).answers[0]

    gradients = answer(weights).gradients
    assert tuple(gradients) == spec.trainable_weights
    for key, gradient in gradients.items():
        direction = rng.normal(size=gradient.shape)
        low, lower, higher, high = (
            answer({**weights, key: weights[key] + n * h * direction}).loss for n in (-2, -1, 1, 2)
        )
        desired = (8 * (higher - lower) - (high - low)) / (12 * h)
        assert (gradient * direction).sum() == pytest.approx(desired, rel=1e-8, abs=1e-9), key


# Faults ----------------------------------------------------------------------------------------------------------


def changed(spec, layer, **arguments):
    """Return the spec with other arguments of a layer, or of the layer that it wraps."""

    def change(given):
        if given.name != layer:
            return given
        if isinstance(given, (Bidirectional, TimeDistributed)):
            return dataclasses.replace(given, layer=dataclasses.replace(given.layer, **arguments), trainable=True)
        return dataclasses.replace(given, **arguments)

    return dataclasses.replace(spec, layers=tuple(change(given) for given in spec.layers))


def arguments(spec):
    """Every regularizer, constraint and `trainable=False` of a spec, as layer and argument."""
    for layer in spec.layers:
        inner = getattr(layer, "layer", layer)
        for field in dataclasses.fields(inner):
            value = getattr(inner, field.name)
            if inner.trainable and field.name.endswith(tuple(KINDS)) and value is not None:
                yield str(layer.name), field.name
        if not inner.trainable:
            yield str(layer.name), "trainable"


LEFT_OUT = [(name, *where) for name in ("penalised", "partly_frozen") for where in arguments(CASES[name].spec)]


@pytest.mark.parametrize(("name", "layer", "argument"), LEFT_OUT)
def test_an_engine_that_ignores_an_argument_diverges(name, layer, argument):
    given, value = CASES[name], True if argument == "trainable" else None
    fault = dataclasses.replace(given, spec=changed(given.spec, layer, **{argument: value}))
    engine = ReferenceEngine()
    assert diverging(answers(engine, given, "program"), answers(engine, given, "program")) == set()
    weights = diverging(answers(engine, fault, "program"), answers(engine, given, "program"))
    assert f"weights:program/{layer}" in {found.rpartition("/")[0].removesuffix("/forward") for found in weights}
    if not argument.endswith("constraint"):
        assert diverging(answers(engine, fault, "gradient"), answers(engine, given, "gradient"))


def test_every_penalty_is_in_a_case():
    spec = CASES["penalised"].spec
    found = {type(value) for value in (*spec.regularizers.values(), *spec.constraints.values())}
    assert found == {each for kind in KINDS.values() for each in kind}


def _constraints_first(scan, monkeypatch):
    update = scan.ScanModel.update

    def wrong(self, weights, slots, coefficients, gradients, *, optimizer):
        free = scan.ScanModel(without(self.spec, "constraint"))
        bound = {**weights, **{name: each(weights[name]) for name, each in self.spec.constraints.items()}}
        return update(free, bound, slots, coefficients, gradients, optimizer=optimizer)

    monkeypatch.setattr(scan.ScanModel, "update", wrong)


def _penalties_left_out_of_evaluation(scan, monkeypatch):
    gradients, loss = scan.ScanModel.gradients, scan.ScanModel.loss

    def evaluated(self, *given, **more):
        return loss(scan.ScanModel(without(self.spec, "regularizer")), *given, **more)

    def trained(self, *given, **more):
        with monkeypatch.context() as right:
            right.setattr(scan.ScanModel, "loss", loss)
            return gradients(self, *given, **more)

    monkeypatch.setattr(scan.ScanModel, "loss", evaluated)
    monkeypatch.setattr(scan.ScanModel, "gradients", trained)


def _penalties_without_gradient(scan, monkeypatch):
    gradients = scan.ScanModel.gradients

    def wrong(self, weights, *given, **more):
        value, evaluation, found = gradients(scan.ScanModel(without(self.spec, "regularizer")), weights, *given, **more)
        return value + self.spec.penalty(weights), evaluation, found

    monkeypatch.setattr(scan.ScanModel, "gradients", wrong)


def _frozen_weights_penalised(scan, monkeypatch):
    loss = scan.ScanModel.loss

    def wrong(self, weights, *given, **more):
        value, evaluation = loss(self, weights, *given, **more)
        return value + sum(0.5 * (weights[name] ** 2).sum() for name in ("shared/kernel", "head/kernel")), evaluation

    monkeypatch.setattr(scan.ScanModel, "loss", wrong)


def without(spec, kind):
    for layer, argument in arguments(spec):
        spec = changed(spec, layer, **{argument: None}) if argument.endswith(kind) else spec
    return spec


FAULTS = {
    "constraints_before_the_step": (_constraints_first, "penalised", "weights:program/time_distributed/bias"),
    "penalties_left_out_of_evaluation": (_penalties_left_out_of_evaluation, "penalised", "loss:program"),
    "penalties_without_gradient": (_penalties_without_gradient, "penalised", "weights:program/lstm/recurrent_kernel"),
    "frozen_weights_penalised": (_frozen_weights_penalised, "partly_frozen", "loss:program"),
}


@needs_jax
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(fault, monkeypatch):
    import importlib

    import jax

    from multilstm.engines.jax_scan import JaxScanEngine

    jax.config.update("jax_enable_x64", True)
    plant, name, quantity = FAULTS[fault]
    desired = answers(ReferenceEngine(), CASES[name], "program")
    if fault == next(iter(FAULTS)):
        assert diverging(answers(JaxScanEngine(), CASES[name], "program"), desired) == set()
    plant(importlib.import_module("multilstm.scan.model"), monkeypatch)
    assert quantity in diverging(answers(JaxScanEngine(), CASES[name], "program"), desired)
