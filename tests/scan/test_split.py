"""The table of splits for `mesh="auto"`: one example a row; rows that are added to a batch. No device computes here."""

import jax
import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.scan import Dropout, State, init, lstm, model
from multilstm.scan.loops.plan import Sizes
from multilstm.scan.loops.problem import Problem
from multilstm.scan.loops.split import BY_SIZE, SPLITS, SplitRequest, row_for
from multilstm.spec import LSTM, Sequential


def request(*sizes, devices=2, platform="cpu", **placed):
    return SplitRequest(Sizes(*sizes, 4), devices, platform, **placed)


EXAMPLES = {
    "one_device": request(64, 100, 123, 320, devices=1),
    "own_mesh": request(64, 100, 123, 320, has_own_mesh=True),
    "few_rows": request(3, 5000, 123, 320),
    "split_before": request(8, 9, 3, 6, is_split=True),
    "placed": request(64, 100, 123, 320, is_placed=True),
    "unmeasured_device": request(64, 100, 123, 320, platform="gpu"),
    "wide_kernel": request(16, 128, 768, 768),
    "few_rows_each": request(9, 196, 7, 57),
    "little_work": request(18, 16, 7, 44),
    "otherwise": request(62, 78, 42, 81),
}


@pytest.mark.parametrize("row", [row for row in SPLITS if row.name != "several_processes"], ids=lambda row: row.name)
def test_each_row_decides_its_example(row):
    assert row_for(EXAMPLES[row.name]) is row


def test_several_processes_are_not_split(monkeypatch):
    monkeypatch.setattr("jax.process_count", lambda: 2)
    assert row_for(EXAMPLES["otherwise"]).name == "several_processes"


def test_the_rows_by_size_alone_may_be_replaced_by_a_measurement():
    assert [row.name for row in BY_SIZE] == ["wide_kernel", "few_rows_each", "little_work", "otherwise"]
    assert all(row.measured for row in SPLITS)


def test_added_rows_repeat_the_first_ones():
    x = np.arange(30.0).reshape(5, 2, 3)
    state = State(x[:, 0], x[:, 1])
    dropout = Dropout(np.arange(60.0).reshape(4, 5, 3), x[:, 0])
    problem = Problem(init(3, 3), x, state, x[..., 0] > 4, np.arange(5), dropout).with_equal_shares(4)
    order = [0, 1, 2, 3, 4, 0, 1, 2]
    np.testing.assert_array_equal(problem.x, x[order])
    np.testing.assert_array_equal(problem.state.cell, x[order, 1])
    np.testing.assert_array_equal(problem.mask, (x[..., 0] > 4)[order])
    np.testing.assert_array_equal(problem.lengths, order)
    np.testing.assert_array_equal(problem.dropout.inputs, dropout.inputs[:, order])
    np.testing.assert_array_equal(problem.dropout.hidden, x[order, 0])


@pytest.mark.parametrize("mesh", ["auto", True, False, None])
def test_one_device_computes_alone_for_every_word(mesh):
    x = jax.numpy.ones((4, 3, 2), "float32")
    np.testing.assert_array_equal(lstm(init(2, 3), x, mesh=mesh)[0], lstm(init(2, 3), x)[0])


@pytest.mark.parametrize("mesh", ["all", 2, 1])
def test_another_word_is_refused(mesh):
    message = f"expected 'auto', True, None or jax.sharding.Mesh, given {mesh!r}"
    with pytest.raises(InputError, match=f"lstm: mesh: {message}"):
        lstm(init(2, 3), np.ones((4, 3, 2), "float32"), mesh=mesh)
    with pytest.raises(InputError, match=f"model: mesh: {message}"):
        model(Sequential([LSTM(3)], input_shape=(None, 2)), mesh=mesh)
