import base64
import hashlib
import re

import pytest
import small_reports
from catalogue_report import catalogue_report

from multilstm.compare import VERDICTS
from multilstm.compare.quantity import KINDS
from multilstm.errors import InputError
from multilstm.report.arguments import Arguments
from multilstm.report.html import SCRIPTS, to_html
from multilstm.report.page_data import page_data
from multilstm.report.words import ASPECTS, LETTERS, MEANING

HOSTILE = {
    "script": "</script><script>alert(1)</script>",
    "comment": "<!--<script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "entity": "&lt;b&gt;&#x202e;",
    "control": "a\x00b\x1b[31mc\x07",
    "direction": "user\u202egnp.exe\u2066",
    "separator": "a\u2028b\u2029c",
    "placeholder": "$data ${script} $$",
    "surrogate": "a\ud800b",
    "long": "x" * 10_000,
}


def lines_of(data):
    """Return the lines of the compact data as (case, engine, dtype, quantities, verdict, share)."""
    text, groups, layouts = data["texts"], data["groups"], data["layouts"]
    lines = []
    for run in data["runs"]:
        for case, _, dtype, _, _, *jobs in run["rows"]:
            for engine, _, _, layout, *values in jobs:
                names = (text[case], text[engine], text[dtype])
                places = layouts[layout]
                count = len(places) // 3
                sums = [(*places[3 * index : 3 * index + 2], values[3 * index]) for index in range(count)]
                facts = [(*line[:2], (line + [0] * 9)[4]) for line in values[3 * count :]]
                for group, verdict, share in (*sums, *facts):
                    kind, *where = groups[group]
                    quantities = [":".join(filter(None, (text[kind], text[place]))) for place in where]
                    lines.append((*names, quantities, data["verdicts"][verdict], share))
    return lines


def line_of(cell, *quantities, share=None):
    names = list(quantities) or [str(cell.quantity)]
    return (cell.case, cell.engine, cell.dtype, names, cell.verdict, share or cell.comparison.share)


def test_the_data_holds_every_cell():
    report = small_reports.every_verdict()
    lines = lines_of(page_data({"": report}))
    assert sorted(lines) == sorted(map(line_of, report.cells))


def test_agreeing_quantities_of_a_kind_are_one_line_with_the_weakest_verdict_and_the_largest_share():
    names = ("hidden:a", "hidden:b", "hidden:c")
    cells = [
        small_reports.cell(quantity=names[0], verdict="bitwise", share=0.0),
        small_reports.cell(quantity=names[1], verdict="within", share=0.1234),
        small_reports.cell(quantity=names[2], verdict="rounded", share=0.01),
    ]
    data = page_data({"": small_reports.report(*cells, small_reports.cell(quantity="cell:a"))})
    assert lines_of(data) == [line_of(cells[1], *names, share=0.12), line_of(small_reports.cell(quantity="cell:a"))]
    (row,) = data["runs"][0]["rows"]
    assert row[5][4:7] == [0.12, 1.2e-7, 1]  # of the second, which has the largest share


@pytest.mark.parametrize(
    "facts", [{"verdict": "known"}, {"verdict": "diverges"}, {"response": 1e-7}], ids=["known", "diverges", "response"]
)
def test_a_quantity_that_differs_or_has_a_widened_tolerance_keeps_a_line_of_its_own(facts):
    cells = [small_reports.cell(quantity="hidden:a"), small_reports.cell(quantity="hidden:b", share=0.1234567, **facts)]
    assert lines_of(page_data({"": small_reports.report(*cells)})) == [
        line_of(cells[0]),
        line_of(cells[1], share=0.123),
    ]


def test_the_quantities_of_a_job_that_did_not_run_are_one_line_of_each_kind():
    names = ("hidden:a", "hidden:b", "cell:a")
    facts = {"verdict": "unsupported", "share": None, "message": "no such layer"}
    cells = [small_reports.cell(quantity=name, **facts) for name in names]
    assert lines_of(page_data({"": small_reports.report(*cells)})) == [line_of(cells[0], *names[:2]), line_of(cells[2])]


