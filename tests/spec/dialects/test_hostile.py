"""Hostile files of Keras 0.3 to 2: each change of a valid file is read or refused, in bounded time."""

import copy
import functools
import json
import math
import operator
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras2_entries import lstm, stack

from multilstm.errors import SpecError
from multilstm.spec import from_json, to_json

RECORDED = json.loads(pathlib.Path(__file__).with_name("tf_keras.json").read_text(encoding="utf-8"))["models"]
MADE = pathlib.Path(__file__).parents[2] / "files" / "made"
BRANCH = {"name": "Sequential", "layers": [{"name": "LSTM", "output_dim": 2, "init": "uniform", "input_shape": [7, 3]}]}
MERGED = {
    "name": "Sequential",
    "layers": [{"name": "Merge", "mode": "sum", "layers": [BRANCH, BRANCH]}, {"name": "Dropout", "p": 0.5}],
}
GRAPH = {
    "name": "Graph",
    "input_config": [{"name": "x", "input_shape": [7, 3], "dtype": "float"}],
    "node_config": [{"name": "a", "input": "x"}, {"name": "b", "inputs": ["a", "a"], "merge_mode": "concat"}],
    "output_config": [{"name": "out", "input": "b"}],
    "nodes": {"a": BRANCH["layers"][0], "b": {"name": "Activation", "activation": "tanh"}},
}
TREES = {
    **{f"{name}-{form}": RECORDED[name][form] for name in RECORDED for form in ("to_json", "config.json")},
    **{
        name: json.loads((MADE / f"{name}.documents.json").read_text(encoding="utf-8"))
        for name in ("tf_keras-2.21.0", "keras-3.15.1")
    },
    "keras_2": stack(lstm(), lstm(name="b")),
    "keras_0": MERGED,
    "graph": GRAPH,
}
HOSTILE = [
    None, True, False, 0, -1, 1, 3, 10**400, 0.5, math.nan, math.inf, "", "a", "x/y", "\x1b[2J", "\ud800", [], {}, [[]],
    ["x", 0, 0], [["x", 0, 0, {}]], [["x", 0, 0, {"initial_state": 3}]], {"class_name": "Lambda", "config": {}},
    {"class_name": "Sequential", "config": []}, {"class_name": "Model", "config": {"layers": [{}]}},
    {"class_name": "__tuple__", "items": [None, 3]}, {"name": "LSTM", "units": 2}, [None] * 40, b"bytes", object(),
]  # fmt: skip


def places(tree, path=()):
    """Yield every place of a JSON tree, as a path."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


PLACES = [(name, path) for name, tree in TREES.items() for path in places(tree) if path]


@settings(deadline=None, max_examples=1500, database=None)
@given(st.sampled_from(PLACES), st.sampled_from(HOSTILE))
def test_any_change_is_read_or_refused_and_nothing_else(place, value):
    tree, (*folders, key) = copy.deepcopy(TREES[place[0]]), place[1]
    functools.reduce(operator.getitem, folders, tree)[key] = copy.deepcopy(value)
    try:
        graph = from_json(tree)
    except SpecError as error:
        assert len(str(error)) < 1500  # noqa: PT017 - only sometimes raised
        assert "\x1b" not in str(error)  # noqa: PT017
    else:
        assert from_json(to_json(graph)) == graph


def test_a_dict_that_contains_itself_is_refused():
    model = stack(lstm())
    model["config"]["layers"].append({"class_name": "Sequential", "config": model["config"]})
    with pytest.raises(SpecError, match="at most 16 models inside one another"):
        from_json(model)


def test_a_wrapper_that_contains_itself_is_refused():
    wrapper = {"class_name": "TimeDistributed", "config": {"name": "t"}}
    wrapper["config"]["layer"] = wrapper
    with pytest.raises(SpecError, match="at most 16 layers and models inside one another"):
        from_json({**stack(lstm()), "config": [lstm(), wrapper]})


@pytest.mark.parametrize("named", [False, True])
def test_a_long_stack_is_read_in_time(named):
    layers = [{"name": "Activation", "activation": "tanh"} for _ in range(20_000)]
    if named:
        for number, layer in enumerate(layers):
            layer["custom_name"] = f"a{number}"
    branch = {"name": "Sequential", "layers": [*BRANCH["layers"], *layers]}
    merge = {"name": "Merge", "mode": "concat", "layers": [branch, branch]}
    assert len(from_json({"name": "Sequential", "layers": [merge]}).layers) == 2 * 20_002 + 1
