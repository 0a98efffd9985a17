"""Reports of several machines as one: those that are merged, those that are apart, and the remarks."""

import dataclasses

import pytest
import small_reports

from multilstm.cli.app import app
from multilstm.report.merging import merged
from multilstm.report.terminal import to_text
from multilstm.version import __version__

pytestmark = pytest.mark.unit
ONE, TWO = "1" * 64, "2" * 64


def cell(case, engine, verdict="within", digest=ONE, **more):
    return dataclasses.replace(small_reports.cell(case, engine, verdict=verdict, **more), part="forward", digest=digest)


def report(*cells, keras="3.15.1", processor="a processor", version=__version__, remarks=(), **options):
    engines = list(dict.fromkeys(made.engine for made in cells))
    versions = {"keras": keras, "numpy": "2.4.6"}
    return small_reports.report(
        *cells,
        environment={
            "multilstm": version,
            "processor": processor,
            "versions": versions,
            "options": {"engines": engines, "dtypes": ["float32"], "atol": None, **options},
            "engines": {engine: {"versions": versions} for engine in engines},
        },
        cases=tuple(dict.fromkeys(made.case for made in cells)),
        remarks=remarks,
    )


def the_one(*reports):
    together = merged(dict(zip(("a.json", "b.json", "c.json"), reports, strict=False)))
    assert len(together) == 1
    return next(iter(together.values()))


def test_engines_of_two_machines_are_one_report():
    first = report(cell("seed1-a", "keras-jax"), cell("seed2-b", "keras-jax"))
    second = report(cell("seed2-b", "keras-torch"), cell("seed1-a", "keras-torch"), processor="another one")
    one = the_one(first, second)
    assert one.engines == ("keras-jax", "keras-torch")
    assert [(made.case, made.engine) for made in one.cells] == [
        ("seed1-a", "keras-jax"), ("seed1-a", "keras-torch"), ("seed2-b", "keras-jax"), ("seed2-b", "keras-torch"),
    ]  # fmt: skip
    assert one.remarks == ()
    assert one.environment["files"] == {"a.json": {"processor": "a processor"}, "b.json": {"processor": "another one"}}
    assert one.environment["options"]["engines"] == ["keras-jax", "keras-torch"]
    assert one.sentence.startswith("Same answers on keras-jax, keras-torch: 4 quantities")


def test_a_single_report_is_as_it_was():
    first = report(cell("seed1-a", "keras-jax"))
    assert merged({"a.json": first}) == {"a.json": first}


def test_two_versions_of_one_engine_are_two_rows_named_after_their_files():
    one = the_one(
        report(cell("seed1-a", "keras-jax"), keras="3.14.1"), report(cell("seed1-a", "keras-jax", "diverges"))
    )
    assert one.engines == ("keras-jax@a", "keras-jax@b")
    assert [made.verdict for made in one.cells] == ["within", "diverges"]
    text = to_text(one)
    assert "versions keras-jax@a: keras 3.14.1" in text
    assert "versions keras-jax@b: keras 3.15.1" in text


def test_a_skipped_engine_that_another_machine_has_is_not_skipped():
    first = dataclasses.replace(report(cell("seed1-a", "keras-jax")), skipped={"keras-torch": "no torch", "x": "no x"})
    assert the_one(first, report(cell("seed1-a", "keras-torch"))).skipped == {"x": "no x"}


def test_jobs_that_two_machines_have_are_compared():
    first = report(cell("seed1-a", "keras-jax", "bitwise"), cell("seed2-b", "keras-jax"))
    second = report(cell("seed1-a", "keras-jax"), cell("seed2-b", "keras-jax", "diverges"), processor="another one")
    one = the_one(first, second)
    assert one.remarks == (
        "Twice, with the same verdicts: 1 job (keras-jax seed1-a float32 forward).",
        "Contradictory, the weaker one is shown: 1 job (keras-jax seed2-b float32 forward: hidden:lstm within in "
        "a.json, diverges in b.json).",
    )
    assert [made.verdict for made in one.cells] == ["bitwise", "diverges"]


def test_a_gap_is_named():
    one = the_one(
        report(cell("seed1-a", "keras-jax"), cell("seed2-b", "keras-jax")), report(cell("seed1-a", "keras-torch"))
    )
    assert one.remarks == ("Gap: keras-torch lacks 1 case (seed2-b float32) that another engine has.",)


def test_a_killed_run_is_merged_and_named():
    killed = report(cell("seed1-a", "keras-jax"), remarks=("The run did not end: it recorded 1 of 9 jobs.",))
    one = the_one(killed, report(cell("seed1-a", "keras-torch")))
    assert one.remarks == ("a.json: The run did not end: it recorded 1 of 9 jobs.",)


APART = {
    "inputs": (
        report(cell("seed1-a", "keras-torch", digest=TWO)),
        "another model, inputs or weights in 1 part",
    ),
    "no_digest": (report(cell("seed1-a", "keras-torch", digest="")), "but not the digests of their inputs"),
    "version": (report(cell("seed1-a", "keras-torch"), version="0.0.1"), f"a.json is of multilstm {__version__}, this"),
    "tolerance": (report(cell("seed1-a", "keras-torch"), atol=0.1), "a.json has other tolerances"),
    "judge": (
        dataclasses.replace(report(cell("seed1-a", "keras-torch")), judge="saved answers"),
        "was compared with the float64 reference, this report with saved answers",
    ),
    "other_parts": (
        report(dataclasses.replace(cell("seed1-a", "keras-torch"), part="program")),
        "have no part in common of 1 case (seed1-a)",
    ),
}


@pytest.mark.parametrize(("second", "reason"), APART.values(), ids=APART)
def test_what_may_not_be_merged_is_apart_with_its_reason(second, reason):
    first = report(cell("seed1-a", "keras-jax"))
    apart = merged({"a.json": first, "b.json": second})
    assert list(apart) == ["a.json", "b.json"]
    assert apart["a.json"] == first
    (remark,) = apart["b.json"].remarks
    assert remark.startswith("Not merged: ")
    assert reason in remark


def test_the_command_merges_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, engine in (("a.json", "keras-jax"), ("b.json", "keras-torch")):
        (tmp_path / name).write_text(report(cell("seed1-a", engine)).to_json())
    arguments = ("report", "a.json", "b.json")
    assert app(arguments, exit_on_error=False, result_action="return_value") == 0
    assert capsys.readouterr().out.startswith("Same answers on keras-jax, keras-torch: 2 quantities")
    assert app((*arguments, "--html", "x.html"), exit_on_error=False, result_action="return_value") == 0
    _, _, data = small_reports.read_page((tmp_path / "x.html").read_text())
    assert [run["engines"] for run in data["runs"]] == [["keras-jax", "keras-torch"]]
