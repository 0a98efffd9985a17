"""The plan for each size: one example a row of the tables, and the properties of all plans."""

import math

import jax
import pytest

from multilstm.scan.loops.plan import (
    PLANS,
    SIDES,
    WIDTHS,
    Layout,
    Plan,
    Request,
    Sizes,
    choose,
    platform,
    row_for,
)

SMALL = {"batch": 4, "timesteps": 30, "features": 3, "units": 6}
WIDE = {"batch": 32, "timesteps": 20_000, "features": 123, "units": 320}
NARROW = {"batch": 1000, "timesteps": 20_000, "features": 5, "units": 8}


def plan(sizes, itemsize=4, unroll=False, checkpoint=False, ragged=False, **changes):
    return choose(Sizes(**{**sizes, **changes}, itemsize=itemsize), unroll, checkpoint, ragged)


def request(*sizes, unroll=False, checkpoint=False, ragged=False, device="cpu"):
    return Request(Sizes(*sizes, 4), unroll, checkpoint, ragged, device)


PLAN_OF_ROW = {
    "unroll": (request(4, 30, 3, 6, unroll=True), Plan(Layout(30, 30), Layout(30, 30), False)),
    "checkpoint": (request(4, 30, 3, 6, checkpoint=True), Plan(Layout(30), Layout(6), True)),
    "unmeasured_device": (request(64, 100, 123, 320, device="gpu"), Plan(Layout(100), Layout(100), False)),
    "few_timesteps": (request(64, 8, 16, 32), Plan(Layout(8, 8), Layout(8, 8), False)),
    "ragged": (request(32, 1000, 123, 320, ragged=True), Plan(Layout(2, 2), Layout(16), False)),
    "wide_kernel": (request(1, 500, 128, 512), Plan(Layout(8, 8), Layout(500, 4), False)),
    "gates_fit_in_kept_memory": (request(4, 30, 3, 6), Plan(Layout(30), Layout(30), False)),
    "chunks": (request(1000, 64, 5, 32), Plan(Layout(64), Layout(5), True)),
}
SIDES_OF_ROW = {
    "unmeasured_device": (request(16, 128, 768, 768, device="gpu"), (False, False)),
    "few_rows_and_fetched_kernel": (request(16, 128, 768, 768), (True, True)),
    "one_row": (request(1, 1000, 128, 512), (False, True)),
    "right": (request(64, 12, 1024, 1024), (False, False)),
}

WIDTHS_OF_ROW = {
    "unmeasured_device": (request(30, 20, 5, 47, device="gpu"), (0, 0)),
    "short_rest": (request(5, 50, 20, 100), (0, 0)),
    "few_rows": (request(2, 2000, 20, 47), (0, 0)),
    "few_outputs": (request(13, 6, 5, 49), (0, 0)),
    "many_units": (request(20, 60, 40, 302), (0, 0)),
    "large_outputs": (request(545, 148, 29, 25), (0, 0)),
    "half_added": (request(351, 39, 39, 9), (0, 0)),
    "some_added": (request(683, 18, 5, 11), (16, 0)),
    "few_added": (request(28, 193, 6, 221), (224, 224)),
}


@pytest.mark.parametrize("rest", range(8))
def test_units_are_added_to_a_rest_that_is_no_short_vector(rest):
    added = choose(Sizes(30, 20, 5, 160 + rest, 4), False, False, False).forward.width
    assert added == (0 if rest in (0, 2, 4) else 168)


@pytest.mark.parametrize("row", WIDTHS, ids=[row.name for row in WIDTHS])
def test_each_row_of_widths_decides_its_example(row):
    example, widths = WIDTHS_OF_ROW[row.name]
    assert row_for(WIDTHS, example) is row
    assert row.choice(example) == widths


@pytest.mark.parametrize("row", PLANS, ids=[row.name for row in PLANS])
def test_each_row_of_plans_decides_its_example(row):
    example, plan = PLAN_OF_ROW[row.name]
    assert row_for(PLANS, example) is row
    assert row.choice(example) == plan


@pytest.mark.parametrize("row", SIDES, ids=[row.name for row in SIDES])
def test_each_row_of_sides_decides_its_example(row):
    example, sides = SIDES_OF_ROW[row.name]
    assert row_for(SIDES, example) is row
    assert row.choice(example) == sides


@pytest.mark.parametrize("table", [PLANS, SIDES, WIDTHS], ids=["plans", "sides", "widths"])
def test_the_last_row_always_applies_and_each_row_has_a_measurement(table):
    assert table[-1].applies(request(0, 0, 1, 1))
    assert all(row.measured for row in table)


def test_small_is_one_chunk_with_stored_gates():
    assert plan(SMALL) == Plan(Layout(30), Layout(30), False)


