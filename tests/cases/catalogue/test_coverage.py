"""The contents of the catalogue: every option, every pair of interacting options, every size, and the exceptions."""

import collections
import dataclasses
import itertools
import pathlib
import re

import pytest

from multilstm.cases.case import Case
from multilstm.cases.catalogue import FAMILIES, catalogue, family_of
from multilstm.cases.catalogue.covering import covering, product, tuples
from multilstm.cases.catalogue.options import SIZES
from multilstm.cases.catalogue.sweep import DATA, FACTORS, possible, rows, trained
from multilstm.cases.random_batches import MASKS, RandomBatches, mask
from multilstm.spec import LSTM
from multilstm.spec.layers import ACTIVATIONS, LAYERS, MERGE_MODES

CASES = catalogue()
FULL = catalogue(full=True)
LSTMS = [lstm for case in CASES.values() for lstm in case.spec.lstms.values()]

# Pairs of values that no case holds, with the reason.
IMPOSSIBLE = {
    **{
        (("wrapper", wrapper), (option, True)): "Bidirectional sets it itself, and the spec refuses or replaces it"
        for wrapper in FACTORS["wrapper"]
        if wrapper != "lstm"
        for option in ("go_backwards", "zero_output_for_mask")
    },
    (("unroll", True), ("length", "open")): "an unrolled LSTM has as many copies as timesteps",
}
# Arguments of the LSTM that no case sets, with the reason.
UNSET = {
    "activity_regularizer": "refused by the spec",
    "kernel_initializer": "weights are data, from NumPy",
    "recurrent_initializer": "weights are data, from NumPy",
    "bias_initializer": "weights are data, from NumPy",
}


def values(factor):
    return DATA if factor == "data" else FACTORS[factor]


def test_at_least_600_cases():
    assert len(CASES) >= 600
    assert list(CASES) == list(FULL)


def test_every_case_is_of_a_family_and_every_family_has_cases():
    assert {case.family for case in CASES.values()} == set(FAMILIES)


def test_the_table_of_the_parity_suite_counts_the_cases():
    text = (pathlib.Path(__file__).parents[3] / "parity" / "README.md").read_text(encoding="utf-8")
    table = {name: int(count) for name, count in re.findall(r"^\| `([a-z]+)[*-]+` \| (\d+) \|", text, re.MULTILINE)}
    assert table == collections.Counter(case.family.rstrip("12345") for case in CASES.values())


@pytest.mark.parametrize("name", ["", "mine", "seed", "seed9-a", "model", "sweeping-1"])
def test_another_name_has_no_family(name):
    assert family_of(name) == ""


def test_every_pair_of_options_is_in_a_case_or_impossible():
    held = {pair for row in rows() for pair in tuples(row, 2)}
    factors = [*FACTORS, "data"]
    every = {
        ((a, x), (b, y)) for a, b in itertools.combinations(factors, 2) for x in values(a) for y in values(b)
    }  # fmt: skip
    assert every - held == set(IMPOSSIBLE)


def test_every_three_options_of_a_model_are_in_a_case_if_they_are_possible():
    held = {triple for row in rows() for triple in tuples({key: row[key] for key in FACTORS}, 3)}
    assert held == {triple for row in product(FACTORS) if possible(row) for triple in tuples(row, 3)}


def test_every_pair_of_options_is_trained_too():
    """The stated subset: without --full, gradients and training are compared on these."""
    made = {pair for place in trained() for pair in tuples(rows()[place], 2)}
    assert made == {pair for row in rows() for pair in tuples(row, 2)}
    sweep = [case for name, case in CASES.items() if name.startswith("sweep-")]
    assert [place for place, case in enumerate(sweep) if case.training] == sorted(trained())


@pytest.mark.parametrize("name", [name for name, case in FULL.items() if not name.startswith(("seed", "peer-"))])
def test_full_trains_every_case_of_our_own(name):
    case = FULL[name]
    assert (case.loss is not None and case.training) or name == "issue-pytorch-177016-the_same_in_a_batch"
    assert dataclasses.replace(CASES[name], **trained_fields(case)) == case


def trained_fields(case: Case):
    return {
        key: getattr(case, key) for key in ("loss", "optimizer", "training", "updates_on", "trained_in", "shortened")
    }


@pytest.mark.parametrize("field", [field for field in dataclasses.fields(LSTM) if field.name not in ("name", "units")],
                         ids=lambda field: field.name)  # fmt: skip
def test_every_argument_of_the_lstm_is_set_in_some_case(field):
    found = {repr(getattr(lstm, field.name)) for lstm in LSTMS}
    assert (found == {repr(field.default)}) == (field.name in UNSET), found


@pytest.mark.parametrize("argument", ["activation", "recurrent_activation"])
def test_every_activation(argument):
    assert {getattr(lstm, argument) for lstm in LSTMS} == set(ACTIVATIONS)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_every_layer_is_in_some_model(layer):
    assert any(isinstance(one, layer) for case in CASES.values() for one in case.spec.layers)


def test_every_merge_mode():
    found = {getattr(layer, "merge_mode", "none") for case in CASES.values() for layer in case.spec.layers}
    assert found >= set(MERGE_MODES)


@pytest.mark.parametrize(("size", "low", "high"), [("batch", 1, 6), ("timesteps", 1, 50), ("units", 1, 64)])
def test_sizes_from_the_least_to_the_largest(size, low, high):
    assert (min(SIZES[size]), max(SIZES[size])) == (low, high)
    for value in SIZES[size]:
        assert any(f"-{size}-{value}-" in name for name in CASES if name.startswith("size-"))


@pytest.mark.parametrize("size", range(2, 7))
@pytest.mark.parametrize("timesteps", [3, 5, 20])
def test_masks_match_their_names(size, timesteps):
    made = {kind: mask(kind, size, timesteps) for kind in MASKS}
    assert made["none"].all()
    assert made["all_true"].all()
    for kind in ("right", "left", "holes", "scattered"):
        assert (made[kind].sum(axis=1) < timesteps).all(), kind
        assert made[kind].any(axis=1).all(), kind
    assert made["right"][:, 0].all()
    assert made["left"][:, -1].all()
    assert made["holes"][:, [0, -1]].all()
    assert not made["scattered"][0, 0]
    assert not made["full_row"][0].any()
    assert made["full_row"][1:].any(axis=1).all()
    assert len({array.tobytes() for array in made.values()}) == len(MASKS) - 1  # none and all_true


def test_an_issue_has_its_link():
    issues = [case for name, case in CASES.items() if name.startswith("issue-")]
    assert len(issues) >= 20
    assert all(case.description.startswith("https://github.com/") for case in issues)


def test_a_covering_array_holds_all_and_is_small():
    table = list(product({"a": (0, 1, 2), "b": (0, 1, 2), "c": (0, 1, 2), "d": (0, 1)}))
    chosen = covering(table, 2)
    assert {pair for place in chosen for pair in tuples(table[place], 2)} == {
        p for row in table for p in tuples(row, 2)
    }
    assert 9 <= len(chosen) <= 12
    assert covering(table, 2) == chosen


def test_the_same_sequence_alone_and_in_a_batch():
    """pytorch#177016: the two cases differ in the batch alone."""
    alone, batch = (CASES[f"issue-pytorch-177016-{name}"].forward for name in ("one_sequence", "the_same_in_a_batch"))
    assert isinstance(alone, RandomBatches)
    (one,), (six,) = ([b.inputs["input_layer"] for b in recipe.batches()] for recipe in (alone, batch))
    assert (six[:1] == one).all()
