"""The doctor's text at the terminal."""

import dataclasses

import pytest
from diagnoses import BROKEN, FLAG, MISSING, READY, REFERENCE, WRONG, diagnosis, shown

from multilstm import doctor
from multilstm.doctor import KNOWN_ISSUES, KerasBackend
from multilstm.engines.registry import ENGINES


def test_every_engine_is_shown_with_its_reason():
    text = shown(diagnosis(REFERENCE, WRONG, MISSING, BROKEN))
    for words in (
        "multilstm 1.2.3 on cpu", "Python 3.12.1, Linux x86_64, 8 cores, 16 GiB", "1 pass", "1 of 2 FAIL",
        "jax 0.9, jaxlib 0.9", "unavailable", "not installed: torch", "pip install 'multilstm[torch]'", "broken",
        "its worker ended", "jax-scan: sums, float64", "1 of 3 wrong", "Do not trust jax-scan, torch-lstm yet.",
    ):  # fmt: skip
        assert words in text


def test_the_stderr_of_a_worker_is_shown_as_plain_text():
    text = shown(diagnosis(BROKEN))
    assert "\x1b" not in text
    assert "[bold]last?[31m words" in text


def test_a_shared_failure_and_a_shared_issue_are_shown_once():
    issue = next(row for row in KNOWN_ISSUES if row.package == "jaxlib")
    first = dataclasses.replace(WRONG, issues=(issue,))
    text = shown(diagnosis(first, dataclasses.replace(first, name="keras-jax")), verbose=True)
    assert "jax-scan, keras-jax: sums, float64" in text
    assert text.count(issue.link) == 1
    assert "jaxlib 0.9" in map(str.strip, text.splitlines())
    assert "(jax-scan, keras-jax)" in " ".join(text.split())


@pytest.mark.parametrize("issue", KNOWN_ISSUES, ids=lambda issue: issue.id)
def test_a_known_problem_is_shown_in_full(issue):
    engine = dataclasses.replace(READY, name=issue.engines[0], versions={issue.package: issue.last}, issues=(issue,))
    words = " ".join(shown(diagnosis(engine), verbose=True).split())
    for text in (issue.title[1:], issue.consequence, f"Remedy: {issue.advice}", issue.link, issue.engines[0]):
        assert " ".join(text.split()) in words


def test_few_words_name_the_problems_alone_and_tell_how_to_see_more():
    issue = KNOWN_ISSUES[0]
    switches = {"denormals": "flushed"}
    text = shown(
        diagnosis(dataclasses.replace(READY, issues=(issue,), versions={issue.package: issue.last}, switches=switches))
    )
    words = " ".join(text.split())
    assert issue.title[1:] in words
    assert "multilstm doctor --verbose" in words
    assert issue.consequence not in words
    assert "denormals" not in words


def test_the_verdict_comes_before_the_engines():
    lines = shown(diagnosis(REFERENCE, WRONG)).splitlines()
    assert lines[2].startswith("1 of 2 engines pass. Do not trust jax-scan")


def test_a_gpu_is_named_also_without_settings():
    engine = dataclasses.replace(READY, devices=("NVIDIA H200",))
    assert "NVIDIA H200" in shown(diagnosis(engine, device="gpu"))
    assert "cpu" not in shown(diagnosis(READY)).splitlines()[5]


def test_a_problem_whose_title_begins_with_a_name_keeps_its_letters():
    issue = dataclasses.replace(KNOWN_ISSUES[0], title="categorical_crossentropy is wrong", package="jaxlib")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multilstm.doctor.rendering.KNOWN_ISSUES", (issue,))
        assert "- categorical_crossentropy is wrong" in shown(diagnosis(dataclasses.replace(READY, issues=(issue,))))


@pytest.mark.parametrize("verbose", [False, True], ids=["short", "verbose"])
@pytest.mark.parametrize("width", [80, 60])
def test_no_line_is_wider_than_the_terminal(width, verbose):
    versions = {issue.package: issue.last for issue in KNOWN_ISSUES}
    engines = [
        dataclasses.replace(
            WRONG,
            name=name,
            versions=versions,
            switches={"denormals": "flushed", "deterministic": "off", "XLA_FLAGS": FLAG * 4},
            issues=doctor.known_issues(name, "cpu", versions, {}),
        )
        for name in ENGINES
    ]
    text = shown(diagnosis(*engines, variables={"XLA_FLAGS": FLAG * 4}), width, verbose)
    words = " ".join(text.split())
    assert all(issue.title[1:] in words for issue in KNOWN_ISSUES)
    assert max(map(len, text.splitlines())) <= width


def test_the_conclusion_counts():
    assert "2 of 3 engines can run here and compute correctly; 1 cannot" in shown(diagnosis(REFERENCE, READY, MISSING))
    assert "No engine can run here but the reference" in shown(diagnosis(REFERENCE, MISSING))


def test_settings_of_the_user_are_shown_if_there_are_any():
    assert "Your own settings" not in shown(diagnosis(READY))
    keras = KerasBackend("torch", "KERAS_BACKEND", installed=False)
    text = shown(diagnosis(READY, keras=keras, variables={"XLA_FLAGS": ""}))
    assert "selects torch, which is not installed here (by KERAS_BACKEND)" in text
    assert "(empty)" in text


def test_overruled_variables_are_marked_and_others_named_without_their_values():
    variables = {"JAX_PLATFORMS": "tpu", "XLA_FLAGS": "--a=1"}
    text = shown(diagnosis(READY, variables=variables, overruled=("JAX_PLATFORMS", "TF2_BEHAVIOR")))
    lines = [line.split() for line in text.splitlines()]
    assert ["JAX_PLATFORMS", "tpu", "(overruled)"] in lines
    assert ["XLA_FLAGS", "--a=1"] in lines
    assert ["TF2_BEHAVIOR", "(overruled)"] in lines
    assert "Workers remove or replace overruled variables" in text
    assert "overruled" not in shown(diagnosis(READY, variables=variables))