@pytest.mark.parametrize(
    ("sizes", "written"), [(WIDE, True), (NARROW, False)], ids=["wide_written_out", "narrow_in_a_loop"]
)
def test_the_gradient_of_large_sizes_is_chunked(sizes, written):
    found = plan(sizes)
    assert found.gradient.chunk < sizes["timesteps"]
    assert found.gradient.unroll == 1
    assert found.forward == (Layout(8, 8) if written else Layout(sizes["timesteps"]))  # more take long to compile


def test_forward_is_written_out_where_features_and_units_are_many():
    sizes = {"batch": 100, "timesteps": 100, "features": 100, "units": 100}
    assert plan(sizes).forward == Layout(8, 8)
    assert plan(sizes, features=99).forward == Layout(100)
    assert plan(sizes, batch=10).forward == Layout(100)  # computes too little
    assert plan(sizes, batch=2000).forward == Layout(100)  # the sums of eight timesteps exceed the memory that is kept


def test_steps_are_written_out_where_the_recurrent_kernel_is_large():
    found = plan(WIDE, units=1024).gradient
    assert found.unroll > 1
    assert found.chunk % found.unroll == 0
    assert plan(WIDE, units=1024, ragged=True).gradient.unroll == 1


def test_few_timesteps_are_written_out_where_they_compute_much():
    few = {"batch": 64, "timesteps": 8, "features": 16, "units": 32}
    assert plan(few) == Plan(Layout(8, 8), Layout(8, 8), False)
    assert plan(few, timesteps=3) == Plan(Layout(3), Layout(3), False)
    assert plan(few, timesteps=9) == Plan(Layout(9), Layout(9), False)
    assert plan(few, batch=1000, timesteps=3) == Plan(Layout(3, 3), Layout(3, 3), False)
    assert plan(few, units=512).gradient == Layout(8, 4)
    assert plan(few, units=68) == Plan(Layout(8), Layout(8, 8), False)


@pytest.mark.parametrize(
    "options",
    [{}, {"ragged": True}, {"unroll": True}, {"checkpoint": True}],
    ids=["plain", "ragged", "unroll", "checkpoint"],
)
@pytest.mark.parametrize(
    ("batch", "units", "itemsize", "sides"),
    [
        (16, 768, 4, (True, True)),
        (16, 512, 8, (True, True)),
        (16, 512, 4, (False, False)),
        (64, 768, 4, (False, False)),
        (2, 768, 4, (False, False)),
        (1, 768, 4, (False, True)),
        (1, 6, 4, (False, True)),
    ],
    ids=["large", "float64", "smaller", "many_rows", "two_rows", "one_row", "one_row_small"],
)
def test_the_recurrent_kernel_is_on_the_left_for_a_few_rows_if_large_and_backwards_for_one(
    batch, units, itemsize, sides, options
):
    found = plan(SMALL, itemsize, batch=batch, units=units, **options)
    assert (found.forward.left, found.gradient.left, found.left_backward) == (sides[0], *sides)


@pytest.mark.parametrize("size", ["batch", "timesteps", "units"])
def test_a_chunked_sequence_stays_chunked_when_a_size_grows(size):
    sizes = [{**SMALL, "batch": 32, "timesteps": 100, size: 2**power} for power in range(3, 20)]
    whole = [plan(each).gradient.chunk == each["timesteps"] for each in sizes]
    assert whole == sorted(whole, reverse=True)
    assert set(whole) == {True, False}


def test_float64_is_chunked_at_half_the_size():
    def longest(itemsize):
        return max(
            2**power for power in range(30) if plan(SMALL, itemsize, timesteps=2**power).gradient.chunk == 2**power
        )

    assert longest(4) == 2 * longest(8)
    assert longest(2) == 2 * longest(4)


def test_gates_are_computed_again_where_large_and_narrow_alone():
    assert plan(NARROW).recompute
    assert not plan(NARROW, timesteps=10).recompute
    assert not plan(NARROW, features=500).recompute
    assert not plan(WIDE).recompute


@pytest.mark.parametrize("sizes", [SMALL, WIDE, NARROW], ids=["small", "wide", "narrow"])
def test_unroll_writes_out_all_steps(sizes):
    whole = Layout(sizes["timesteps"], sizes["timesteps"])
    assert plan(sizes, unroll=True) == Plan(whole, whole, False)


@pytest.mark.parametrize("timesteps", [1, 2, 3, 4, 5, 99, 100, 101, 1000])
def test_checkpoint_is_about_the_root_of_the_timesteps(timesteps):
    found = plan(SMALL, timesteps=timesteps, checkpoint=True)
    assert found.recompute
    assert found.gradient.chunk == math.ceil(math.sqrt(timesteps))


