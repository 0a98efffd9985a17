"""The report for CI servers: JUnit XML, the summary in Markdown, and annotations of GitHub Actions."""

import html
import re
import shlex
import xml.etree.ElementTree as ET

import pytest
import small_reports
from markdown_it import MarkdownIt

from multilstm.report.annotations import annotation_lines
from multilstm.report.arguments import Arguments
from multilstm.report.command import repeating_command
from multilstm.report.junit import to_junit
from multilstm.report.markdown import to_markdown

HOSTILE = {
    "script": "</script><script>alert(1)</script>",
    "cdata": "]]></failure><testcase/>",
    "entity": "&lt;b&gt;&#x202e;&xxe;",
    "control": "a\x00b\x1b[31mc\x07",
    "direction": "user\u202egnp.exe",
    "surrogate": "a\ud800b\ufffe",
    "link": "[a](https://evil.example) ![b](https://evil.example/x.png)",
    "address": "https://evil.example www.evil.example <https://evil.example>",
    "table": "a | b \\| c",
    "code": "`` ``` ```` ~~~",
    "lines": "a\n\n# heading\n\n```\n\n- item\n\n| a |\n|---|\n",
    "command": "\n::error::planted\r\n::set-output name=x::y%0A::debug::z",
    "reference": "[x]: https://evil.example\n[x]",
}


def hostile_report(text):
    """Return a report in which every text from a file is `text`."""
    words = {"message": text, "explanation": text}
    return small_reports.report(
        small_reports.cell(text, text, f"hidden:{text}", "diverges", 9.0, **words),
        small_reports.cell(text, text, f"cell:{text}", "error", None, **words),
        small_reports.cell(text, text, f"cell:{text}", "unsupported", None, **words),
        small_reports.cell(text, text, f"cell:{text}", "known", 2.0, known=(small_reports.KnownRow(text, text),)),
        skipped={text: text},
        remarks=(text,),
        environment={"multilstm": text, "python": text, "options": {"engines": [text]}},
        arguments=Arguments(model=text if text.isprintable() else "model"),
    )


def suites(report):
    root = ET.fromstring(to_junit({"": report}))
    return {suite.get("name"): suite for suite in root}, root


def test_junit_has_one_test_for_each_cell():
    report = small_reports.every_verdict()
    by_name, root = suites(report)
    tests = [test for name, suite in by_name.items() if name != "run" for test in suite.iter("testcase")]
    assert len(tests) == len(report.cells)
    identities = [(test.get("classname"), test.get("name")) for test in root.iter("testcase")]
    assert len(set(identities)) == len(identities)
    assert ("keras-jax.cpu.float32.plain.seed2-b", "hidden:lstm") in identities
    outcomes = {
        (t.get("classname"), child.tag) for t in root.iter("testcase") for child in t if child.tag != "system-out"
    }
    assert outcomes == {
        ("keras-jax.cpu.float32.plain.seed2-b", "failure"),
        ("keras-torch.cpu.float32.plain.seed2-b", "error"),
        ("keras-torch.cpu.float32.plain.seed3-c", "skipped"),
        ("run", "skipped"),
    }
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "12", "failures": "1", "errors": "1", "skipped": "2"}


def test_a_failure_in_junit_has_its_cause_and_the_command():
    _, root = suites(small_reports.every_verdict())
    (failure,) = root.iter("failure")
    message, explanation, command = failure.text.splitlines()
    assert message == failure.get("message")
    assert explanation == "first in LSTM 'lstm', timestep 3, gate f"
    assert command == (
        "repeat: multilstm parity --case seed2-b --engine keras-jax --dtype float32 --layers plain --quantity hidden"
    )


def test_the_seconds_of_a_job_count_once():
    two_jobs = [small_reports.cell(quantity=f"hidden:{name}") for name in "ab"] + [
        small_reports.cell("other", seconds=2.0)
    ]
    assert float(suites(small_reports.report(*two_jobs))[1].get("time")) == 2.5


@pytest.mark.parametrize(
    "report",
    [
        small_reports.report(),
        small_reports.report(small_reports.cell(verdict="unsupported", share=None)),
        small_reports.report(
            small_reports.cell(), small_reports.cell(engine="keras-jax", verdict="unsupported"), named=("keras-jax",)
        ),
    ],
    ids=["no_cell", "unsupported", "a_named_engine_is_idle"],
)
def test_a_run_without_a_comparison_is_an_error_in_junit(report):
    (error,) = suites(report)[0]["run"].iter("error")
    assert error.get("message") == report.sentence


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_stays_text_in_junit(text):
    _, harmless = suites(hostile_report("name"))
    _, root = suites(hostile_report(text))
    assert [element.tag for element in root.iter()] == [element.tag for element in harmless.iter()]
    written = "".join(f"{element.text}{''.join(element.attrib.values())}" for element in root.iter())
    assert all(char.isprintable() or char == "\n" for char in written)


