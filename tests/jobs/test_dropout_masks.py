"""Dropout inside LSTMs: the masks that a step needs, their use in every engine, and faults that must be seen."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
from marks import engine_params, is_full, is_keras

from multilstm import LSTM, SGD, Bidirectional, Dense, Dropout, Input, Model, Sequential, parity
from multilstm.cases.case import Case, Fit
from multilstm.cases.recipes import GivenBatches
from multilstm.compare import AGREES, Quantity, compare, tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.registry import JUDGE
from multilstm.errors import InputError
from multilstm.execution.options import Options
from multilstm.jobs.dropout_masks import draw_dropout, dropout_masks
from multilstm.jobs.job import Batch, Job, Step
from multilstm.jobs.validation import check_batch
from multilstm.suite.compare_cases import compare_cases
from multilstm.weights.initializers import discriminating_weights

pytestmark = pytest.mark.usefixtures("kept_workers")

TRAINING = engine_params(lambda row: is_full(row) and row.name != JUDGE)
KERAS = engine_params(is_keras)
BATCH, TIMESTEPS, FEATURES, UNITS = 3, 5, 3, 4
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 1, 1, 0, 0]], bool)

LAYERS = {
    "implementation_1": LSTM(UNITS, dropout=0.4, implementation=1, return_sequences=True),
    "implementation_2": LSTM(UNITS, dropout=0.4),
    "recurrent": LSTM(UNITS, recurrent_dropout=0.4, return_sequences=True),
    "both": LSTM(UNITS, dropout=0.3, recurrent_dropout=0.5),
    "backwards": LSTM(UNITS, dropout=0.3, recurrent_dropout=0.4, go_backwards=True, return_sequences=True),
    "bidirectional": Bidirectional(LSTM(UNITS, dropout=0.4, recurrent_dropout=0.3, return_sequences=True)),
    "bidirectional_1": Bidirectional(LSTM(UNITS, dropout=0.4, implementation=1)),
    "bidirectional_2": Bidirectional(LSTM(UNITS, dropout=0.4)),
}
ONLY_PORTABLE = ("implementation_1", "bidirectional_1")
PLAIN = ("both", "bidirectional", "shared", "encoder", "decoder", "below")
# By masking, and each layer once, because tracing is slow. Without a mask, the catalogue's option-*dropout* cases cover
# `implementation_1`, `both` and dropout in a Bidirectional too.
NAMES = {
    "masked": ("implementation_1", "both", "backwards", "bidirectional", "shared", "below"),
    "unmasked": ("implementation_2", "recurrent", "bidirectional_1", "bidirectional_2", "encoder", "decoder", "below"),
}


def side_by_side(names):
    """Layers over one sequence, each with a head of its own; an encoder that starts a decoder; shared layers."""
    x = Input((None, FEATURES), name="x")
    below = Dense(FEATURES, "tanh", name="below")(x)  # so that the gradient of the LSTMs' inputs matters
    outputs = {name: dataclasses.replace(LAYERS[name], name=name)(below) for name in names if name in LAYERS}
    if "decoder" in names:
        _, *states = LSTM(UNITS, recurrent_dropout=0.3, return_state=True, name="encoder")(below)
        decoder = LSTM(UNITS, dropout=0.4, return_sequences=True, name="decoder")
        outputs["decoder"] = decoder(below, initial_state=states)
    if "shared" in names:
        shared, drop = LSTM(FEATURES, dropout=0.3, return_sequences=True, name="shared"), Dropout(0.2, name="drop")
        outputs["shared"] = shared(drop(shared(drop(below))))
    return Model(x, [Dense(2, name=f"{name}_head")(output) for name, output in outputs.items()])


def two_batches(spec, masked):
    rng = np.random.default_rng(122)  # with this seed no two gates drop the same, and every mask drops something
    batches = []
    for _ in range(2):
        x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("f4")
        shapes = [(BATCH, *(size or TIMESTEPS for size in shape[1:])) for shape in spec.output_shapes]
        targets = tuple(rng.uniform(size=shape).astype("f4") for shape in shapes)
        masks = {"x": MASK} if masked else {}
        batches.append(Batch({"x": x}, targets, masks, dropout=draw_dropout(rng, spec, BATCH, TIMESTEPS)))
    return GivenBatches(tuple(batches))


def case(name, names, masked=False):
    """Ten updates; without momentum, since plain Keras on TensorFlow rounds that to float32."""
    spec = side_by_side(names)
    data = two_batches(spec, masked)
    training = (Fit(data, epochs=5),)
    return Case(name, "given", spec, data, loss="mean_squared_error", optimizer=SGD(0.2), training=training)


CASES = {name: case(name, names, name == "masked") for name, names in NAMES.items()}
KNOWN_TO_PLAIN = case("plain", PLAIN)
UNKNOWN_TO_PARTIAL = case("partial", ("recurrent", "bidirectional_2"))
UNKNOWN_TO_PLAIN = {name: case(name, [name]) for name in ONLY_PORTABLE}
IN_TRAINING = ("gradient", "weights", "loss")


# On every engine -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells():
    """Return the verdicts of some kinds of quantities of a case in float64, on an engine, computed once."""
    found = {}

    def cells(engine, case, layers="portable", kinds=IN_TRAINING):
        key = engine, case.name, layers, kinds
        if key not in found:
            found[key] = compare_cases((case,), Options((engine,), ("float64",), layers, quantities=kinds)).cells
        return found[key]

    return cells


def of_layer(cells, layer):
    """Verdicts and messages of one layer's gradients and trained weights, and of the loss."""
    found = {}
    for cell in cells:
        owner = cell.quantity.where.removeprefix("program/").split("/")[0]
        if cell.kind in IN_TRAINING and owner in (layer, "program"):
            found[str(cell.quantity)] = (cell.verdict, cell.comparison.message)
    return found


