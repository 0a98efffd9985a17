"""The answer, the tables, the comparison and the growth of a run, without a measurement."""

import dataclasses
import io

import bench_results as made
import pytest
from rich.console import Console

from multilstm.bench.answer import reasons, remarks, sentence
from multilstm.bench.comparison import changes, different_conditions, gaps, slower_than
from multilstm.bench.results import Contestant, PublishedRow, Row
from multilstm.bench.standing import BEST_KERAS, exponents, is_clear, leads, ratio, relative_times, standing
from multilstm.bench.table import missing, show, show_changes


def printed(function, *arguments):
    console = Console(width=80, file=io.StringIO())
    function(*arguments, console)
    return console.file.getvalue()


def test_the_answer_is_one_sentence():
    assert sentence(made.usual()) == (
        "For this model on this machine: jax-scan in the forward pass, 1.6 times as fast as keras-jax, 4.1 times as "
        "fast as keras-torch; jax-scan in a training step, 1.6 times as fast as keras-jax; answers agree to 1e-7."
    )
    assert [line.split(";")[0] for line in remarks(made.usual())] == ["trained weights agree to 1e-7"]


@pytest.mark.parametrize(
    ("others", "answer"),
    [
        ({"b": 0.00102}, "a in the forward pass, 1.02 times as fast as b"),
        ({"b": 0.00101}, "no clear winner in the forward pass among a and b"),
        ({"b": 0.0012}, "a in the forward pass, 1.2 times as fast as b"),
        ({"b": 0.001, "c": 0.002}, "no clear winner in the forward pass among a and b; a is 2.0 times as fast as c"),
    ],
    ids=["apart", "touching", "far", "two_of_three"],
)
def test_the_winner_is_clear_if_the_middle_halves_are_apart(others, answer):
    rows = [made.row("small 4x10", "forward", engine, s) for engine, s in ({"a": 0.001} | others).items()]
    for row in rows:  # samples of 0.99, 1 and 1.01 times the median have quartiles of 0.995 and 1.005 times it
        row.samples = [[row.median_s * factor for factor in (0.99, 1.0, 1.01)]]
    assert sentence(made.result(rows)).startswith(f"For this model on this machine: {answer}; answers agree")


def test_the_quartiles_are_those_of_the_pass_that_both_rows_have():
    rows = [made.row("small 4x10", "forward", engine, seconds) for engine, seconds in (("a", 0.001), ("b", 0.002))]
    run = made.result(rows)
    assert is_clear(run, "forward", "a", "b")
    rows[0].repeated = [[0.0001, 0.9, 0.9]]  # the second pass of one row alone
    assert is_clear(run, "forward", "a", "b")
    rows[1].repeated = [[0.1, 0.1, 0.1]]
    assert not is_clear(run, "forward", "a", "b")


def test_one_noisy_workload_of_a_grid_leaves_the_winner_open():
    rows = [made.row(name, "forward", engine, s) for name in "ab" for engine, s in (("x", 0.001), ("y", 0.0012))]
    run = made.result(rows, ("a", "b"))
    assert is_clear(run, "forward", "x", "y")
    rows[0].samples = [[0.001, 0.0015, 0.0015]]
    assert not is_clear(run, "forward", "x", "y")


@pytest.mark.parametrize(("seconds", "count"), [(0.0005, 1), (0.002, 0)], ids=["faster", "slower"])
def test_a_faster_engine_that_lacks_a_workload_is_a_remark(seconds, count):
    rows = [made.row(name, "forward", "jax-scan", 0.001) for name in ("a", "b")]
    run = made.result([*rows, made.row("a", "forward", "torch-lstm", seconds)], ("a", "b"))
    assert sentence(run).startswith("For this model on this machine: jax-scan in the forward pass; answers agree")
    expected = "torch-lstm takes 0.50 of the time of jax-scan in the forward pass on 1 of 2 workloads"
    assert [line.split(";")[0] for line in remarks(run)] == [expected] * count


