"""Workloads of shapes, models and cases: names, operations, batches and jobs."""

import math

import numpy as np
import pytest

from multilstm import GRU, LSTM, Concatenate, Dense, Dropout, Embedding, Input, Model, Sequential, TimeDistributed
from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.contestants.stack import is_stack
from multilstm.bench.flops import forward_flops
from multilstm.bench.grids import GRIDS, estimate_s, grid_named
from multilstm.bench.modes import FIT, FORWARD, GRADIENT, PREDICT, TRAIN
from multilstm.bench.run import model_plan
from multilstm.bench.shapes import LARGEST_FLOPS, RANGES, Shape, drawn_shapes
from multilstm.bench.standing import ALIKE
from multilstm.bench.workload import model_workload, sized_name
from multilstm.errors import InputError, UsageError
from multilstm.files.loaded import LoadedModel, Provenance

SPEC = Sequential([LSTM(7, return_sequences=True, dropout=0.2), Dropout(0.5), LSTM(3)], input_shape=(None, 5))


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (Shape(64, 100, 123, 320), "64x100x123x320"),
        (Shape(64, 8, 16, 32, layers=3), "64x8x16x32-3"),
        (Shape(32, 9, 3, 4, layers=4, bidirectional=True), "32x9x3x4-4-bidirectional"),
        (Shape(6, 9, 3, 4, padded=True), "6x9x3x4-padded"),
    ],
    ids=["one_layer", "layers", "bidirectional", "padded"],
)
def test_name(shape, name):
    assert shape.name == name
    assert shape.workload(1).name == name


def test_flops_of_lstms_are_those_of_the_matrix_products():
    shape = Shape(2, 3, 5, 7, layers=2, bidirectional=True)
    multiplications = 2 * 3 * 2 * sum(features * 28 + 7 * 28 for features in (5, 14))
    assert forward_flops(shape.spec, 2, 3) == 2 * multiplications


def test_flops_of_other_layers():
    spec = Sequential(
        [Embedding(9, 4), GRU(5, return_sequences=True), TimeDistributed(Dense(2)), LSTM(3), Dense(6)],
        input_shape=(None,),
    )
    per_step = 15 * (4 + 5) + 5 * 2 + 12 * (2 + 3)  # an Embedding multiplies nothing; biases are no products
    assert forward_flops(spec, 2, 10) == 2 * (2 * 10 * per_step + 2 * 3 * 6)


def test_flops_of_a_model_inside_of_a_time_distributed():
    sentence = Sequential([Embedding(9, 3, mask_zero=True), LSTM(4)], (None,), input_dtype="int32")
    spec = Sequential([TimeDistributed(TimeDistributed(sentence))], (None, 5, 6), input_dtype="int32")
    assert forward_flops(spec, 2, 7) == 2 * (2 * 7 * 5 * 6) * 16 * (3 + 4)


def test_a_call_of_a_mode():
    workload = model_workload("m", SPEC, None, 2, 6, 3)
    assert (workload.batch, workload.timesteps) == (2, 6)
    assert [workload.count(mode) for mode in (FORWARD, GRADIENT, TRAIN, PREDICT, FIT)] == [1, 1, 1, 3, 3]
    assert workload.flops(FIT) == 9 * workload.flops(FORWARD)
    assert workload.steps(PREDICT) == 18
    job = workload.job(FIT, "float32", "cpu", "plain")
    assert [(step.kind, step.keep, step.reset) for step in job.steps] == [
        ("update", ("weights",), True), ("update", ("weights",), False), ("update", ("weights",), False),
    ]  # fmt: skip
    assert workload.job(PREDICT, "float32", "cpu", "plain").loss is None


def test_batches_differ_and_nothing_is_dropped():
    workload = model_workload("m", SPEC, None, 2, 6, 2)
    first, second = (batch.inputs["input_layer"] for batch in workload.batches)
    assert not np.array_equal(first, second)
    assert [batch.dropout for batch in workload.batches] == [{}, {}]
    assert workload.spec.lstms["lstm"].dropout == 0