def failing(found):
    return {name: judged for name, judged in found.items() if judged[0] not in AGREES}


@pytest.mark.parametrize(("name", "layer"), [(name, layer) for name in CASES for layer in NAMES[name]])
@pytest.mark.parametrize("engine", TRAINING)
def test_every_engine_agrees_with_the_reference(cells, engine, name, layer):
    found = of_layer(cells(engine, CASES[name]), layer)
    assert failing(found) == {}
    weights = [weight for weight in CASES[name].spec.weight_shapes if weight.split("/")[0] == layer]
    assert {f"gradient:{weight}" for weight in weights} < set(found)
    assert {f"weights:program/{weight}" for weight in weights} < set(found)
    assert "loss:program" in found


@pytest.mark.parametrize("engine", KERAS)
@pytest.mark.parametrize("layer", PLAIN)
def test_plain_keras_agrees(cells, engine, layer):
    """Keras's own cells apply the given masks, because they take them for drawn ones."""
    found = of_layer(cells(engine, KNOWN_TO_PLAIN, "plain"), layer)
    assert found
    assert failing(found) == {}


@pytest.mark.parametrize("engine", KERAS)
@pytest.mark.parametrize(
    ("layer", "reason"),
    [("implementation_1", "it fails in training"), ("bidirectional_1", "that forget implementation=1")],
    ids=ONLY_PORTABLE,
)
def test_plain_keras_refuses_cases_that_it_does_not_train(cells, engine, layer, reason):
    judged = cells(engine, UNKNOWN_TO_PLAIN[layer], "plain", kinds=())
    assert {cell.verdict for cell in judged if cell.kind in IN_TRAINING} == {"unsupported"}
    assert all(reason in cell.comparison.message for cell in judged if cell.verdict == "unsupported")
    assert {cell.verdict for cell in judged if cell.kind in ("output", "hidden", "cell")} <= set(AGREES)


@pytest.mark.parametrize("engine", TRAINING)
def test_a_batch_that_the_model_fixes_at_one(engine):
    """TensorFlow's loop needs states of a known shape; one row times an unknown number of rows has an unknown shape."""
    lstm = LSTM(UNITS, dropout=0.4, recurrent_dropout=0.3)
    spec = Sequential([lstm, Dense(1)], input_shape=(None, FEATURES), batch_size=1)
    dropout = draw_dropout(np.random.default_rng(0), spec, 1, TIMESTEPS)
    inputs = np.random.default_rng(1).normal(size=(1, TIMESTEPS, FEATURES))
    report = parity(
        spec, inputs, dropout=dropout, targets=np.ones((1, 1)), loss="mean_squared_error", engines=[engine],
        dtypes=["float64"],
    )  # fmt: skip
    report.check()
    assert {"gradient"} <= {cell.kind for cell in report.cells}


