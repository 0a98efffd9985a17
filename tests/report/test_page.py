import base64
import hashlib
import re

import pages
import pytest

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


def rows_of(data):
    """Return the cells of the compact data as (case, engine, dtype, quantity, verdict, share)."""
    text = data["texts"]
    return [
        (text[case], text[engine], text[dtype], text[values[0]], data["verdicts"][values[1]], (values + [0] * 9)[4])
        for run in data["runs"]
        for case, engine, _, dtype, _, _, _, cells in run["jobs"]
        for values in cells
    ]


def test_the_data_holds_every_cell():
    report = pages.every_verdict()
    assert rows_of(page_data({"": report})) == [
        (cell.case, cell.engine, cell.dtype, str(cell.quantity), cell.verdict, cell.comparison.share)
        for cell in report.cells
    ]


def test_jobs_of_two_kernels_stay_apart():
    (run,) = page_data({"": pages.report(pages.cell(kernel="a"), pages.cell(kernel="b"))})["runs"]
    assert len(run["jobs"]) == 2


@pytest.mark.parametrize("share", [float("inf"), float("-inf"), float("nan")], ids=str)
def test_a_number_that_is_not_finite_is_null(share):
    page = to_html({"": pages.report(pages.cell(verdict="diverges", share=share))})
    assert rows_of(pages.read_page(page)[2])[0][-1] is None


def test_every_verdict_has_a_letter_of_its_own_and_every_kind_a_column():
    assert tuple(LETTERS) == tuple(MEANING) == VERDICTS
    assert len(set(LETTERS.values())) == len(VERDICTS)
    assert sorted(kind for kinds in ASPECTS.values() for kind in kinds) == sorted(KINDS)
    assert len({aspect[0] for aspect in ASPECTS}) == len(ASPECTS)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_of_a_user_is_neither_markup_nor_invisible(text):
    harmless, _, _ = pages.read_page(to_html({"a.json": pages.report(pages.cell())}))
    report = pages.report(
        pages.cell(text, text, f"hidden:{text}", "diverges", message=text, explanation=text, kernel=text),
        environment={"multilstm": pages.__version__, text: {text: text}, "options": {"engines": [text]}},
        skipped={text: text},
        shortened={text: text},
        inputs=text,
        arguments=Arguments(model=text, weights=text),
        ledger={"x": {**pages.ROW, "title": text, "link": text}},
        idle_masks=(text,),
        judge=text,
    )
    page = to_html({text: report})
    tags, texts, data = pages.read_page(page)
    assert {tag for tag, _ in tags} <= {tag for tag, _ in harmless} | {"h3", "p", "dt", "dd"}
    assert [tag for tag, _ in tags].count("script") == 2
    assert {key for _, attributes in tags for key in attributes if key.startswith("on")} == set()
    shown = "".join(content for tag, content in texts if tag not in ("script", "style"))
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert all(char.isprintable() or char == "\n" for char in "".join(data["texts"]))
    (written,) = [content for tag, content in texts if tag == "script" and content.startswith("{")]
    assert not set(written) & set("<>&")  # `<!--` alone would make a browser skip the end of the element
    assert len(rows_of(data)) == 1


def test_the_policy_admits_exactly_the_style_and_the_script_of_the_page():
    page = to_html({"": pages.every_verdict()})
    tags, texts, _ = pages.read_page(page)
    (policy,) = [attributes["content"] for _, attributes in tags if "http-equiv" in attributes]
    sources = dict(part.split(" ", 1) for part in policy.split("; "))
    assert sources["default-src"] == sources["base-uri"] == sources["form-action"] == "'none'"
    style = "".join(text for tag, text in texts if tag == "style")
    (script,) = [text for tag, text in texts if tag == "script" and not text.startswith("{")]
    for name, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert sources[name] == f"'sha256-{digest}'"


def test_the_page_needs_no_network_and_no_inline_style():
    tags, _, _ = pages.read_page(to_html({"": pages.every_verdict()}))
    for tag, attributes in tags:
        assert not {"src", "style", "srcset"} & set(attributes)
        assert tag != "link"
        assert attributes.get("href", "#").startswith("#")


def test_the_script_sets_no_markup():
    page = to_html({"": pages.every_verdict()})
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert name not in page
    assert len(SCRIPTS) == 3


def test_the_page_shows_verdict_skipped_engines_known_rows_and_environment_without_its_script():
    report = pages.every_verdict()
    _, texts, _ = pages.read_page(to_html({"a.json": report}))
    shown = "\n".join(text for tag, text in texts if tag not in ("script", "style"))
    for sentence in report.sentences:
        assert sentence in shown
    for text in ("torch is not installed", pages.ROW["title"], pages.ROW["advice"], pages.__version__, "half of it"):
        assert text in shown
    assert "a.json" not in shown  # one report needs no name


def test_several_reports_of_one_version_stand_together():
    first, second = pages.report(pages.cell()), pages.report(pages.cell(verdict="diverges"))
    _, texts, data = pages.read_page(to_html({"a.json": first, "b.json": second}))
    shown = "\n".join(text for _, text in texts)
    assert [run["name"] for run in data["runs"]] == ["a.json", "b.json"]
    assert first.sentence in shown
    assert second.sentence in shown


def test_reports_of_two_versions_are_refused():
    other = pages.report(pages.cell(), environment={"multilstm": "0.0.1"})
    with pytest.raises(InputError, match=r"of multilstm 0\.0\.1, .*; one page shows reports of one version"):
        to_html({"a.json": pages.report(pages.cell()), "b.json": other})


def test_a_report_of_another_version_has_no_reasons_of_this_one():
    (old,) = page_data({"": pages.report(pages.cell(), environment={"multilstm": "0.0.1"})})["runs"]
    data = page_data({"": pages.report(pages.cell())})
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
    environment = {"multilstm": pages.__version__, "options": {**pages.OPTIONS, **options}}
    (run,) = page_data({"": pages.report(pages.cell(), arguments=arguments, environment=environment)})["runs"]
    assert run["command"] == line
    assert run["model"] == (arguments is not None and arguments.model is not None)


@pytest.mark.parametrize("environment", [{}, {"options": None}, {"options": [1]}, {"multilstm": ["x"]}], ids=repr)
def test_a_foreign_environment_is_shown_and_nothing_more(environment):
    assert "<dl>" in to_html({"": pages.report(pages.cell(), environment=environment)})


def test_an_empty_report_is_a_page():
    _, texts, data = pages.read_page(to_html({"": pages.report(skipped={"keras-jax": "jax is not installed"})}))
    assert data["runs"][0]["jobs"] == []
    assert any("Nothing was compared (keras-jax: jax is not installed)" in text for _, text in texts)


def test_11_000_cells_of_1_000_cases_fit_into_1_mb():
    cells = [
        pages.cell(f"sweep-option-{case}-of-this-catalogue", engine, quantity, share=0.123456 / (case + 1))
        for case in range(1000)
        for engine in pages.ENGINES
        for quantity in ("output", "sequence:lstm", "hidden:lstm", "cell:lstm")
    ]
    page = to_html({"": pages.report(*cells[:11_000])})
    assert len(page.encode()) < 1_000_000


def test_the_script_is_small():
    page = to_html({"": pages.report()})
    script = re.search(r'<script>"use strict.*?</script>', page, re.DOTALL)
    assert script
    assert len(script[0]) < 30_000
