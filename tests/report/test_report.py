import dataclasses
import io
import json
import os

import pytest
from rich.console import Console

from multilstm.compare import Comparison, Quantity, Rounding
from multilstm.errors import InputError, ParityError
from multilstm.jobs.implementation import Implementation
from multilstm.report.cells import Cell, weakest
from multilstm.report.files import check_writable, write_text
from multilstm.report.report import Report
from multilstm.report.terminal import show


def cell(verdict="within", quantity="hidden:lstm", case="seed1-stateful", engine="jax-scan", dtype="float32", **more):
    comparison = Comparison(Quantity.parse(quantity), verdict, 1e-7, 0.1, 3, "1e-06", **more)
    return Cell(
        case=case, engine=engine, device="cpu", dtype=dtype, layers="portable", seconds=0.5,
        implementation=Implementation("lax.scan"), comparison=comparison,
    )  # fmt: skip


def text(report: Report, width=80, **options) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    show(report, console, **options)
    return console.export_text()


@pytest.mark.parametrize(
    ("verdicts", "agrees"),
    [
        (["equal", "bitwise", "rounded", "within"], True),
        (["within", "unsupported"], True),
        (["within", "known"], True),
        (["within", "diverges"], False),
        (["within", "error"], False),
        (["unsupported"], False),
        ([], False),
    ],
    ids=lambda value: "-".join(value) or "empty" if isinstance(value, list) else str(value),
)
def test_agrees(verdicts, agrees):
    report = Report(tuple(cell(verdict) for verdict in verdicts), {})
    assert report.agrees == agrees
    if agrees:
        report.check()
    else:
        with pytest.raises(ParityError):
            report.check()


def test_a_report_without_comparisons_names_the_skipped_engines():
    with pytest.raises(ParityError, match=r"Nothing was compared \(keras-jax: jax is not installed\)"):
        Report((), {}, {"keras-jax": "jax is not installed"}).check()


@pytest.mark.parametrize("named", [("torch-lstm",), ("jax-scan", "torch-lstm")], ids="+".join)
def test_the_check_fails_if_a_named_engine_executed_nothing(named):
    report = Report((cell(), cell("unsupported", engine="torch-lstm")), {}, named=named)
    assert report.agrees
    with pytest.raises(ParityError, match="torch-lstm executed nothing"):
        report.check()
    dataclasses.replace(report, named=("jax-scan",)).check()


def test_weakest_is_by_verdict_and_then_by_distance():
    cells = [cell("within"), cell("diverges"), cell("rounded")]
    assert weakest(cells) is cells[1]


def test_json_has_the_promised_fields_and_no_infinity():
    comparison = Comparison(
        Quantity("hidden", "lstm"), "diverges", float("inf"), float("inf"), None, "1e-06", message="worst"
    )
    made = Cell(
        case="case", engine="jax-scan", device="cpu", dtype="float32", layers="plain", seconds=0.5,
        implementation=Implementation("lax.scan"), comparison=comparison,
    )  # fmt: skip
    lines = [json.loads(line) for line in Report((made,), {"python": "3"}, seconds=2.0).to_json().splitlines()]
    assert [set(line) for line in lines] == [{"schema", "run"}, {"job"}, {"end"}]
    assert lines[0]["schema"] == 3
    assert lines[0]["run"]["environment"] == {"python": "3"}
    assert lines[2]["end"] == {
        "verdict": "Different answers: jax-scan (1 quantity). No quantity agrees.",
        "seconds": 2.0,
        "ledger": {},
    }
    cells = lines[1]["job"].pop("cells")
    assert lines[1]["job"] == {
        "case": "case",
        "engine": "jax-scan",
        "device": "cpu",
        "dtype": "float32",
        "layers": "plain",
        "part": "",
        "digest": "",
        "elapsed_s": 2.0,
        "quantities": 1,
    }
    assert cells[0] == {
        "quantity": "hidden:lstm", "verdict": "diverges", "max_abs": None, "share": None, "max_ulp": None,
        "tolerance": "1e-06", "response": 0.0, "seconds": 0.5, "implementation": "lax.scan", "message": "worst",
        "explanation": "", "known": [], "mismatch": None,
        "rounding": {"values": 0, "near": 0, "differing": 0},
    }  # fmt: skip


def test_rounding_is_summed():
    cells = tuple(cell("rounded", rounding=Rounding(10, 1, 0)) for _ in range(3))
    assert Report(cells, {}).rounding == Rounding(30, 3, 0)


