"""The measured plan: its contestants give the same answers, its winner follows the table, and it is timed once."""

import jax
import numpy as np
import pytest

from multilstm.scan import LSTMParams, State, lstm
from multilstm.scan.cell import Names
from multilstm.scan.loops import records, tournament
from multilstm.scan.loops.plan import Layout, Sizes, choose
from multilstm.scan.loops.problem import LoopOptions, Problem
from multilstm.scan.loops.recurrence import run_with_custom_gradient
from multilstm.scan.loops.tournament import CONTESTANTS, planned, size_class, winner

SIZES = Sizes(4, 7, 3, 6, 8)
OPTIONS = (False, False, False)


@pytest.fixture
def measuring(monkeypatch, tmp_path):
    """Switch measuring on, with records in a folder of this test."""
    monkeypatch.setenv(records.VARIABLE, "1")
    monkeypatch.setattr(records, "_known", {})
    monkeypatch.setattr(records, "location", lambda: tmp_path / "plans" / "machine.json")
    return tmp_path / "plans" / "machine.json"


@pytest.fixture
def timed(monkeypatch):
    """Replace the clock: the contestant `left` is the fastest forward, another in the gradient; return all races."""
    races = []

    def times(programs, arguments):
        races.append(list(programs))
        fastest = "left" if len(arguments) == 1 else "projection_hoisted"
        return {name: 1.0 if name == fastest else 2.0 for name in programs}

    monkeypatch.setattr(tournament, "_times", times)
    return races


@pytest.mark.parametrize("contestant", CONTESTANTS, ids=[contestant.name for contestant in CONTESTANTS])
def test_every_contestant_gives_the_same_answers(problem, distance, contestant):
    options = LoopOptions(Names("tanh", "sigmoid"), contestant.plan(SIZES))

    def run(params, x, state):
        return run_with_custom_gradient(options, Problem(params, x, state))

    assert distance(problem.everything(run=run), problem.reference()) <= 1e-12


@pytest.mark.parametrize(
    ("times", "name"),
    [({"rules": 1.0, "left": 0.94}, "left"), ({"rules": 1.0, "left": 0.96}, "rules"), ({"rules": 1.0}, "rules")],
    ids=["clearly_faster", "hardly_faster", "alone"],
)
def test_the_rules_win_unless_another_is_clearly_faster(times, name):
    assert winner(times) == name


def test_a_class_has_the_sizes_around_powers_of_two():
    assert size_class(Sizes(60, 100, 123, 320, 4)) == size_class(Sizes(70, 128, 128, 300, 4)) == "64x128x128x256x4"
    assert size_class(Sizes(60, 100, 123, 320, 8)) != size_class(Sizes(60, 100, 123, 320, 4))


def test_nothing_is_measured_by_default(timed):
    assert planned(SIZES, *OPTIONS) == choose(SIZES, *OPTIONS)
    assert timed == []


def test_each_mode_has_its_winner_and_the_class_is_timed_once(measuring, timed):
    plan = planned(SIZES, *OPTIONS)
    assert plan.forward == Layout(7, left=True)
    assert plan.gradient == Layout(7, hoisted=True)
    assert str(plan).endswith("; measured here: forward left, gradient projection_hoisted")
    assert planned(SIZES._replace(timesteps=8), *OPTIONS).forward == Layout(8, left=True)
    assert len(timed) == 2
    records._known.clear()  # as in another process
    assert planned(SIZES, *OPTIONS) == plan
    assert len(timed) == 2
    assert measuring.exists()


@pytest.mark.parametrize("options", [(True, False, False), (False, 2, False), (False, False, True)], ids=str)
def test_options_of_the_user_are_not_measured(measuring, timed, options):
    assert planned(SIZES, *options) == choose(SIZES, *options)
    assert timed == []


def test_float8_and_disable_jit_follow_the_rules(measuring, timed):
    assert planned(SIZES._replace(itemsize=1), *OPTIONS) == choose(SIZES._replace(itemsize=1), *OPTIONS)
    with jax.disable_jit():
        assert planned(SIZES, *OPTIONS) == choose(SIZES, *OPTIONS)
    assert timed == []


def test_arrays_of_a_tournament_pass_a_transfer_guard(measuring, timed):
    with jax.transfer_guard("disallow"):
        assert planned(SIZES, *OPTIONS).forward == Layout(7, left=True)
    assert len(timed) == 2


@pytest.mark.usefixtures("measuring")
def test_a_tournament_runs_while_jax_traces(monkeypatch):
    monkeypatch.setattr(tournament, "CONTESTANTS", CONTESTANTS[:3])
    monkeypatch.setattr(tournament, "_MEASURED_S", 0.0)
    rng = np.random.default_rng(0)
    params = LSTMParams(rng.normal(size=(2, 12)), rng.normal(size=(3, 12)))
    x, zeros = rng.normal(size=(4, 5, 2)), State(*np.zeros((2, 4, 3)))
    sequence = jax.jit(jax.vmap(lambda x, state: lstm(params, x[None], state)[0], in_axes=(0, None)))(
        x, State(*(array[:1] for array in zeros))
    )
    (record,) = records._known.values()
    assert record["milliseconds"]["forward"].keys() <= {
        "rules",
        "projection_hoisted",
    }  # `loop` is what the rules choose
    assert all(0 < time < 1e4 for times in record["milliseconds"].values() for time in times.values())
    monkeypatch.delenv(records.VARIABLE)
    np.testing.assert_allclose(sequence[:, 0], lstm(params, x)[0], rtol=1e-12)