def test_a_busy_machine_is_a_remark():
    run = made.result([made.row("small 4x10", "forward", "jax-scan", 0.001)], method={"largest_spread": 0.001})
    assert list(remarks(run)) == ["1 of 1 rows spread by more than 0 %: the machine was busy"]


def test_the_answer_of_an_interrupted_run_and_of_an_empty_one():
    assert sentence(made.usual(interrupted=True)).endswith(" The run was interrupted.")
    assert sentence(made.result([])) == "For this model on this machine: nothing was timed."
    assert sentence(made.usual(model="", grid="quick")).startswith("For 1 workloads on this machine: ")


def test_slow_engines_have_their_reason():
    lines = reasons(made.usual())
    assert lines == ["keras-torch: a Python loop over the timesteps; each timestep dispatches its operators one by one"]


def test_a_mask_without_cudnn_is_a_reason_on_a_gpu():
    run = made.usual(device="gpu")
    run.workloads["small 4x10"].masked = True
    assert "keras-jax: no cuDNN, because a mask reaches its recurrent layers" in reasons(run)


@pytest.mark.parametrize(("mode", "count"), [("forward", 0), ("gradient", 1), ("train", 1)])
def test_the_square_of_the_timesteps_is_a_reason_in_training(mode, count):
    loop = "python loop (Keras, fused cell)"
    rows = [made.row("small 4x10", mode, engine, s, implementation=loop) for engine, s in (("a", 0.1), ("b", 1.0))]
    lines = reasons(made.result(rows))
    assert (
        sum("b: the gradient of each timestep fills a tensor of the whole sequence" in line for line in lines) == count
    )


def test_the_share_outside_of_the_compiled_call_is_a_reason():
    rows = [
        made.row("small 4x10", mode, engine, seconds)
        for mode, engine, seconds in (
            ("forward", "keras-jax", 0.001), ("predict", "keras-jax", 0.04), ("predict", "jax-scan", 0.005),
        )
    ]  # fmt: skip
    assert reasons(made.result(rows)) == ["keras-jax: 90 % of predict is outside of the compiled call forward"]


def test_the_table_has_at_most_80_columns_and_names_what_was_not_timed():
    text = printed(show, made.usual(skipped={"flax": "needs flax"}))
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("For this model on this machine: jax-scan")
    line = next(line for line in text.splitlines() if line.startswith("keras-jax"))
    assert line.split()[:6] == ["keras-jax", "1.60", "1.58", "1.59", "1.61", "1.6"]
    words = " ".join(text.split())
    assert "not timed: keras-torch: its answer is 12 times the tolerance away (small 4x10 train)" in words
    assert "skipped flax: needs flax" in text
    assert (
        words.count("x: time divided by the smallest one")
        == words.count("first s: seconds to trace, compile and call once")
        == 1
    )


def test_a_reason_that_begins_with_the_name_of_its_engine_has_the_name_once():
    run = made.usual(skipped={"flax": "flax: no masks"})
    run.rows[2].fail("keras-torch: no masks")
    assert missing(run)[0] == "not timed: keras-torch: no masks (small 4x10 forward)"
    assert missing(run)[-1] == "skipped flax: no masks"


def test_a_grid_is_a_table_of_ratios_with_published_times():
    names = ("a", "b")
    rows = [made.row(name, "forward", "jax-scan", 0.001) for name in names]
    rows += [made.row("a", "forward", "flax", 0.002), made.row("b", "forward", "flax", 0.0005)]
    run = made.result(rows, names, model="", grid="quick")
    run.workloads["a"].published.append(made.PUBLISHED)
    text = printed(show, run)
    assert "geometric mean" in text
    assert "other columns: time of an engine divided by it" in " ".join(text.split())
    assert next(line for line in text.splitlines() if line.startswith("b ")).split() == ["b", "1.00", "0.50"]
    assert next(line for line in text.splitlines() if "GTX 1080" in line).split()[-2:] == ["10.0", "1.00"]