ENGINES = ["keras-tensorflow", "keras-jax", "keras-torch", "jax-scan", "torch-lstm"]


@pytest.mark.parametrize("verdict", ["rounded", "diverges", "unsupported"])
def test_table_of_all_engines_fits_80_columns(verdict):
    kinds = ["parameter_count", "hidden:lstm", "gradient:lstm/kernel", "weights:program/lstm/kernel"]
    cells = tuple(cell(verdict, kind, engine=engine) for engine in ENGINES for kind in kinds)
    printed = text(Report(cells, {}))
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    for word in ("seed1", "forward", "gradient", "training", "tensorflow", verdict):  # the last in the legend too
        assert word in printed


def test_a_divergence_is_shown_with_its_place_and_names_are_not_markup():
    message = "hidden:[/bold]: 1 of 2 values differ by more than 1e-06; worst at [0, 1]: actual 1, desired 2"
    printed = text(Report((cell("diverges", message=message),), {}), width=200)
    assert message in printed
    assert "Different answers: jax-scan (1 quantity)." in printed


def test_an_error_shared_by_all_quantities_is_printed_once():
    cells = tuple(cell("error", f"hidden:lstm_{i}", message="engine 'jax-scan': RuntimeError: x") for i in range(5))
    printed = text(Report(cells, {}), width=200)
    assert printed.count("RuntimeError: x") == 1
    assert "(and 4 more)" in printed


def test_unsupported_cases_are_marked_and_counted():
    cells = (cell(engine="torch-lstm"), cell("unsupported", case="seed1-b", engine="torch-lstm"))
    printed = text(Report(cells, {}))
    assert "within*" in printed
    assert "without the cases that torch-lstm does not execute" in printed


def test_skipped_engines_and_shortened_cases_are_printed():
    shortened = {"seed1": "1/10 of it", "seed2": "half of it"}  # no engine could run seed2
    report = Report((cell(case="seed1"),), {}, {"keras-jax": "jax is not installed"}, shortened)
    printed = text(report, width=120)
    assert "skipped keras-jax: jax is not installed" in printed
    assert "shortened seed1: 1/10 of it (--full runs it whole)" in printed
    assert "seed2" not in printed


def test_file_is_written_whole(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    write_text(str(path), "new")
    assert path.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_its_target_is_written(tmp_path):
    target, link = tmp_path / "real.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    write_text(str(link), "new")
    assert link.is_symlink()
    assert target.read_text() == "new\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_device_or_pipe_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a folder or a device"):
        check_writable(str(tmp_path / "pipe"))


def test_control_characters_of_a_name_do_not_reach_the_terminal():
    message = "hidden:x\x1b[31m: worst at [0]"
    printed = text(Report((cell("diverges", case="\x1b[2Jcase", message=message),), {}), width=200)
    assert "\x1b" not in printed
    assert "\\x1b[2Jcase" in printed


@pytest.mark.parametrize("where", ["missing/report.json", "."], ids=["no_such_folder", "a_folder"])
def test_an_unwritable_path_is_refused_beforehand(tmp_path, where):
    with pytest.raises(InputError, match="cannot write"):
        check_writable(str(tmp_path / where))
    assert list(tmp_path.iterdir()) == []


def test_no_space_left_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_text(str(path), "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_explanation_is_printed_once_for_all_its_quantities():
    why = "semantics: first in LSTM 'lstm', timestep 0, gate f"
    names = ("hidden:lstm", "cell:lstm")
    report = Report(tuple(cell("diverges", name, message=f"{name}: far", explanation=why) for name in names), {})
    printed = text(report)
    assert printed.count("gate f") == 1
    assert all(f"{name}: far" in printed for name in names)
    with pytest.raises(ParityError, match="gate f"):
        report.check()


def test_implementations_on_a_gpu_are_listed_by_engine():
    ran = {"a": "cuDNN", "b": "python loop (Keras, fused cell)", "c": "cuDNN"}
    cells = [
        dataclasses.replace(
            cell(case=case, engine="keras-jax"), device="gpu", implementation=Implementation(kernel, "sizes")
        )
        for case, kernel in ran.items()
    ]
    shown = text(Report(tuple(cells), {}))
    assert "ran keras-jax: cuDNN: 2 cases (a, c)" in shown
    assert "ran keras-jax: python loop (Keras, fused cell): 1 case (b)" in shown
    assert "ran " not in text(Report((dataclasses.replace(cells[0], device="cpu"),), {}))


def test_a_report_has_no_truth_value():
    with pytest.raises(TypeError, match="neither true nor false: call check"):
        assert Report((), {})
