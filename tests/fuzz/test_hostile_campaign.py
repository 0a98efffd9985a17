"""A campaign.json from a stranger: read as counts, or refused in one printable line."""

import dataclasses
import io
import json
import os

import pytest
from hostile_values import VALUES, assert_answer_or_line, assert_short_line
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from multilstm.errors import InputError
from multilstm.fuzz import open_campaign, sample_from_json
from multilstm.fuzz.campaign import SIZE_LIMIT, Campaign, Finding
from multilstm.fuzz.rendering import show_campaign
from multilstm.fuzz.sample import Sample
from multilstm.spec import LSTM, Sequential

GOOD = Campaign(0, "plain", 2, 40, {"jax-scan": 40}, {"jax-scan bitwise": 9}, 1.5)
GOOD.findings["jax-scan-1"] = Finding("jax-scan", "float64", "forward", "mask", "wrong", ["mask"], 3)
SAMPLE = Sample(Sequential([LSTM(2)], (3, 1)), 2, 3, mask=((True, False, True), (True, True, False)), states=("lstm",))


def opened(folder, text):
    (folder / "campaign.json").write_text(text)
    return open_campaign(str(folder), 0, "plain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("campaign")


def test_a_campaign_is_read_as_it_was_written(folder):
    GOOD.save(str(folder))
    assert open_campaign(str(folder), 0, "plain") == GOOD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "the campaign: given None; expected an object"),
        ('{"seed": 0}', "'layers' is missing"),
        ('{"seed": 0, "seed": 0, "layers": "plain"}', "gives the key 'seed' twice"),
        ('{"seed": 0, "layers": "plain", "seconds": NaN}', "contains NaN"),
        ('{"seed": 0, "layers": "plain", "rounds": "x"}', "rounds: given 'x'; expected a whole number"),
        ('{"seed": 0, "layers": "plain", "rounds": -1}', "has -1 rounds"),
        ('{"seed": 0, "layers": "plain", "findings": []}', "findings: given"),
        ('{"seed": 0, "layers": "plain", "findings": {"x-1": {"how": ""}}}', "unknown key 'how'"),
        ('{"seed": 0, "layers": "plain", "ran": {"a": null}}', r"ran\['a'\]: given None"),
        ('{"seed": 0, "layers": "\\u001b[31m"}', r"--layers '\\x1b\[31m'"),
    ],
    ids=lambda value: value[-40:],
)
def test_content_is_refused(folder, text, message):
    with pytest.raises(InputError, match=message) as raised:
        opened(folder, text)
    assert_short_line(str(raised.value))
    assert "another --folder" in str(raised.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80", b'{"seed": "\xc3("}'], ids=repr)
def test_bytes_that_are_no_text_are_refused(tmp_path, content):
    (tmp_path / "campaign.json").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read '.*campaign.json': .*; expected the counts of a campaign"):
        open_campaign(str(tmp_path), 0, "plain")


def pipe(path):
    os.mkfifo(path)


def device(path):
    os.symlink("/dev/zero", path)


def dangling(path):
    os.symlink("nowhere", path)


def sparse(path):
    with open(path, "wb") as file:
        file.truncate(SIZE_LIMIT + 1)


@pytest.mark.parametrize("make", [pipe, device, os.mkdir, dangling, sparse], ids=lambda make: make.__name__)
def test_only_a_small_regular_file_is_read(tmp_path, make):
    make(tmp_path / "campaign.json")
    with pytest.raises(InputError, match=r"its campaign.json is unusable: cannot read"):
        open_campaign(str(tmp_path), 0, "plain")


@pytest.mark.parametrize("name", ["null\0", "n" * 300], ids=["null", "long"])
def test_a_folder_that_cannot_be_is_named(tmp_path, name):
    with pytest.raises(InputError, match="give another one"):
        open_campaign(str(tmp_path / name), 0, "plain")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([field.name for field in dataclasses.fields(Campaign)] + ["other", "\x1b[2J"]), VALUES)
def test_any_value_of_a_field_is_read_and_shown_or_refused(folder, name, value):
    data = {**dataclasses.asdict(GOOD), name: value}
    campaign = assert_answer_or_line(opened, folder, json.dumps(data))
    if campaign is None:
        return
    out = io.StringIO()
    show_campaign(campaign, "folder", Console(file=out, width=80))
    assert out.getvalue().replace("\n", "").isprintable()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([field.name for field in dataclasses.fields(Finding)] + ["other"]), VALUES)
def test_any_value_of_a_finding_is_read_or_refused(folder, name, value):
    data = dataclasses.asdict(GOOD)
    data["findings"]["jax-scan-1"][name] = value
    assert_answer_or_line(opened, folder, json.dumps(data))


@settings(max_examples=100, deadline=None)
@given(st.text("\x1b[]\n\r\x07/a'\"", max_size=9), st.text("\x1b[]\n\r\x07/a'\"", max_size=9))
def test_names_reach_the_screen_without_control_characters(name, title):
    campaign = dataclasses.replace(GOOD, ran={name: 1}, findings={name: dataclasses.replace(FINDING, title=title)})
    out = io.StringIO()
    show_campaign(campaign, "folder", Console(file=out, width=80))
    assert out.getvalue().replace("\n", "").isprintable()


FINDING = Finding("\x1b[31m[red]", "float64", "forward", "", "", [])


def test_a_sample_is_read_as_it_was_written():
    assert sample_from_json(SAMPLE.to_json()) == SAMPLE


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*json.loads(SAMPLE.to_json()), "other"]), VALUES)
def test_any_value_of_a_sample_is_read_or_refused(name, value):
    data = {**json.loads(SAMPLE.to_json()), name: value}
    assert_answer_or_line(sample_from_json, json.dumps(data))
