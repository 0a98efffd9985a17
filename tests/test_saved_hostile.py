"""parity/saved.py and files of strangers: answers, or one printable line that names the fault."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy
from hostile_values import VALUES, assert_answer_or_line, assert_short_line, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from saved import FORMAT, About, load

from multilstm.errors import InputError

KEYS = ("gpu-states|float32|forward", "gpu-states|float64|gradient")
ARRAYS = {
    f"{key}|{quantity}|{index}": np.ones(2)
    for key in KEYS
    for quantity in ("output:0", "hidden:lstm")
    for index in range(2)
}
ABOUT = {"engine": "jax-scan", "device": "cpu", "environment": {"cores": 2}, "digests": dict.fromkeys(KEYS, "0" * 64)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("saved") / "answers.safetensors"


def loaded(path, arrays=ARRAYS, about=ABOUT, **metadata):
    about = json.dumps(about) if isinstance(about, dict) else about
    metadata = {"format": FORMAT, "about": about, **metadata}
    path.write_bytes(safetensors.numpy.save(dict(arrays), {k: v for k, v in metadata.items() if v is not None}))
    return load(str(path))


def refusal(path, **changes):
    with pytest.raises(InputError) as raised:
        loaded(path, **changes)
    text = str(raised.value)
    assert_short_line(text)
    assert text.endswith("save it again")
    return text


def test_answers_are_read_as_they_were_written(path):
    about, answers = loaded(path)
    assert about == About(**ABOUT)
    assert {"|".join(key) for key in answers} == set(KEYS)
    assert {str(quantity): len(arrays) for quantity, arrays in answers[tuple(KEYS[0].split("|"))].items()} == {
        "output:0": 2,
        "hidden:lstm": 2,
    }


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ("", "this is not JSON"),
        ("{", "this is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "its metadata 'about': given []; expected an object"),
        ('{"engine": "a", "engine": "b"}', "gives the key 'engine' twice"),
        ('{"engine": NaN}', "contains NaN"),
        ({}, "'engine' is missing"),
        ({**ABOUT, "engine": 3}, "engine: given 3; expected text"),
        ({**ABOUT, "digests": []}, "digests: given []; expected an object"),
        ({**ABOUT, "digests": {KEYS[0]: 3}}, "given 3; expected text"),
        ({**ABOUT, "digests": {}}, f"it has no digest of '{KEYS[0]}'"),
        ({**ABOUT, "digests": {**ABOUT["digests"], "\x1b[2J": ""}}, "lost 1 of 3 parts, such as '\\x1b[2J'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_description_is_refused(path, about, words):
    assert words in refusal(path, about=about)


@pytest.mark.parametrize("metadata", [{"format": None}, {"format": "\x1b[2J"}, {"about": None}], ids=str)
def test_other_metadata_are_refused(path, metadata):
    assert f"expected {FORMAT!r} with 'about'" in refusal(path, **metadata)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a", "unknown array 'a'; expected CASE|DTYPE|PART|QUANTITY|NUMBER"),
        ("gpu-states|float32|forward|output:0", "unknown array"),
        ("gpu-states|float32|forward|output:0|x", "unknown array"),
        ("gpu-states|float32|forward|output:0|-1", "unknown array"),
        ("gpu-states|float32|forward|output:0|²", "unknown array"),
        ("gpu-states|float32|forward|output:0|" + "9" * 5000, "unknown array"),
        ("gpu-states|float32|forward|output:0|7", "a batch is missing"),
        ("gpu-states|float32|forward|output:0|0|1", "unknown array"),
        ("\x1b[2J|float32|forward|output:0|0", "no case '\\x1b[2J'"),
        ("gpu-states|float8|forward|output:0|0", "no dtype 'float8'"),
        ("gpu-states|float32|program|loss:program|0", "no part 'program'"),
        ("gpu-states|float32|forward|outputs|0", "no kind of quantity 'outputs'"),
    ],
    ids=lambda value: value[:40],
)
def test_the_name_of_an_array_is_refused(path, name, words):
    assert words in refusal(path, arrays={**ARRAYS, name: np.ones(1)})


def pipe(path):
    os.mkfifo(path)


def device(path):
    os.symlink("/dev/zero", path)


def sparse(path):
    with open(path, "wb") as file:
        file.truncate(2**43)


@pytest.mark.parametrize("make", [pipe, device, os.mkdir, sparse], ids=lambda make: make.__name__)
def test_only_a_regular_file_is_read(tmp_path, make):
    make(tmp_path / "file")
    with pytest.raises(InputError, match="cannot read"):
        load(str(tmp_path / "file"))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*ABOUT, "other"]), VALUES)
def test_any_value_of_the_description_is_read_or_refused(path, name, value):
    answer, message = outcome(lambda: loaded(path, about={**ABOUT, name: value}))
    if message is not None:
        assert_short_line(message)
    else:
        assert repr(getattr(answer[0], name)) == repr(value)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["gpu-states", "float32", "forward", "output", "0"]) | st.text(max_size=5), max_size=7))
def test_any_name_of_an_array_is_read_or_refused(path, fields):
    assert_answer_or_line(loaded, path, {**ARRAYS, "|".join(fields): np.ones(1)})


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_file_with_changed_bytes_is_read_or_refused(path, data):
    loaded(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert_answer_or_line(load, str(path))