def tokens(text):
    """Return the kinds of all parts of Markdown, and its HTML."""
    parsed = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    flat = [part for token in parsed for part in (token, *(token.children or ()))]
    return [(token.type, token.tag) for token in flat], [token.content for token in flat if token.type == "html_inline"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_stays_text_in_markdown(text):
    kinds, parts = tokens(to_markdown({text: hostile_report(text), "b": hostile_report(text)}))
    harmless, _ = tokens(to_markdown({"a": hostile_report("name"), "b": hostile_report("name")}))
    blocks = [kind for kind in kinds if kind[0].endswith(("_open", "_close", "fence")) or kind[0] == "html_block"]
    assert blocks == [kind for kind in harmless if kind[0].endswith(("_open", "_close", "fence"))]
    assert set(parts) <= {"<code>", "</code>", "<sub>", "</sub>", "<!-- -->"}


def test_an_address_in_markdown_is_no_link():
    summary = to_markdown({"": hostile_report(HOSTILE["address"])})
    outside_of_code = re.sub(r"^```.*?^```|`[^`\n]+`", "", summary, flags=re.MULTILINE | re.DOTALL)
    assert "evil" in outside_of_code
    assert not re.search(r"www\.|://", outside_of_code)


def test_a_name_in_markdown_is_read_as_it_is():
    name = "a|b`c\\d_*e*@f"
    (row,) = [
        line
        for line in to_markdown({"": small_reports.report(small_reports.cell(engine=name))}).splitlines()
        if line.startswith("| <code>")
    ]
    assert html.unescape(re.search("<code>(.*)</code>", row)[1]) == name


def test_a_mention_in_markdown_mentions_nobody():
    assert not re.search(
        r"(@|&#64;)(?!<!-- -->)", to_markdown({"": small_reports.report(skipped={"x": "ask @someone"})})
    )


def test_the_summary_begins_with_the_verdict_and_shows_the_first_difference():
    summary = to_markdown({"": small_reports.every_verdict()})
    lines = summary.splitlines()
    assert lines[0] == "## Different answers: keras-jax (1 quantity)."
    assert "| quantities | equal | rounded | within | known | unsupported | diverges | error |" in lines
    assert "| `keras-torch` |  |  | 1 |  | 1 |  | 1 |" in lines
    assert (
        "```text\nkeras-jax seed2-b float32:\nhidden:lstm: 3 of 9 values differ; worst at [2]\n"
        "first in LSTM 'lstm', timestep 3, gate f\nrepeat: multilstm parity --case seed2-b --engine keras-jax "
        "--dtype float32 --layers plain --quantity hidden\n```"
    ) in summary
    assert summary.endswith("Repeat the run with:\n\n```sh\nmultilstm parity\n```")


def test_the_summary_shows_the_first_differences_of_many():
    summary = to_markdown(
        {"": small_reports.report(*(small_reports.cell(f"case{n}", verdict="diverges") for n in range(15)))}
    )
    assert "3 more differences: the report as data has all of them." in summary
    assert summary.count("```text") == 12


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_begins_no_command_of_github(text):
    lines = list(annotation_lines(hostile_report(text)))
    assert len(lines) == 3
    for line in lines:
        assert line.isprintable()
        command, properties, message = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line).groups()
        assert command in ("error", "warning")
        assert [part.partition("=")[0] for part in properties.split(",")][-1:] == ["title"]
        assert message


def test_a_run_that_was_killed_is_seen():
    report = small_reports.report(small_reports.cell(), remarks=("The run was killed: 3 of 9 jobs are missing.",))
    (skipped,) = suites(report)[1].iter("skipped")
    assert skipped.get("message") == report.remarks[0]
    assert "\n\n> The run was killed: 3 of 9 jobs are missing.\n\n" in to_markdown({"": report})
    assert list(annotation_lines(report)) == [
        "::warning title=multilstm%3A remark::The run was killed: 3 of 9 jobs are missing."
    ]


def test_the_file_of_an_annotation_is_the_model():
    report = small_reports.report(small_reports.cell(verdict="diverges"), arguments=Arguments(model="models/a,b.json"))
    (line,) = annotation_lines(report)
    assert line.startswith("::error file=models/a%2Cb.json,title=multilstm%3A jax-scan diverges in ")


def test_a_run_without_a_comparison_is_an_annotation():
    (line,) = annotation_lines(small_reports.report(skipped={"keras-jax": "jax is not installed"}))
    assert line == (
        "::error title=multilstm%3A nothing was compared::Nothing was compared (keras-jax: jax is not installed)."
    )


@pytest.mark.parametrize(
    ("cell", "arguments", "line"),
    [
        ({}, Arguments(), "--case seed1-stateful --engine jax-scan --dtype float32 --layers plain --quantity hidden"),
        (
            {"engine": "recorded", "device": "gpu"},
            Arguments(model="a b.json", batch=3),
            "'a b.json' --batch 3 --dtype float32 --layers plain --device gpu --quantity hidden",
        ),
        ({"case": "a\u202eb"}, Arguments(), None),
        ({}, None, None),
    ],
    ids=["case", "recorded_on_gpu", "unprintable", "from_python"],
)
def test_the_command_computes_a_cell_again(cell, arguments, line):
    report = small_reports.report(small_reports.cell(**cell), arguments=arguments)
    assert repeating_command(report, report.cells) == ("" if line is None else f"multilstm parity {line}")
    assert line is None or shlex.split(line)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_controls_no_terminal(text):
    """Names of engines too, which `multilstm report` reads from a file."""
    shown = str(hostile_report(text))
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []
    assert "\n::error" not in shown