@pytest.mark.parametrize("engine", engine_params(lambda row: row.name == "keras-torch"))
def test_parity_gives_seeds(engine):
    spec = Sequential([Dropout(0.3), LSTM(UNITS, recurrent_dropout=0.3), Dense(1)], input_shape=(None, FEATURES))
    inputs = np.random.default_rng(1).normal(size=(BATCH, TIMESTEPS, FEATURES))
    given = {"targets": np.ones((BATCH, 1)), "loss": "mean_squared_error", "engines": [engine], "dtypes": ["float64"]}
    parity(spec, inputs, seed=3, **given).check()
    with pytest.raises(InputError, match="with_seeds: seed must be an integer from 0 to"):
        parity(spec, inputs, seed=-1, **given)


@pytest.mark.parametrize("engine", engine_params(lambda row: row.partial and row.gradients))
def test_the_partial_engine_refuses(cells, engine):
    judged = cells(engine, UNKNOWN_TO_PARTIAL, kinds=())
    assert {cell.verdict for cell in judged if cell.kind == "gradient"} == {"unsupported"}
    assert {cell.verdict for cell in judged if cell.kind in ("output", "hidden", "cell")} <= set(AGREES)


# Faults ----------------------------------------------------------------------------------------------------------


def diverging(given, fault):
    """Return the layers of which a gradient diverges, where an engine takes other masks than it was given."""
    batch = BATCHES[given.name]
    weights, row = discriminating_weights(given.spec), tolerance("float64", "cpu", "gradient")
    desired, actual = (
        Executor(ReferenceEngine())
        .execute(Job(given.spec, weights, (Step("gradient", each, keep=("gradients",)),), "float64", loss=given.loss))
        .answers[0]
        .gradients
        for each in (batch, dataclasses.replace(batch, dropout={**batch.dropout, **fault}))
    )
    judged = {name: compare(Quantity("gradient", name), actual[name], desired[name], row) for name in desired}
    return {name.rpartition("/")[0] for name, comparison in judged.items() if comparison.verdict == "diverges"}


BATCHES = {name: next(case.forward.batches()) for name, case in CASES.items()}
OF_LSTMS = [(case, name) for case, batch in BATCHES.items() for name in batch.dropout if "/" in name]
PER_GATE = [(case, name) for case, name in OF_LSTMS if BATCHES[case].dropout[name].ndim == 3]


@pytest.mark.parametrize(("first", "second"), list(combinations(range(4), 2)), ids=lambda gate: "ifco"[gate])
@pytest.mark.parametrize(("case", "name"), PER_GATE)
def test_swapped_masks_of_two_gates_diverge(case, name, first, second):
    order = list(range(4))
    order[first], order[second] = second, first
    fault = {name: BATCHES[case].dropout[name][order]}
    assert name.rpartition("/")[0] in diverging(CASES[case], fault)


@pytest.mark.parametrize(("case", "name"), OF_LSTMS)
@pytest.mark.parametrize("fault", ["ignored", "of_another_sequence", "unscaled"])
def test_a_fault_in_a_mask_diverges(fault, case, name):
    mask = BATCHES[case].dropout[name]
    wrong = {"ignored": np.ones_like(mask), "of_another_sequence": np.roll(mask, 1, -2), "unscaled": mask > 0}[fault]
    assert name.rpartition("/")[0] in diverging(CASES[case], {name: wrong})


# Which masks, and of which shapes --------------------------------------------------------------------------------

KERNEL, RECURRENT = "lstm/dropout", "lstm/recurrent_dropout"


@pytest.mark.parametrize(
    ("arguments", "shapes"),
    [
        ({}, {}),
        ({"implementation": 1}, {}),
        ({"dropout": 0.5}, {KERNEL: (7, FEATURES)}),
        ({"dropout": 0.5, "implementation": 1}, {KERNEL: (4, 7, FEATURES)}),
        ({"recurrent_dropout": 0.5}, {RECURRENT: (4, 7, UNITS)}),
        ({"dropout": 0.5, "recurrent_dropout": 0.25}, {KERNEL: (4, 7, FEATURES), RECURRENT: (4, 7, UNITS)}),
    ],
    ids=["none", "none_implementation_1", "dropout", "dropout_implementation_1", "recurrent_dropout", "both"],
)
def test_masks_of_an_lstm(arguments, shapes):
    spec = Sequential([LSTM(UNITS, **arguments)], input_shape=(None, FEATURES))
    found = dropout_masks(spec, 7)
    assert {mask.name: mask.shape for mask in found} == shapes
    assert {mask.name: mask.rate for mask in found} == {
        f"lstm/{key}": arguments[key] for key in ("dropout", "recurrent_dropout") if key in arguments
    }


def test_masks_of_a_spec_that_fixes_its_batch():
    spec = Sequential([Dropout(0.25), LSTM(UNITS, dropout=0.5)], input_shape=(6, FEATURES), batch_size=2)
    assert [mask.shape for mask in dropout_masks(spec)] == [(2, 6, FEATURES), (2, FEATURES)]