@pytest.mark.parametrize(("checkpoint", "chunk"), [(1, 1), (7, 7), (30, 30), (31, 30)])
def test_checkpoint_of_a_number_is_that_number_and_no_more_than_there_are(checkpoint, chunk):
    assert plan(SMALL, checkpoint=checkpoint) == Plan(Layout(30), Layout(chunk), True)


@pytest.mark.parametrize("timesteps", [1, 2, 50, 100_000])
@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])
def test_a_chunk_has_rows_enough_and_no_more_steps_than_there_are(timesteps, ragged):
    batches = (1, 2, 3, 16, 64, 1000)
    chunks = [plan(WIDE, timesteps=timesteps, batch=batch, ragged=ragged).gradient.chunk for batch in batches]
    assert chunks == sorted(chunks, reverse=True)
    assert all(1 <= chunk <= timesteps for chunk in chunks)
    assert all(chunk == timesteps or chunk * batch >= 100 for chunk, batch in zip(chunks, batches, strict=True))


@pytest.mark.parametrize("sizes", [SMALL, WIDE, NARROW], ids=["small", "wide", "narrow"])
@pytest.mark.parametrize("checkpoint", [False, True, 7], ids=str)
def test_ragged_sequences_go_forward_in_chunks_of_few_steps_written_out(sizes, checkpoint):
    forward = plan(sizes, checkpoint=checkpoint, ragged=True).forward
    # Every number of rows is compiled once, and the surplus steps of a chunk are computed too.
    assert 1 < forward.unroll == forward.chunk < 5


@pytest.mark.parametrize("sizes", [SMALL, WIDE, NARROW], ids=["small", "wide", "narrow"])
def test_unroll_leaves_loops_over_ragged_sequences(sizes):
    assert plan(sizes, unroll=True, ragged=True) == plan(sizes, ragged=True)


@pytest.mark.parametrize("batch", [1, 2, 3, 16, 64, 1000])
def test_ragged_chunks_are_powers_of_two_however_few_steps_there_are(batch):
    found = [plan(SMALL, batch=batch, timesteps=timesteps, ragged=True).gradient.chunk for timesteps in (10**3, 10**6)]
    assert found[0] == min(found[1], 1000)
    assert found[1].bit_count() == 1


@pytest.mark.parametrize("sizes", [{"batch": 0}, {"timesteps": 0}, {"batch": 0, "timesteps": 0}], ids=str)
@pytest.mark.parametrize("options", [{}, {"unroll": True}, {"checkpoint": True}, {"checkpoint": 3}], ids=str)
def test_nothing_to_compute_has_a_plan(sizes, options):
    found = plan(SMALL, **sizes, **options)
    assert found.forward.chunk == {**SMALL, **sizes}["timesteps"]
    assert found.gradient.chunk >= 0


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (
            Plan(Layout(7), Layout(3), True),
            "forward in chunks of 7 steps; gradient in chunks of 3 steps, gates recomputed",
        ),
        (
            Plan(Layout(7, 7), Layout(8, 4), False),
            "forward in chunks of 7 steps, 7 written out; gradient in chunks of 8 steps, 4 written out, gates stored",
        ),
        (
            Plan(Layout(7), Layout(7, hoisted=True), False).on_sides(True, True),
            "forward in chunks of 7 steps, the recurrent kernel on the left; gradient in chunks of 7 steps, inputs "
            "projected first, the recurrent kernel on the left, gates stored",
        ),
    ],
    ids=["recomputed", "unrolled", "left"],
)
def test_a_plan_in_words(plan, text):
    assert str(plan) == text


@pytest.mark.parametrize(
    "sizes", [(1, 500, 128, 512, 4), (16, 9, 8, 768, 4), (64, 100, 123, 320, 4), (1000, 55, 5, 32, 4)]
)
def test_where_nothing_was_measured_there_is_one_loop(sizes, monkeypatch):
    sizes = Sizes(*sizes)
    measured = choose(sizes, unroll=False, checkpoint=False, ragged=False)
    monkeypatch.setattr("multilstm.scan.loops.plan.platform", lambda: "gpu")
    found = choose(sizes, unroll=False, checkpoint=False, ragged=False)
    whole = Layout(sizes.timesteps)
    assert found == Plan(whole, whole, False) != measured
    assert choose(sizes, unroll=True, checkpoint=False, ragged=False).forward.unroll == sizes.timesteps
    assert choose(sizes, unroll=False, checkpoint=True, ragged=False).recompute


def test_the_platform_is_that_of_the_default_device():
    cpu = jax.devices("cpu")[0]
    for device in (cpu, "cpu"):
        with jax.default_device(device):
            assert platform() == "cpu"