def test_a_ratio_divides_medians_of_one_pass():
    base, once, twice = (
        Row("a", "jax-scan", "forward", [[1.0]], repeated=[[2.0]]),
        Row("a", "once", "forward", [[3.0]]),
        Row("a", "twice", "forward", [[5.0]], repeated=[[8.0]]),
    )
    assert ratio(once, base) == 3.0
    assert ratio(twice, base) == 4.0
    times = relative_times(made.result([base, once, twice], ("a",)), "a", "forward")
    assert times == {"jax-scan": 1.0, "once": 3.0, "twice": 4.0}


def test_an_engine_that_lacks_a_workload_has_no_place():
    rows = [made.row("a", "forward", "jax-scan", 1.0), made.row("b", "forward", "jax-scan", 1.0)]
    run = made.result([*rows, made.row("a", "forward", "fast", 0.5)], ("a", "b"))
    assert [place.engine for place in standing(run, "forward")] == ["jax-scan"]


def test_exponents_of_two_sizes():
    rows, workloads = [], {}
    for batch in (1, 8, 64):
        for timesteps in (10, 100):
            name = f"m {batch}x{timesteps}"
            workloads[name] = made.facts(batch, timesteps)
            rows.append(made.row(name, "forward", "jax-scan", 1e-6 * batch**0.5 * timesteps))
    (fit,) = exponents(dataclasses.replace(made.result(rows), workloads=workloads))
    assert fit.exponents == {"batch": pytest.approx(0.5), "timesteps": pytest.approx(1.0)}
    assert exponents(made.usual()) == []


def test_a_row_is_slower_if_the_middle_halves_are_apart():
    old, new = made.usual(), made.usual()
    new.rows[0] = made.row("small 4x10", "forward", "jax-scan", 0.0012)
    new.rows[1] = made.row("small 4x10", "forward", "keras-jax", 0.00161)
    found = changes(old, new)
    assert [(change.new.engine, change.word) for change in found][:1] == [("jax-scan", "slower")]
    assert {change.word for change in found[1:]} == {"same"}
    assert len(slower_than(found, 10)) == 1
    assert slower_than(found, 25) == []
    assert "1.20 slower" in printed(show_changes, found, [], ["cores: 2 then, 4 now"])


def test_different_conditions_are_named():
    old, new = made.usual(), made.usual(dtype="float64")
    new.environment = {**new.environment, "cores": 4, "versions": {"jax": "2", "torch": "3"}}
    assert different_conditions(old, new) == [
        "dtype: float32 then, float64 now", "cores: 2 then, 4 now", "jax: 1 then, 2 now", "torch: None then, 3 now",
    ]  # fmt: skip


FACTS = {"batch": 64, "timesteps": 99, "parameters": 7, "optimizer": "SGD", "masked": True, "spec": "b"}


@pytest.mark.parametrize("name", FACTS)
def test_another_workload_of_the_same_name_is_not_compared(name):
    old, new = made.usual(), made.usual()
    setattr(new.workloads["small 4x10"], name, FACTS[name])
    assert changes(old, new) == []
    assert {gap.row.place for gap in gaps(old, new)} == {row.place for row in old.timed}
    text = " ".join(printed(show_changes, [], gaps(old, new), []).split())
    assert f"not compared: another computation of the same name: {name} " in text


def test_a_run_from_before_the_digest_of_the_spec_is_compared():
    old, new = made.usual(), made.usual()
    old.workloads["small 4x10"].spec = ""
    assert len(changes(old, new)) == len(old.timed)


def test_an_engine_that_fails_now_is_a_gap_and_a_failure():
    old, new = made.usual(), made.usual()
    new.rows[0].fail("its answer is 9 times the tolerance away")
    new.rows.remove(new.rows[1])
    assert [(gap.row.engine, gap.is_failure) for gap in gaps(old, new)] == [("jax-scan", True), ("keras-jax", False)]
    assert "9 times the tolerance" in printed(show_changes, [], gaps(old, new), [])


