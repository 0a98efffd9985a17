"""Dropout masks from the seeds of the layers: their place in a job, and the refusals."""

import dataclasses

import numpy as np
import pytest

from multilstm import LSTM, SGD, Bidirectional, Dense, Dropout, Input, Model, Sequential, TimeDistributed
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import InputError
from multilstm.jobs.dropout_masks import draw_dropout, dropout_masks, seeded_dropout
from multilstm.jobs.job import Batch, Job, Step
from multilstm.random import derived_seed, dropout_mask
from multilstm.weights.initializers import discriminating_weights

pytestmark = pytest.mark.unit

SPEC = Sequential(
    [Dropout(0.3), Bidirectional(LSTM(4, dropout=0.2, recurrent_dropout=0.4)), Dense(2)], input_shape=(None, 3)
)
SEEDED = SPEC.with_seeds(7)
SHAPES = {"input_layer": (5, 6, 3)}


def batch(**given):
    rng = np.random.default_rng(0)
    return Batch({"input_layer": rng.normal(size=SHAPES["input_layer"])}, (rng.normal(size=(5, 2)),), **given)


def trained(spec, batches, **job):
    steps = tuple(Step("update", each) for each in batches)
    given = {"weights": discriminating_weights(spec), "optimizer": SGD(0.1), "loss": "mean_squared_error"}
    return Executor(ReferenceEngine()).execute(Job(spec, steps=steps, dtype="float64", **{**given, **job}))


def same(first, second):
    return all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_with_seeds_derives_a_seed_from_the_name():
    assert {mask.name: mask.seed for mask in dropout_masks(SEEDED)} == {
        "dropout": derived_seed(7, "dropout"),
        **{
            f"bidirectional/{direction}/{kind}": derived_seed(7, "bidirectional")
            for direction in ("forward", "backward")
            for kind in ("dropout", "recurrent_dropout")
        },
    }


def test_with_seeds_leaves_layers_alone_that_drop_nothing():
    spec = Sequential([TimeDistributed(Dropout(0.5)), LSTM(4), Dropout(0.0)], input_shape=(None, 3)).with_seeds(7)
    distributed, *others = spec.layers[1:]
    assert [layer.seed for layer in (distributed.layer, *others)] == [derived_seed(7, "time_distributed"), None, None]


def test_directions_and_kinds_have_streams_of_their_own():
    masks = seeded_dropout(SEEDED, SHAPES, 3)
    assert {name: mask.shape for name, mask in masks.items()} == {
        mask.name: tuple(size or 6 for size in mask.shape) for mask in dropout_masks(SEEDED, 5)
    }
    seed = derived_seed(7, "bidirectional")
    np.testing.assert_array_equal(
        masks["bidirectional/backward/recurrent_dropout"],
        dropout_mask(seed, "backward/recurrent_dropout", 3, 0.4, (4, 5, 4), gates=True),
    )


def test_drawn_masks_are_those_that_could_be_given():
    given = [batch(dropout=seeded_dropout(SEEDED, SHAPES, step)) for step in range(3)]
    assert same(trained(SEEDED, [batch()] * 3), trained(SPEC, given))


def test_a_training_in_two_jobs_is_that_of_one():
    whole, first = trained(SEEDED, [batch()] * 3), trained(SEEDED, [batch()] * 2)
    assert same(trained(SEEDED, [batch()], weights=first.weights, iteration=2), whole)
    assert not same(trained(SEEDED, [batch()], weights=first.weights, iteration=1), whole)


def test_given_masks_win():
    ones = {"dropout": np.ones((5, 6, 3))}
    rest = seeded_dropout(SEEDED, SHAPES, 0, ones)
    assert "dropout" not in rest
    assert same(trained(SEEDED, [batch(dropout=ones)]), trained(SPEC, [batch(dropout={**ones, **rest})]))


def test_random_masks_are_those_of_layers_without_a_seed():
    spec = Sequential([Dropout(0.3, seed=1), Dropout(0.2)], input_shape=(None, 3))
    assert set(draw_dropout(np.random.default_rng(0), spec, 5, 6)) == {"dropout_1"}


@pytest.mark.parametrize(
    ("steps", "spec", "draws"),
    [
        ([batch()], SEEDED, True),
        ([batch()], SPEC, False),
        ([batch(), batch(dropout={"dropout": np.ones((5, 6, 3))})], SEEDED, False),
    ],
    ids=["seeds", "no_seeds", "given"],
)
def test_a_program_draws_where_nothing_is_given(steps, spec, draws):
    job = Job(spec, {}, tuple(Step("gradient", each) for each in steps))
    assert job.draws_dropout == draws


def test_no_seed_and_no_mask_is_refused():
    with pytest.raises(InputError, match=r"mask 'dropout' is missing in an? update step.* or a seed to the layer"):
        trained(SPEC, [batch()])


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_is_refused(seed):
    spec = SPEC.with_layers(
        lambda layer: dataclasses.replace(layer, seed=seed) if isinstance(layer, (Dropout, LSTM)) else layer
    )
    with pytest.raises(InputError, match="Dropout 'dropout': seed must be an integer from 0 to"):
        trained(spec, [batch()])


def test_a_layer_that_is_called_twice_is_refused():
    x, drop = Input((None, 3)), Dropout(0.5, seed=1, name="drop")
    spec = Model(x, Dense(2)(LSTM(4)(drop(Dense(3)(drop(x))))))
    with pytest.raises(InputError, match=r"Dropout 'drop': a training step calls it 2 times.* mask 'drop'"):
        trained(spec, [batch()])
    trained(spec, [batch(dropout={"drop": np.ones((5, 6, 3))})])