def test_rows_of_a_masked_model_are_complete_or_padded_on_the_right():
    (batch,) = Shape(4, 6, 3, 2, padded=True).workload(1).batches
    kept = batch.inputs["input_layer"].any(-1)
    assert kept.tolist() == [[True] * 6, [True] * 3 + [False] * 3] * 2


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (Shape(1, 2, 3, 4, layers=2, bidirectional=True).spec, True),
        (Sequential([LSTM(3)], input_shape=(None, 2)), True),
        (SPEC, False),
        (Sequential([LSTM(3, activation="relu")], input_shape=(None, 2)), False),
        (Sequential([LSTM(3), Dense(1)], input_shape=(None, 2)), False),
        (Shape(1, 2, 3, 4, padded=True).spec, False),
    ],
    ids=["bidirectional", "last_output", "dropout", "relu", "dense", "masked"],
)
def test_stacks_are_rows_of_plain_lstms(spec, expected):
    assert is_stack(spec) is expected


def test_the_name_of_a_model_has_its_own_sizes():
    assert sized_name(SPEC, 2, 6) == f"{SPEC.name} 2x6"
    fixed = Sequential([LSTM(2)], input_shape=(8, 3), batch_size=5)
    assert sized_name(fixed, 2, 6) == f"{fixed.name} 5x8"


def test_a_length_that_one_input_leaves_open_is_in_the_name():
    """Two lengths of a sweep under one name would mix their times."""
    first, second = Input((8, 5)), Input((None, 5))
    spec = Model([first, second], Concatenate()([LSTM(2)(first), LSTM(2)(second)]))
    assert [sized_name(spec, 2, steps) for steps in (6, 9)] == [f"{spec.name} 2x6", f"{spec.name} 2x9"]


def test_a_batch_that_one_input_fixes_is_no_size_of_a_sweep():
    first, second = Input((8, 5), batch_size=3), Input((8, 5))
    spec = Model([first, second], Concatenate()([LSTM(2)(first), LSTM(2)(second)]))
    with pytest.raises(UsageError, match="--batch is given, but the inputs of the model have fixed sizes"):
        model_plan("m", LoadedModel(spec, None, Provenance("", "")), (), (1, 2), ())


@pytest.mark.parametrize(("batch", "timesteps", "option"), [(0, 1, "--batch"), (1, 0, "--timesteps")])
def test_sizes_begin_with_one(batch, timesteps, option):
    with pytest.raises(UsageError, match=f"{option} must be at least 1, given 0"):
        model_workload("m", SPEC, None, batch, timesteps)


def test_a_frozen_model_does_not_train():
    frozen = Sequential([LSTM(3, trainable=False)], input_shape=(None, 2))
    with pytest.raises(InputError, match="no weight of it is trained"):
        model_workload("m", frozen, None, 1, 2).check_trains()


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_has_sources_and_published_times_of_its_modes(name):
    grid = GRIDS[name]
    assert len({shape.name for shape in grid.shapes}) == len(grid.shapes)
    assert all(shape.source for shape in grid.shapes)
    assert {row.mode for rows in grid.published.values() for row in rows} <= ALIKE.keys()
    assert grid.shapes or grid.cases
    assert set(grid.engines) <= CONTESTANTS.keys()


def test_drawn_shapes_follow_from_the_seed_and_lie_in_their_ranges():
    shapes = drawn_shapes(1, 40)
    assert shapes == drawn_shapes(1, 40)
    assert shapes == grid_named("drawn", 1).shapes
    assert not {shape.name for shape in shapes} & {shape.name for shape in drawn_shapes(2, 40)}
    for name, (low, high) in RANGES.items():
        sizes = [getattr(shape, name) for shape in shapes]
        assert low <= min(sizes) < math.sqrt(low * high) < max(sizes) <= high
    flops = [forward_flops(shape.spec, shape.batch, shape.timesteps) for shape in shapes]
    assert LARGEST_FLOPS / 10 < max(flops) <= LARGEST_FLOPS


def test_the_seed_changes_no_other_grid():
    assert grid_named("quick", 1) == grid_named("quick")


def test_the_estimate_of_the_quick_grid_is_near_its_budget():
    grid = GRIDS["quick"]
    seconds = estimate_s(grid.workloads(grid.modes), grid.modes, grid.engines, grid.method)
    assert 0.5 * grid.budget_s < seconds < 1.2 * grid.budget_s
