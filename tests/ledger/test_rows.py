"""The ledger's loader refuses rows without a meaning; the facts of a case are its own, and no others."""

import dataclasses

import numpy as np
import pytest

from multilstm.cases.case import Case
from multilstm.cases.model_case import model_case
from multilstm.cases.recipes import GivenBatches
from multilstm.compare.quantity import EXACT, FORWARD
from multilstm.jobs.job import Batch
from multilstm.ledger.facts import FACTS, certain_facts, possible_facts, where
from multilstm.ledger.predictions import PREDICTIONS
from multilstm.ledger.rows import ledger, parse
from multilstm.spec import (
    L1,
    LSTM,
    Bidirectional,
    Dense,
    Embedding,
    Input,
    Masking,
    Model,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import SGD, Adam, RMSprop

ROW = """
[[divergence]]
id = "some_fault"
title = "a fault"
engines = ["keras-jax"]
when = ["stateful"]
severity = "high"
consequence = "Numbers are wrong."
advice = "Beware."
"""


def test_a_row_is_read():
    (row,) = parse(ROW)
    assert (row.id, row.engines, row.when, row.effect) == ("some_fault", ("keras-jax",), ("stateful",), "outside")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param('"keras-jax"', '"keras-numpy"', "engines contains 'keras-numpy'", id="engine"),
        pytest.param('["keras-jax"]', "[]", "engines is empty", id="no engine"),
        pytest.param('"stateful"', '"forgetful"', "when contains 'forgetful'", id="fact"),
        pytest.param('"high"', '"dire"', "severity contains 'dire'", id="severity"),
        pytest.param('"some_fault"', '"Some Fault"', "small letters", id="id"),
        pytest.param('"Beware."', '"Beware"', "full stop", id="advice"),
        pytest.param('"a fault"', '"a fault."', "without a full stop", id="title"),
        pytest.param('advice = "Beware."', "", "advice", id="missing key"),
        pytest.param("severity", 'colour = "red"\nseverity', "colour", id="unknown key"),
        pytest.param(
            "severity", 'effect = "differs"\nseverity', "quantities must be given", id="effect without quantities"
        ),
        pytest.param(
            "severity", 'quantities = ["output"]\nseverity', "quantities must be given", id="quantities alone"
        ),
        pytest.param("severity", 'raises = "Error"\nseverity', "raises", id="raises alone"),
        pytest.param("severity", 'link = "example.org"\nseverity', "https", id="link"),
        pytest.param("severity", 'first = "4.0"\nseverity', "4.0 is later than the last version 3.15.1", id="versions"),
        pytest.param("severity", 'device = "abacus"\nseverity', "device contains 'abacus'", id="device"),
    ],
)
def test_a_faulty_row_is_refused(old, new, message):
    assert old in ROW
    with pytest.raises(ValueError, match="row") as caught:
        parse(ROW.replace(old, new, 1))
    assert message in str(caught.value)


def test_two_rows_of_one_id_are_refused():
    with pytest.raises(ValueError, match="two rows"):
        parse(ROW + ROW)


def test_every_fact_is_used_by_a_row():
    assert {fact for row in ledger() for fact in row.when} | {"recurrent"} == set(FACTS)


DIFFERS = 'effect = "differs"\nquantities = ["output"]\n'
PREDICTION, BOUND = 'prediction = "states_are_lost"\n', "at_most = 1e-5\n"