def test_the_texts_of_equal_jobs_stand_once():
    cells = [small_reports.cell(f"case-{number}", engine) for number in range(50) for engine in small_reports.ENGINES]
    data = page_data({"": small_reports.report(*cells)})
    assert (len(data["groups"]), len(data["layouts"])) == (1, 1)
    assert len(data["texts"]) == len(set(data["texts"]))


def test_parts_and_kernels_stay_apart():
    kernels = [small_reports.cell(kernel="a"), small_reports.cell(kernel="b")]
    parts = [small_reports.cell(quantity="loss", part="program"), small_reports.cell(part="forward")]
    for cells in (kernels, parts):
        (row,) = page_data({"": small_reports.report(*cells)})["runs"][0]["rows"]
        assert len(row[5:]) == 2


@pytest.mark.parametrize("share", [float("inf"), float("-inf"), float("nan")], ids=str)
def test_a_number_that_is_not_finite_is_null(share):
    page = to_html({"": small_reports.report(small_reports.cell(verdict="diverges", share=share))})
    assert lines_of(small_reports.read_page(page)[2])[0][-1] is None


def test_every_verdict_has_a_letter_of_its_own_and_every_kind_a_column():
    assert tuple(LETTERS) == tuple(MEANING) == VERDICTS
    assert len(set(LETTERS.values())) == len(VERDICTS)
    assert sorted(kind for kinds in ASPECTS.values() for kind in kinds) == sorted(KINDS)
    assert len({aspect[0] for aspect in ASPECTS}) == len(ASPECTS)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_of_a_user_is_neither_markup_nor_invisible(text):
    harmless, _, _ = small_reports.read_page(to_html({"a.json": small_reports.report(small_reports.cell())}))
    report = small_reports.report(
        small_reports.cell(text, text, f"hidden:{text}", "diverges", message=text, explanation=text, kernel=text),
        environment={"multilstm": small_reports.__version__, text: {text: text}, "options": {"engines": [text]}},
        skipped={text: text},
        shortened={text: text},
        inputs=text,
        arguments=Arguments(model=text, weights=text),
        ledger={"x": {**small_reports.ROW, "title": text, "link": text}},
        idle_masks=(text,),
        judge=text,
    )
    page = to_html({text: report})
    tags, texts, data = small_reports.read_page(page)
    assert {tag for tag, _ in tags} <= {tag for tag, _ in harmless} | {"h3", "p", "dt", "dd"}
    assert [tag for tag, _ in tags].count("script") == 2
    assert {key for _, attributes in tags for key in attributes if key.startswith("on")} == set()
    shown = "".join(content for tag, content in texts if tag not in ("script", "style"))
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert all(char.isprintable() or char == "\n" for char in "".join(data["texts"]))
    (written,) = [content for tag, content in texts if tag == "script" and " " not in content]
    assert not set(written) & set("<>&")  # `<!--` alone would make a browser skip the end of the element
    assert len(lines_of(data)) == 1


def test_the_policy_admits_exactly_the_style_and_the_script_of_the_page():
    page = to_html({"": small_reports.every_verdict()})
    tags, texts, _ = small_reports.read_page(page)
    (policy,) = [attributes["content"] for _, attributes in tags if "http-equiv" in attributes]
    sources = dict(part.split(" ", 1) for part in policy.split("; "))
    assert sources["default-src"] == sources["base-uri"] == sources["form-action"] == "'none'"
    style = "".join(text for tag, text in texts if tag == "style")
    (script,) = [text for tag, text in texts if tag == "script" and " " in text]
    for name, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert sources[name] == f"'sha256-{digest}'"


def test_the_page_needs_no_network_and_no_inline_style():
    tags, _, _ = small_reports.read_page(to_html({"": small_reports.every_verdict()}))
    for tag, attributes in tags:
        assert not {"src", "style", "srcset"} & set(attributes)
        assert tag != "link"
        assert attributes.get("href", "#").startswith("#")


def test_the_script_sets_no_markup():
    page = to_html({"": small_reports.every_verdict()})
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert name not in page
    assert len(SCRIPTS) == 3


