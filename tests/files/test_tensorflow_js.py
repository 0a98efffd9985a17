"""Models of TensorFlow.js: the weights of shards in the folder of model.json, and every refusal."""

import json
import os

import numpy as np
import pytest
from written_files import SPEC, weights_of

import multilstm
from multilstm.errors import InputError

WEIGHTS = weights_of(SPEC)
BYTES = b"".join(array.tobytes() for array in WEIGHTS.values())
ENTRIES = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in WEIGHTS.items()]


@pytest.fixture
def load(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")

    def loaded(groups, **shards):
        model = {"modelTopology": {"keras_version": "3.8.0", "model_config": json.loads(SPEC.to_json())}}
        content = json.dumps({**model, "weightsManifest": groups})
        (tmp_path / "folder" / "model.json").write_text(content, encoding="utf-8")
        for name, shard in shards.items():
            (tmp_path / "folder" / name).write_bytes(shard)
        return multilstm.load("model.json")

    return loaded


def group(*paths, entries=ENTRIES):
    return [{"paths": list(paths), "weights": entries}]


def test_reads_weights_that_cross_the_border_of_two_shards(load):
    weights = load(group("a", "b"), a=BYTES[:101], b=BYTES[101:]).weights
    assert list(weights) == list(WEIGHTS)
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(weights[name], array, strict=True)


def test_names_shards_that_are_not_there(load):
    loaded = load(group("a", "b"))
    assert loaded.weights is None
    assert loaded.provenance.notes[0] == "the weights lie in the files a, b, which are not in the folder of the model"


def test_a_model_without_a_manifest_has_no_weights(load):
    assert load([]).weights is None


def test_a_group_without_paths_has_no_weights(load):
    with pytest.raises(InputError, match="its shards have 0 bytes"):
        load([*group("a"), {"weights": ENTRIES}], a=BYTES)


def changed(**changes):
    return group("a", entries=[{**ENTRIES[0], **changes}, *ENTRIES[1:]])


REFUSED = {
    "parent": (group("../secret"), "has a path"),
    "absolute": (group("/etc/passwd"), "has a path"),
    "backslash": (group("..\\secret"), "has a path"),
    "empty": (group(""), "has a path"),
    "no_text": (group(3), "expected text"),
    "no_paths": (group(), "has weights without paths"),
    "no_list": ({"paths": ["a"]}, "weightsManifest: given .* expected a list"),
    "one_missing": (group("a", "b"), "the shards b are missing"),
    "short": (group("a", entries=[*ENTRIES, ENTRIES[0]]), "its shards have"),
    "long": (group("a", entries=ENTRIES[:-1]), "the files are of two models"),
    "huge": (changed(shape=[2**40, 2**40]), "its shards have"),
    "negative": (changed(shape=[-1, 4]), "expected at most 8 sizes from 0"),
    "half": (changed(dtype="float16"), "it is 'float16'; expected float32"),
    "quantised": (changed(quantization={"dtype": "uint8"}), "it is 'float32' and quantised"),
    "no_name": (changed(name=None), "name of a weight"),
    "no_weights": ([{"paths": ["a"]}], "weights: given None; expected a list"),
}


@pytest.mark.parametrize(("groups", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_a_manifest(load, tmp_path, groups, message):
    (tmp_path / "secret").write_bytes(BYTES)
    with pytest.raises(InputError, match=message):
        load(groups, a=BYTES)


def test_a_named_pipe_is_no_shard(load):
    os.mkfifo("a")
    with pytest.raises(InputError, match="expected a regular file"):
        load(group("a"))