@pytest.mark.parametrize("bound", [PREDICTION, BOUND], ids=["prediction", "at_most"])
def test_a_difference_is_bounded(bound):
    assert parse(ROW + DIFFERS + bound)[0].effect == "differs"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(DIFFERS, "either a prediction or at_most", id="neither"),
        pytest.param(DIFFERS + PREDICTION + BOUND, "either a prediction or at_most", id="both"),
        pytest.param(PREDICTION, "either a prediction or at_most", id="prediction without a difference"),
        pytest.param(BOUND, "either a prediction or at_most", id="bound without a difference"),
        pytest.param(DIFFERS + "at_most = 1.0\n", "an engine that returns zeros has 1", id="bound of all"),
        pytest.param(DIFFERS + "at_most = 0\n", "a share between 0 and 1", id="bound of nothing"),
        pytest.param(DIFFERS + 'prediction = "bad_luck"\n', "prediction contains 'bad_luck'", id="unknown prediction"),
    ],
)
def test_a_row_that_would_explain_anything_is_refused(lines, message):
    with pytest.raises(ValueError, match="row") as caught:
        parse(ROW + lines)
    assert message in str(caught.value)


RAISES = 'effect = "raises"\nquantities = ["output"]\n'


@pytest.mark.parametrize(
    "pattern", ["InvalidArgumentError", "errors.InvalidArgumentError:", "IndexError: ", "Exception", ".*", "["]
)
def test_a_row_that_explains_every_error_of_a_class_is_refused(pattern):
    with pytest.raises(ValueError, match="more than the name of an exception"):
        parse(f"{ROW}{RAISES}raises = '{pattern}'\n")


def test_a_row_that_raises_in_a_forward_pass_explains_all_of_its_quantities():
    forward = {*EXACT, *FORWARD}
    rows = [row for row in ledger() if row.effect == "raises" and forward & set(row.quantities)]
    assert [row.id for row in rows if not forward <= set(row.quantities)] == []


def test_every_prediction_is_used_by_a_row():
    assert {row.prediction for row in ledger()} - {""} == set(PREDICTIONS)


@pytest.mark.parametrize(
    ("effect", "message", "expected"),
    [
        ({"effect": "raises", "raises": "in-place"}, "RuntimeError: in-place operation", True),
        ({"effect": "raises", "raises": "in-place"}, "RuntimeError: out of memory", False),
        ({"effect": "differs", "at_most": 1e-5}, "", False),
    ],
)
def test_a_row_explains_its_error_in_its_quantities(effect, message, expected):
    (row,) = parse(ROW)
    row = dataclasses.replace(row, quantities=("hidden",), **effect)
    assert row.explains_error("hidden", message) is expected
    assert not row.explains_error("gradient", message)
    assert row.differs("hidden") is (row.effect == "differs")
    assert not row.differs("gradient")


# --- facts ---


def facts(spec, dtype="float32", **more):
    return certain_facts(dataclasses.replace(model_case(spec, 3, 7), **more), dtype)


LSTM_FACTS = {
    "stateful": ({"stateful": True}, {"stateful", "nonzero_state"}),
    "unroll": ({"unroll": True}, {"unroll"}),
    "go_backwards": ({"go_backwards": True}, {"go_backwards"}),
    "return_sequences": ({"return_sequences": True}, set()),
    "zero_output_for_mask": ({"zero_output_for_mask": True}, {"zero_output_for_mask"}),
    "dropout": ({"dropout": 0.5}, {"dropout", "drops"}),
    "both dropouts": ({"dropout": 0.5, "recurrent_dropout": 0.5}, {"drops"}),
    "implementation": ({"implementation": 1}, {"implementation_1", "implementation_or_cudnn"}),
    "use_cudnn": ({"use_cudnn": True}, {"use_cudnn_true", "implementation_or_cudnn"}),
    "gelu": ({"activation": "gelu"}, {"gelu_or_leaky_relu"}),
    "hard_sigmoid": ({"recurrent_activation": "hard_sigmoid"}, {"hard_sigmoid_or_softplus"}),
    "L1": ({"kernel_regularizer": L1(0.1)}, {"regularizer", "l1"}),
    "no bias": ({"use_bias": False}, set()),
    "not trained": ({"trainable": False}, set()),
}


