"""Options of all benchmark programs: a wrong one is refused before anything runs, as at `multilstm parity`."""

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multilstm.bench import length, portable, scan, training
from multilstm.cli.app import run

PROGRAMS = {"length": length, "portable": portable, "scan": scan, "training": training}
USAGE = {
    "length-timesteps-without-value": ["--timesteps"],
    "length-timesteps-fraction": ["--timesteps", "5", "1.5"],
    "length-timesteps-zero": ["--timesteps", "5", "0"],
    "length-timesteps-text": ["--timesteps", "x"],
    "length-rounds-fraction": ["--rounds", "1.5"],
    "length-seed-fraction": ["--seed", "1.5"],
    "length-device": ["--device", "tpu"],
    "length-unknown-option": ["--contestant", "jax-scan"],
    "portable-engine-without-value": ["--engine"],
    "portable-engine-unknown": ["--engine", "keras"],
    "portable-rounds-fraction": ["--rounds", "1.5"],
    "portable-pause-nan": ["--pause", "nan"],
    "portable-pause-infinite": ["--pause", "inf"],
    "portable-pause-large": ["--pause", "1e9"],
    "portable-json-option": ["--json", "--rounds"],
    "scan-shape-without-value": ["--shape"],
    "scan-shape-unknown": ["--shape", "1x2"],
    "scan-contestant-without-value": ["--contestant"],
    "scan-contestant-unknown": ["--contestant", "keras"],
    "scan-contestant-before-option": ["--contestant", "--rounds", "1"],
    "scan-rounds-zero": ["--rounds", "0"],
    "scan-pause-negative": ["--pause", "-1"],
    "scan-seed-fraction": ["--seed", "0.5"],
    "training-contestant-without-value": ["--contestant"],
    "training-contestant-unknown": ["--contestant", "keras"],
    "training-steps-fraction": ["--steps", "1.5"],
    "training-steps-large": ["--steps", "301"],
    "training-timeout-zero": ["--timeout", "0"],
    "training-timeout-nan": ["--timeout", "nan"],
    "training-timeout-large": ["--timeout", "1e10"],
}


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch):
    """Fail if a program goes so far as to start a worker or to measure."""

    def fail(*_, **__):
        pytest.fail("the program ran")

    for module in (length, portable, training):
        monkeypatch.setattr(module, "RunFolder", fail)
    monkeypatch.setattr(scan, "measure", fail)


def refused(name, arguments):
    """Return standard error of a program that must refuse its arguments with exit code 2."""
    with pytest.raises(SystemExit) as raised:
        run(PROGRAMS[name].app, arguments)
    assert raised.value.code == 2


@pytest.mark.parametrize("key", USAGE)
def test_a_wrong_option_is_refused_with_2(key, capsys):
    refused(key.partition("-")[0], USAGE[key])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip()
    assert "Traceback" not in err


OPTIONS = [("portable", "--engine"), ("scan", "--contestant"), ("training", "--contestant"), ("scan", "--shape")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(OPTIONS), st.text("\x1b[]'\n" + string.ascii_letters, min_size=1, max_size=9))
def test_any_unknown_name_is_refused_with_2(option, value):
    refused(option[0], [option[1], value])


NUMBERS = [("length", "--rounds"), ("scan", "--rounds"), ("scan", "--seed"), ("training", "--steps")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NUMBERS), st.floats().map(str) | st.text("0123456789abcx.,e_ ", min_size=1, max_size=9))
def test_any_text_that_is_no_whole_number_is_refused_with_2(option, value):
    try:
        int(value)
    except ValueError:
        refused(option[0], [option[1], value])
