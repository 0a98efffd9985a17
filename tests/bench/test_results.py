"""Results as files: written, read back, and refused with one line."""

import functools
import io
import json
import operator
import re

import bench_results as made
import pytest
from hostile_values import assert_short_line
from rich.console import Console

from multilstm.bench.page import to_html
from multilstm.bench.results import SCHEMA, Benchmark, begins_as_benchmark
from multilstm.bench.table import show
from multilstm.errors import InputError


def test_a_result_is_read_as_it_was_written(tmp_path):
    path = str(tmp_path / "r.json")
    written = made.usual(skipped={"flax": "needs flax"}, interrupted=True)
    written.write(path)
    assert begins_as_benchmark(path)
    assert Benchmark.read(path) == written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("rows"), "this JSON is no benchmark"),
        (lambda data: data.update(schema=2), f"its schema is 2, expected {SCHEMA}"),
        (lambda data: data.update(rows=3), "expected a list"),
        (lambda data: data["rows"][0].update(samples=[["1"]]), "expected a number"),
        (lambda data: data["rows"][0].update(samples=[[0.0]]), "expected rounds of seconds above zero"),
        (lambda data: data["rows"][0].update(samples=[[]]), "expected rounds of seconds above zero"),
        (lambda data: data["rows"][0].update(failure="it crashed"), "expected no time of a wrong answer"),
        (lambda data: data["rows"][0].update(distance=1.5), "a distance of 1.5 tolerances"),
        (lambda data: data["rows"][0].update(distance=None), "a distance of None tolerances"),
        (lambda data: data["rows"][0].update(workload="other"), "a row names the workload 'other', which it lacks"),
        (lambda data: data["rows"][0].update(mode="fly"), "unknown mode 'fly': expected one of forward, "),
        (lambda data: data.update(foreign=1), "unknown key 'foreign'"),
        (lambda data: data["rows"][0].update(distance=-0.5), "a distance of -0.5 tolerances"),
        (lambda data: data["rows"].append(data["rows"][0]), "row small 4x10/forward/jax-scan is there twice"),
        (lambda data: data["workloads"]["small 4x10"].update(batch=0), "has 0 sequences of 10 timesteps"),
    ],
    ids=[
        "no_rows",
        "schema",
        "type",
        "text",
        "zero",
        "empty",
        "failed",
        "away",
        "unjudged",
        "workload",
        "mode",
        "key",
        "negative",
        "twice",
        "sizes",
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "r.json"
    made.usual().write(str(path))
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        Benchmark.read(str(path))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", '{"schema": 2, "cells": []}'])
def test_another_file_is_no_benchmark(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text, encoding="utf-8")
    assert not begins_as_benchmark(str(path))
    with pytest.raises(InputError, match="expected a result that `multilstm bench --json` wrote"):
        Benchmark.read(str(path))


def test_a_missing_file_is_no_benchmark(tmp_path):
    assert not begins_as_benchmark(str(tmp_path / "none"))


def numbers(data, path=()):
    """Yield the path of every number and of every entry of a dict by mode."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield (*path, key)
        yield from numbers(value, (*path, key))


def written():
    data = json.loads(made.usual(workloads={"small 4x10": made.facts(published=[made.PUBLISHED])}).to_json())
    del data["rows"][1:]
    data["rows"][0].update(build_s=1.0, trace_s=1.0, compile_s=1.0, peak_bytes=1, program_bytes=1, joules=1.0)
    return data


PATHS = {"-".join(map(str, path)): path for path in numbers(written()) if path[0] != "schema"}


@pytest.mark.parametrize("value", [None, 0, -1, 1e-320, 1e308], ids=str)
@pytest.mark.parametrize("name", PATHS)
def test_a_file_with_a_strange_number_is_refused_or_shown(tmp_path, name, value):
    data = written()
    *path, last = PATHS[name]
    place = functools.reduce(operator.getitem, path, data)
    if value is None:
        del place[last]
    else:
        place[last] = value
    file = tmp_path / "r.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    try:
        result = Benchmark.read(str(file))
    except InputError as error:
        assert_short_line(str(error))
        return
    page, console = to_html(result), Console(file=io.StringIO())
    show(result, console)
    assert not {"inf", "nan"} & set(re.findall(r"\w+", page + console.file.getvalue()))