@pytest.mark.parametrize("name", LSTM_FACTS)
def test_facts_of_an_lstm(name):
    arguments, expected = LSTM_FACTS[name]
    last = set() if arguments.get("return_sequences") else {"last_only"}
    spec = Sequential([LSTM(4, **arguments)], input_shape=(5, 3), batch_size=2)
    biased = set() if name in ("no bias", "not trained") else {"biased"}
    assert facts(spec)["lstm"] == {"recurrent", "trained", "fixed_timesteps"} | last | biased | expected


def test_facts_of_a_bidirectional():
    found = facts(Sequential([Bidirectional(LSTM(4, return_sequences=True))], input_shape=(5, 3)))
    shared = {"recurrent", "bidirectional", "wrapper", "zero_output_for_mask", "fixed_timesteps", "trained", "biased"}
    assert found["bidirectional/forward"] == shared
    assert found["bidirectional/backward"] == shared | {"go_backwards"}


def test_a_mask_is_followed_to_the_layers_that_it_reaches():
    spec = Sequential(
        [Masking(), LSTM(4, return_sequences=True), LSTM(4), Dense(3)], input_shape=(None, 3)
    )  # fmt: skip
    found = facts(spec)
    assert "masked" in found["lstm"]
    assert "masked" in found["lstm_1"]
    assert "starts_masked" in found["lstm"]  # one of the rows is padded on the left
    plain = facts(Sequential([LSTM(4)], input_shape=(None, 3)))
    assert "masked" not in plain["lstm"]


def one_batch(spec, batch):
    return Case("one", "", spec, GivenBatches((batch,)))


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("masked", ["first", "last"])
def test_a_mask_starts_where_the_lstm_does(go_backwards, masked):
    spec = Sequential([LSTM(4, go_backwards=go_backwards)], input_shape=(None, 3))
    mask = np.ones((2, 5), bool)
    mask[1, 0 if masked == "first" else -1] = False
    batch = Batch({"input_layer": np.ones((2, 5, 3), "float32")}, masks={"input_layer": mask})
    found = certain_facts(one_batch(spec, batch), "float32")["lstm"]
    assert "masked" in found
    assert ("starts_masked" in found) == ((masked == "first") != go_backwards)


def test_given_states_and_values_that_are_not_finite_are_facts():
    spec = Sequential([LSTM(4)], input_shape=(None, 3))
    x = np.ones((2, 5, 3), "float32")
    states = {"lstm": State(np.ones((2, 4)), np.ones((2, 4)))}
    found = certain_facts(one_batch(spec, Batch({"input_layer": x}, states=states)), "float32")["lstm"]
    assert {"initial_state", "nonzero_state"} <= found
    assert "not_finite" not in found
    x[0, 0, 0] = np.nan
    assert "not_finite" in certain_facts(one_batch(spec, Batch({"input_layer": x})), "float32")["lstm"]
    inputs = Input((None, 3))
    _, *given = LSTM(4, return_state=True, name="first")(inputs)
    inner = certain_facts(
        model_case(Model(inputs, LSTM(4, name="second")(inputs, initial_state=given)), 2, 5), "float32"
    )
    assert "initial_state" in inner["second"]
    assert "initial_state" not in inner["first"]


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(), set()),
        (SGD(momentum=0.9), {"momentum"}),
        (SGD(weight_decay=0.1), {"momentum", "weight_decay"}),
        (SGD(clipnorm=0.1), {"adaptive_optimizer", "clipped"}),
        (SGD(global_clipnorm=0.1), {"adaptive_optimizer", "clipped"}),
        (SGD(clipvalue=0.1), {"adaptive_optimizer"}),
        (Adam(), {"adam", "adaptive_optimizer"}),
        (RMSprop(centered=True), {"adaptive_optimizer", "centered_rmsprop"}),
    ],
    ids=["sgd", "momentum", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "adam", "rmsprop"],
)
def test_facts_of_the_training(optimizer, expected):
    spec = Sequential([Embedding(9, 3), LSTM(4)], input_shape=(None,), input_dtype="int32")
    found = facts(spec, "float64", optimizer=optimizer, loss="categorical_crossentropy")
    assert found["embedding"] == {"embedding", "trained", "float64", "categorical_crossentropy"} | expected


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", set()),
        ("float64", {"float64"}),
        ("mixed_bfloat16", {"mixed", "bfloat16"}),
        ("mixed_float16", {"mixed"}),
    ],
)
def test_facts_of_a_dtype(dtype, expected):
    spec = Sequential([LSTM(4)], input_shape=(None, 3))
    assert facts(spec, dtype)["lstm"] == {"recurrent", "trained", "last_only", "biased"} | expected