def test_the_page_shows_verdict_skipped_engines_known_rows_and_environment_without_its_script():
    report = small_reports.every_verdict()
    _, texts, _ = small_reports.read_page(to_html({"a.json": report}))
    shown = "\n".join(text for tag, text in texts if tag not in ("script", "style"))
    for sentence in report.sentences:
        assert sentence in shown
    for text in (
        "torch is not installed",
        small_reports.ROW["title"],
        small_reports.ROW["advice"],
        small_reports.__version__,
        "half of it",
    ):
        assert text in shown
    assert "a.json" not in shown  # one report needs no name


def test_several_reports_of_one_version_stand_together():
    first, second = (
        small_reports.report(small_reports.cell()),
        small_reports.report(small_reports.cell(verdict="diverges")),
    )
    _, texts, data = small_reports.read_page(to_html({"a.json": first, "b.json": second}))
    shown = "\n".join(text for _, text in texts)
    assert [run["name"] for run in data["runs"]] == ["a.json", "b.json"]
    assert first.sentence in shown
    assert second.sentence in shown


def test_reports_of_two_versions_are_refused():
    other = small_reports.report(small_reports.cell(), environment={"multilstm": "0.0.1"})
    with pytest.raises(InputError, match=r"of multilstm 0\.0\.1, .*; one page shows reports of one version"):
        to_html({"a.json": small_reports.report(small_reports.cell()), "b.json": other})


def test_a_report_of_another_version_has_no_reasons_of_this_one():
    (old,) = page_data({"": small_reports.report(small_reports.cell(), environment={"multilstm": "0.0.1"})})["runs"]
    data = page_data({"": small_reports.report(small_reports.cell())})
    assert old["reasons"] == {}
    assert "8 eps" in data["texts"][data["runs"][0]["reasons"]["float32/cpu/hidden"]]


COMMANDS = {
    "catalogue": (Arguments(full=True), {}, "multilstm parity --full"),
    "model": (
        Arguments(model="my model.keras", batch=2, inputs="x.npz"), {},
        "multilstm parity 'my model.keras' --inputs x.npz --batch 2",
    ),
    "tolerances": (Arguments(), {"atol": 2.0, "rtol": 1e-3}, "multilstm parity --atol 2 --any-tolerance --rtol 0.001"),
    "python": (None, {}, ""),
    "injection": (Arguments(model="x; rm -rf ~"), {}, "multilstm parity 'x; rm -rf ~'"),
    "invisible": (Arguments(model="a\u202eb"), {}, ""),
    "line": (Arguments(model="a\nb"), {}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "options", "line"), COMMANDS.values(), ids=COMMANDS)
def test_the_command_repeats_the_run(arguments, options, line):
    environment = {"multilstm": small_reports.__version__, "options": {**small_reports.OPTIONS, **options}}
    (run,) = page_data({"": small_reports.report(small_reports.cell(), arguments=arguments, environment=environment)})[
        "runs"
    ]
    assert run["command"] == line
    assert run["model"] == (arguments is not None and arguments.model is not None)


@pytest.mark.parametrize("environment", [{}, {"options": None}, {"options": [1]}, {"multilstm": ["x"]}], ids=repr)
def test_a_foreign_environment_is_shown_and_nothing_more(environment):
    assert "<dl>" in to_html({"": small_reports.report(small_reports.cell(), environment=environment)})


def test_an_empty_report_is_a_page():
    _, texts, data = small_reports.read_page(
        to_html({"": small_reports.report(skipped={"keras-jax": "jax is not installed"})})
    )
    assert data["runs"][0]["rows"] == []
    assert any("Nothing was compared (keras-jax: jax is not installed)" in text for _, text in texts)


def test_the_page_of_the_whole_catalogue_has_less_than_1_mb():
    """The report has the jobs and quantities of a real run of five engines; see `catalogue_report`."""
    report = catalogue_report()
    assert len(report.cells) > 200_000
    assert len(report.to_html().encode()) < 1_000_000


def test_the_script_is_small():
    page = to_html({"": small_reports.report()})
    script = re.search(r'<script type="module">.*?</script>', page, re.DOTALL)
    assert script
    assert len(script[0]) < 30_000
