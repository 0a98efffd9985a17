"""The seed programs equal the published ones: parameter counts, shapes, data."""

import dataclasses

import numpy as np
import pytest

from multilstm.cases.case import UPDATES, Case
from multilstm.cases.catalogue import catalogue, select
from multilstm.cases.catalogue.seeds import NO_UPDATES
from multilstm.errors import InputError, UsageError
from multilstm.jobs.validation import check_batch
from multilstm.spec.arrays import State

CASES = catalogue()
FULL = catalogue(full=True)


@pytest.mark.parametrize(
    ("case", "counts"),
    [
        ("seed1-stateful", [80_400, 80_400, 202]),
        ("seed1-stateless", [80_400, 80_400, 202]),
        ("seed2-stacked", [6_272, 8_320, 8_320, 330]),
        ("seed4-one-feature", [12]),
        ("seed4-two-features", [16]),
        ("seed5", [4_864, 1_312, 18]),
        ("seed5-copied", [4_864, 1_312, 18]),
        ("seed5-masked", [0, 4_864, 1_312, 18]),
    ],
)
def test_parameter_counts_as_published(case, counts):
    assert list(CASES[case].spec.parameter_counts.values()) == counts
    assert FULL[case].spec.parameter_count == sum(counts)


@pytest.mark.parametrize("name", CASES)
def test_batches_fit_the_spec_and_repeat(name):
    case = CASES[name]
    first, again = next(case.forward.batches()), next(case.forward.batches())
    check_batch(case.spec, first)
    for key, array in first.inputs.items():
        np.testing.assert_array_equal(array, again.inputs[key])
        assert array.dtype in (np.float32, np.int32)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.updates_on is not None])
def test_exactly_100_updates(name):
    assert [step.kind for step in CASES[name].update_steps()] == ["update"] * UPDATES


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.training])
def test_program_makes_the_updates_that_it_counts(name):
    steps = list(CASES[name].training_steps())
    assert sum(step.kind == "update" for step in steps) == CASES[name].updates


@pytest.mark.parametrize(("name", "updates"), [("seed1-stateful", 15), ("seed2-stacked", 80), ("seed5", 300)])
def test_whole_program_has_its_published_updates(name, updates):
    assert FULL[name].updates == updates


def test_states_are_reset_at_every_epoch_and_around_every_validation():
    steps = list(CASES["seed1-stateful"].training_steps())
    kinds = [step.kind for step in steps]
    assert kinds == (["update"] * 5 + ["evaluate"]) * 3 + ["evaluate"]
    assert [index for index, step in enumerate(steps) if step.reset] == [0, 5, 6, 11, 12, 17, 18]
    assert [next(iter(step.batch.inputs.values())).shape[1] for step in steps[::6]] == [50, 10, 60, 50]


def test_seed5_as_published_holds_the_sum_in_its_input():
    batch = next(CASES["seed5"].forward.batches())
    x, target = batch.inputs["input_layer"], batch.targets[0]
    np.testing.assert_array_equal(target[..., 1] == 1, x[:, :, 0] > 2.5)


def test_seed5_copied_leaves_its_input_alone():
    batch = next(CASES["seed5-copied"].forward.batches())
    x, target = batch.inputs["input_layer"].astype("f8"), batch.targets[0]
    assert x.max() < 1
    y = x[:, :, 0].copy()
    for delay in range(1, 5):
        y[:, delay:] += x[:, :-delay, delay]
    sure = np.abs(y - 2.5) > 1e-5
    np.testing.assert_array_equal((target[..., 1] == 1)[sure], (y > 2.5)[sure])
    assert 0.1 < target[..., 1].mean() < 0.9


def test_seed5_masked_hides_a_wrong_target_in_its_padding():
    batch = next(CASES["seed5-masked"].forward.batches())
    padded = (batch.inputs["input_layer"] == -1).all(-1)
    assert 0 < padded.sum() < padded.size
    assert padded[:, 0].sum() == 0
    np.testing.assert_array_equal(batch.targets[0][padded], np.broadcast_to([1.0, 0.0], (padded.sum(), 2)))


def test_seed5_lengths_differ_between_batches():
    batches = CASES["seed5"].forward.batches()
    assert len({batch.inputs["input_layer"].shape[1] for batch in batches}) == 2


def test_seed3_refuses_a_state_of_another_shape():
    case = CASES["seed3-states"]
    batch = next(case.forward.batches())
    wrong = State(batch.states["lstm_1"].hidden, np.zeros((10, 2), "f4"))
    with pytest.raises(InputError, match=r"LSTM 'lstm_1': its cell state has shape \(10, 2\), expected \(10, 8\)"):
        check_batch(case.spec, type(batch)(batch.inputs, batch.targets, {}, {"lstm_1": wrong}, batch.dropout))


# By the words of `shortened`: the fields in which a case then differs from the whole one.
SHORTENED = {
    "": set(),
    "without gradients and training": {"loss", "optimizer", "training"},
    "gradients and training in float64 alone": {"trained_in"},
    NO_UPDATES: {"updates_on"},
    "batches of 20 instead of 200 sequences": {"spec", "forward", "training", "updates_on"},
    f"batches of 20 instead of 200 sequences, {NO_UPDATES}": {"spec", "forward", "training", "updates_on"},
    "10 of 300 batches, of 100 instead of 1000 sequences, 2 of 90 lengths": {"forward", "training"},
}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.family != "peer"])
def test_whole_program_differs_from_the_shortened_only_where_it_says(name):
    short, full = CASES[name], FULL[name]
    assert full.shortened == ""
    fields = {field.name for field in dataclasses.fields(Case)} - {"shortened"}
    differing = {field for field in fields if getattr(short, field) != getattr(full, field)}
    if short.shortened.startswith(("10 of 300", "without gradients")):
        differing -= {"updates_on"}  # of three variants, one makes them
    assert differing == SHORTENED[short.shortened]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.family == "peer"])
def test_a_peers_case_is_always_whole(name):
    assert CASES[name].shortened == FULL[name].shortened == ""


def test_a_shortened_program_is_smaller():
    assert (CASES["seed5"].updates, FULL["seed5"].updates) == (10, 300)
    sizes = [next(cases["seed1-stateful"].forward.batches()).size for cases in (CASES, FULL)]
    assert sizes == [20, 200]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ((), [name for name in CASES if name.startswith("seed")]),
        (("*",), list(CASES)),
        (("seed4*",), ["seed4-one-feature", "seed4-two-features"]),
        (("seed5", "seed1*"), ["seed1-stateful", "seed1-stateless", "seed5"]),
    ],
    ids=["programs", "all", "glob", "several"],
)
def test_select(patterns, names):
    assert [case.name for case in select(patterns)] == names


def test_select_refuses_a_pattern_that_matches_no_case():
    with pytest.raises(UsageError, match=r"unknown case 'seed9\*': expected one of seed1-stateful, .*, sweep-\*, "):
        select(("seed4*", "seed9*"))


def test_full_without_a_name_is_everything_whole():
    assert [case.name for case in select((), full=True)] == list(CASES)