# Which outputs of a Bidirectional the model puts out, and the halves on which none of them depends.
UNUSED = {
    "merged": ({}, [0], set()),
    "one half": ({"merge_mode": None}, [0], {"backward"}),
    "the other half": ({"merge_mode": None}, [1], {"forward"}),
    "both halves": ({"merge_mode": None}, [0, 1], set()),
    "a state of one half": ({"return_state": True}, [2], {"backward"}),
    "a state of the other half": ({"return_state": True}, [3], {"forward"}),
    "states, not merged": ({"return_state": True, "merge_mode": None}, [4], {"forward"}),
    "a half and the other's state": ({"return_state": True, "merge_mode": None}, [0, 5], set()),
}


@pytest.mark.parametrize("name", UNUSED)
def test_a_half_without_influence_on_the_outputs_is_out_of_the_loss(name):
    options, numbers, expected = UNUSED[name]
    merged = {key: value for key, value in options.items() if key == "merge_mode"}
    inputs = Input((5, 3))
    sequence = LSTM(4, return_sequences=True, name="below")(inputs)
    outputs = Bidirectional(LSTM(4, return_state="return_state" in options), name="both", **merged)(sequence)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    found = facts(Model(inputs, [Dense(2)(outputs[number]) for number in numbers]))
    assert {key for key, these in found.items() if "out_of_the_loss" in these} == {f"both/{half}" for half in expected}


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "linear"])
def test_facts_of_a_head(batch_size, activation):
    spec = Sequential(
        [LSTM(4, return_sequences=True), TimeDistributed(Dense(2, activation=activation))], (None, 3), batch_size
    )
    found = facts(spec)["time_distributed"]
    assert ("any_batch_and_timesteps" in found) == (batch_size is None)
    assert ("softmax_or_sigmoid_output" in found) == (activation != "linear")  # random labels do not sum to one


def test_softmax_matters_where_labels_do_not_sum_to_one():
    spec = Sequential([LSTM(4), Dense(2, activation="softmax")], (None, 3))
    x = np.ones((2, 5, 3), "float32")
    for labels, expected in (([[1.0, 0.0], [0.0, 1.0]], False), ([[1.0, 0.5], [0.0, 1.0]], True)):
        case = one_batch(spec, Batch({"input_layer": x}, (np.array(labels),)))
        assert ("softmax_or_sigmoid_output" in certain_facts(case, "float32")["dense"]) is expected


def test_open_facts_are_possible_until_the_case_decides_them():
    spec = Sequential([Embedding(9, 3, mask_zero=True), LSTM(4)], input_shape=(None,), input_dtype="int32")
    case = model_case(spec, 2, 5)
    found = possible_facts(case, "float32")
    assert {"adam", "adaptive_optimizer", "mixed"} <= found["embedding"]
    assert "starts_masked" in found["lstm"]
    decided = possible_facts(dataclasses.replace(case, example=False), "float32")
    assert not {"adam", "adaptive_optimizer"} & decided["embedding"]


def test_a_row_asks_for_all_its_facts_at_one_layer():
    found = {"a": frozenset({"masked"}), "b": frozenset({"unroll"}), "c": frozenset({"masked", "unroll"})}
    assert where(("masked", "unroll"), found) == ("c",)
    assert where((), found) == ("a", "b", "c")
