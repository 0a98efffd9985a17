"""Masks that meet in a merging layer of an old model: refused where Keras 2 and Keras 3 differ."""

import itertools
import json

import pytest

from multilstm.errors import SpecError
from multilstm.spec import (
    LSTM,
    Add,
    Average,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    Maximum,
    Minimum,
    Model,
    Multiply,
    Subtract,
    from_json,
)
from multilstm.spec.dialects.merged_masks import check_merged_masks, dropped_masks
from multilstm.spec.keras_json.model import read_json

pytestmark = pytest.mark.unit
LINEAR = {"add": Add(), "subtract": Subtract(), "average": Average(), "concatenate": Concatenate()}
REPLACING = {"multiply": Multiply(), "maximum": Maximum(), "minimum": Minimum()}


def merged(merge, first, second):
    """Return a model that merges two of: the input `plain`, or what masks make of it."""
    x, y = Input((None, 3), name="x"), Input((None, 3), name="y")
    masked = Masking(name="masking")(x)
    tensors = {
        "plain": y,
        "masked": masked,
        "after": Dropout(0.1)(LSTM(3, return_sequences=True)(masked)),
        "equal": Masking(name="again")(x),
        "other_number": Masking(-1.0, name="another")(x),
        "other_input": Masking(name="of_y")(y),
    }
    return Model([x, y], LSTM(2)(merge([tensors[first], tensors[second]])))


@pytest.mark.parametrize("second", ["plain", "other_number", "other_input"])
@pytest.mark.parametrize("name", LINEAR)
def test_different_masks_are_refused(name, second):
    for pair in itertools.permutations(["after", second]):
        with pytest.raises(SpecError, match=rf"'{name}': it merges sequences with different masks.* Keras 2\.4\.0"):
            check_merged_masks(merged(LINEAR[name], *pair), "2.4.0")


@pytest.mark.parametrize("second", ["after", "equal"])
@pytest.mark.parametrize("name", LINEAR)
def test_one_mask_is_the_same_in_both(name, second):
    check_merged_masks(merged(LINEAR[name], "masked", second), "2.4.0")


@pytest.mark.parametrize("second", ["after", "plain"])
@pytest.mark.parametrize("name", REPLACING)
def test_masked_values_that_keras_3_replaces_are_refused(name, second):
    with pytest.raises(SpecError, match=f"'{name}': it takes masked sequences, whose masked values"):
        check_merged_masks(merged(REPLACING[name], "masked", second), "2.4.0")


@pytest.mark.parametrize("name", REPLACING)
def test_values_without_masks_are_merged(name):
    check_merged_masks(merged(REPLACING[name], "plain", "plain"), "2.4.0")


def test_masks_are_joined_along_the_timesteps():
    x, y = Input((4, 3)), Input((4, 3))
    joined = Concatenate(axis=1)([Masking()(x), Masking()(y)])
    check_merged_masks(Model([x, y], LSTM(2)(joined)), "2.4.0")
    with pytest.raises(SpecError, match="different masks"):
        check_merged_masks(Model([x, y], Add()([joined, Dense(3)(Concatenate(axis=1)([x, y]))])), "2.4.0")


@pytest.mark.parametrize("second", ["tokens", "others"])
def test_a_file_of_keras_2_is_refused(second):
    def layer(name, config, *sources):
        nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
        title = next(part for part in (Input, Embedding, Concatenate, LSTM) if part.__name__.lower() in name).__name__
        title = "InputLayer" if title == "Input" else title
        return {"class_name": title, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}

    inputs = {"batch_input_shape": [None, 5], "dtype": "int32"}
    embedding = {"input_dim": 7, "output_dim": 3, "mask_zero": True}
    layers = [
        layer("tokens_input", inputs),
        layer("others_input", inputs),
        layer("first_embedding", embedding, "tokens_input"),
        layer("second_embedding", embedding, f"{second}_input"),
        layer("concatenate", {"axis": -1}, "first_embedding", "second_embedding"),
        layer("lstm", {"units": 2}, "concatenate"),
    ]
    ends = [["tokens_input", 0, 0], ["others_input", 0, 0]] if second == "others" else [["tokens_input", 0, 0]]
    layers = [entry for entry in layers if second == "others" or entry["name"] != "others_input"]
    config = {"name": "model", "layers": layers, "input_layers": ends, "output_layers": [["lstm", 0, 0]]}
    model = {"class_name": "Model", "config": config, "keras_version": "2.4.0"}
    if second == "tokens":
        assert from_json(model).layers
        return
    with pytest.raises(SpecError, match="'concatenate': it merges sequences with different masks"):
        from_json(model)


@pytest.mark.parametrize("second", ["plain", "equal", "other_input"])
@pytest.mark.parametrize("name", [*LINEAR, *REPLACING])
def test_a_note_names_masks_that_the_first_versions_of_keras_3_drop(name, second):
    spec = merged({**LINEAR, **REPLACING}[name], "masked", second)
    for version in ("3.0.5", "3.3.3"):
        (note,) = dropped_masks(spec, version)
        assert f"'{name}': Keras {version} drops the masks of its inputs" in note
    for version in ("2.15.0", "3", "3.4.1", "3.15.1"):
        assert not dropped_masks(spec, version)
    assert not dropped_masks(merged(Add(), "plain", "plain"), "3.3.3")


def test_the_note_is_one_of_the_file():
    model = json.loads(merged(Add(), "masked", "other_input").to_json())
    notes = {version: read_json(model, version)[1].notes for version in ("3.3.3", "3.4.0")}
    assert [len(found) for found in notes.values()] == [1, 0]