def test_masks_of_a_graph():
    spec = Sequential(
        [Dropout(0.25), Bidirectional(LSTM(UNITS, dropout=0.5)), Dropout(0.0), Dropout(0.5)], (None, FEATURES)
    )
    assert [mask[:3] for mask in dropout_masks(spec)] == [
        ("dropout", 0.25, (None, None, FEATURES)),
        ("bidirectional/forward/dropout", 0.5, (None, FEATURES)),
        ("bidirectional/backward/dropout", 0.5, (None, FEATURES)),
        ("dropout_2", 0.5, (None, 2 * UNITS)),
    ]


def test_drawn_masks_fit_and_drop_their_share():
    spec = Sequential([Dropout(0.25), LSTM(UNITS, dropout=0.5, recurrent_dropout=0.2)], (None, FEATURES))
    masks = draw_dropout(np.random.default_rng(0), spec, 500, 6)
    assert {name: mask.shape for name, mask in masks.items()} == {
        "dropout": (500, 6, FEATURES), KERNEL: (4, 500, FEATURES), RECURRENT: (4, 500, UNITS),
    }  # fmt: skip
    for (name, mask), rate in zip(masks.items(), (0.25, 0.5, 0.2), strict=True):
        assert mask.dtype == np.float32, name
        assert np.unique(mask).tolist() == [0, np.float32(1 / (1 - rate))], name
        assert (mask == 0).mean() == pytest.approx(rate, abs=0.03), name
    check_batch(spec, Batch({"input_layer": np.ones((500, 6, FEATURES), "f4")}, dropout=masks))


# Refusals --------------------------------------------------------------------------------------------------------


def executed(kind, dropout, **arguments):
    spec = Sequential([LSTM(UNITS, **{"dropout": 0.5, **arguments})], input_shape=(None, FEATURES))
    batch = Batch({"input_layer": np.ones((BATCH, 2, FEATURES))}, (np.ones((BATCH, UNITS)),), dropout=dropout)
    job = Job(spec, discriminating_weights(spec), (Step(kind, batch),), loss="mean_squared_error", optimizer=SGD())
    return Executor(ReferenceEngine()).execute(job)


SHARED, APART = np.ones((BATCH, FEATURES)), np.ones((4, BATCH, FEATURES))


@pytest.mark.parametrize("kind", ["gradient", "update"])
@pytest.mark.parametrize(
    ("dropout", "arguments", "message"),
    [
        ({}, {}, r"dropout mask 'lstm/dropout' is missing in a \w+ step; given none; add an array of 0 and "
                 r"1 / \(1 - rate\), of shape \(3, 3\)"),
        ({KERNEL: APART}, {"recurrent_dropout": 0.5}, r"'lstm/recurrent_dropout' is missing .* given 'lstm/dropout'; "
                                                      r"add .* of shape \(4, 3, 4\)"),
        ({KERNEL: APART}, {}, r"shape is \(4, 3, 3\), expected \(3, 3\): .* all gates share it with implementation=2"),
        ({KERNEL: SHARED}, {"implementation": 1}, r"shape is \(3, 3\), expected \(4, 3, 3\): .* each gate has its own"),
        ({KERNEL: SHARED[:2]}, {}, r"shape is \(2, 3\), expected \(3, 3\)"),
        ({KERNEL: SHARED, RECURRENT: SHARED}, {}, "unknown 'lstm/recurrent_dropout'; expected 'lstm/dropout'"),
        ({KERNEL: SHARED * np.nan}, {}, "'lstm/dropout': value nan at"),
    ],
    ids=["missing", "one_missing", "for_each_gate", "for_all_gates", "another_batch", "unknown", "nan"],
)  # fmt: skip
def test_refuses(kind, dropout, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        executed(kind, dropout, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["forward", "evaluate"])
def test_inference_needs_no_mask(kind):
    executed(kind, {}, recurrent_dropout=0.5)


def test_a_batch_from_outside_is_checked_too():
    spec = Sequential([LSTM(UNITS, dropout=0.5)], input_shape=(None, FEATURES))
    batch = Batch({"input_layer": np.ones((BATCH, 2, FEATURES))}, dropout={KERNEL: APART})
    with pytest.raises(InputError, match=r"dropout mask 'lstm/dropout': shape is \(4, 3, 3\), expected \(3, 3\)"):
        check_batch(spec, batch)
