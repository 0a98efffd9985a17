"""Results as files: written, read back, and refused with one line."""

import json

import bench_results as made
import pytest

from multilstm.bench.results import SCHEMA, Benchmark, begins_as_benchmark
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