def test_an_engine_that_cannot_run_now_is_a_failure():
    old, new = made.usual(), made.usual(skipped={"keras-jax": "needs keras"})
    new.rows = [row for row in new.rows if row.engine != "keras-jax"]
    assert [(gap.row.engine, gap.is_failure) for gap in gaps(old, new)] == [("keras-jax", True)] * 2
    assert "it cannot run now: needs keras" in " ".join(printed(show_changes, [], gaps(old, new), []).split())


def test_other_kernels_switches_and_methods_are_conditions():
    old, new = made.usual(), made.usual(method={"largest_spread": 0.2})
    new.rows[0].implementation = "a Python loop"
    new.contestants = {"jax-scan": Contestant({"jax": "1"}, {"threads": "1"})}
    new.environment = {**new.environment, "gpu": ["H200"]}
    assert different_conditions(old, new) == [
        "method: largest_spread: 0.1 then, 0.2 now",
        "jax-scan: switches: threads: 2 then, 1 now",
        "kernel of small 4x10/forward/jax-scan: XLA's loop then, a Python loop now",
        "gpu: None then, H200 now",
    ]


def test_leads_are_the_times_of_others_divided_by_ours():
    times = {"a": {"jax-scan": 1.0, "jax-scan-tuned": 0.5, "keras-jax": 2.0}, "b": {"jax-scan": 4.0, "keras-jax": 2.0}}
    rows = [
        made.row(workload, "forward", engine, seconds)
        for workload, of_workload in times.items()
        for engine, seconds in of_workload.items()
    ]
    found = {(lead.ours, lead.other): lead for lead in leads(made.result(rows, ("a", "b")), "forward")}
    assert found.keys() == {
        ("jax-scan", "jax-scan-tuned"), ("jax-scan", "keras-jax"), ("jax-scan-tuned", "jax-scan"),
        ("jax-scan-tuned", "keras-jax"),
    }  # fmt: skip
    lead = found["jax-scan", "keras-jax"]
    assert (lead.mean, lead.worst) == pytest.approx((1.0, 0.5))
    assert (lead.where, lead.shapes) == ("b", 2)
    assert found["jax-scan-tuned", "jax-scan"][2:] == (pytest.approx(2.0), pytest.approx(2.0), "a", 1)


def test_the_best_of_keras_is_another_backend_at_each_workload():
    times = {
        "a": {"jax-scan": 1.0, "keras-jax": 4.0, "keras-torch": 3.0},
        "b": {"jax-scan": 1.0, "keras-jax": 3.0, "keras-torch": 9.0},
        "c": {"jax-scan": 1.0, "keras-jax": 3.0},
    }
    rows = [
        made.row(workload, "forward", engine, seconds)
        for workload, of_workload in times.items()
        for engine, seconds in of_workload.items()
    ]
    (best,) = [lead for lead in leads(made.result(rows, tuple(times)), "forward") if lead.other == BEST_KERAS]
    assert (best.mean, best.worst, best.shapes) == (pytest.approx(3.0), pytest.approx(3.0), 3)


@pytest.mark.parametrize("text", ["[/]", "[bold red]x", "\x1b[31mred", "a\u202eb"])
def test_texts_of_a_file_are_no_markup(text):
    rows = [made.row(text, "forward", engine, 0.1) for engine in (text, "jax-scan")]
    published = [PublishedRow("forward", 1.0, text, text, text)]
    result = made.result(rows, (text, "other"), contestants={text: Contestant({text: text}, {text: text})})
    result.workloads[text].published = published
    result.rows.append(made.row("other", "forward", text, 0.2))
    shown = printed(show, result)
    assert not set(shown) & set("\x1b\u202e")
    assert "\\x1b" in shown or "\\u202e" in shown or text in " ".join(shown.split())
