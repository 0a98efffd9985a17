"""`load`: a spec, its weights and their origin, from every format of Keras that is read."""

import dataclasses
import json

import numpy as np
import pytest
from written_files import SPEC, archive, by_layer, hdf5, keras_archive, legacy, tree, weights_of

import multilstm
from multilstm.errors import InputError, UsageError
from multilstm.spec import LSTM, BatchNormalization, Conv1D, Dense, Sequential

WEIGHTS = weights_of(SPEC)
CONFIG = SPEC.to_json()


pytestmark = pytest.mark.usefixtures("parse_here")


def same(weights, desired=WEIGHTS):
    assert list(weights) == list(desired)
    for name, array in desired.items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name, strict=True)


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written(name, content):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return written


MODELS = {
    "keras": keras_archive(SPEC, WEIGHTS),
    "tf_keras_2.12": archive(
        {"config.json": CONFIG, "model.weights.h5": hdf5(tree(SPEC, WEIGHTS, "_layer_checkpoint_dependencies"))}
    ),
    "deflated": archive({"config.json": CONFIG, "model.weights.h5": hdf5(tree(SPEC, WEIGHTS))}, compression=8),
    "legacy": hdf5(legacy(by_layer(SPEC, WEIGHTS, "_7"), model_config=CONFIG)),
    "legacy_bytes": hdf5(legacy(by_layer(SPEC, WEIGHTS), model_config=CONFIG.encode())),
}


@pytest.mark.parametrize("name", ["model", "model.json", "model.zip"])
@pytest.mark.parametrize("content", MODELS.values(), ids=MODELS)
def test_reads_a_model_with_its_weights_whatever_its_name(write, name, content):
    loaded = multilstm.load(write(name, content))
    assert loaded.spec == SPEC
    same(loaded.weights)


STORES = {
    "weights.h5": hdf5(tree(SPEC, WEIGHTS)),
    "legacy": hdf5(legacy(by_layer(SPEC, WEIGHTS))),
    "other_names": hdf5(legacy({f"{name}_9": arrays for name, arrays in by_layer(SPEC, WEIGHTS, "_9").items()})),
}


@pytest.mark.parametrize("content", STORES.values(), ids=STORES)
@pytest.mark.parametrize("way", ["weights=", "architecture=", "architecture=spec", "architecture=loaded"])
def test_reads_weights_beside_an_architecture(write, content, way):
    weights, model = write("weights", content), write("model.json", CONFIG)
    if way == "weights=":
        loaded = multilstm.load(model, weights=weights)
    else:
        choices = {"architecture=": model, "architecture=spec": SPEC, "architecture=loaded": multilstm.load(model)}
        loaded = multilstm.load(weights, architecture=choices[way])
    assert loaded.spec == SPEC
    same(loaded.weights)


def test_says_that_weights_were_assigned_by_order(write):
    loaded = multilstm.load(write("weights", STORES["other_names"]), architecture=SPEC)
    assert "assigned in order" in loaded.provenance.notes[0]


def test_a_configuration_has_no_weights(write):
    assert multilstm.load(write("model.json", CONFIG)).weights is None


def test_a_configuration_that_was_written_as_text_twice(write):
    assert multilstm.load(write("model.json", json.dumps(CONFIG))).spec == SPEC


def test_states_the_origin(write):
    provenance = multilstm.load(write("m", MODELS["keras"])).provenance
    assert provenance.lines() == ("Format: Keras archive (.keras)", "Written by: Keras 3.8.0")
    content = hdf5(legacy(by_layer(SPEC, WEIGHTS), model_config=CONFIG, keras_version="3.1.0", backend="jax"))
    provenance = multilstm.load(write("m", content)).provenance
    assert provenance.lines() == ("Format: HDF5 of Keras (.h5)", "Written by: Keras 3.1.0, backend jax")
    provenance = multilstm.load(write("m", MODELS["legacy"])).provenance
    assert provenance.lines()[1] == "Written by: Keras 3, by the form of the file"


def test_keeps_the_training_configuration_and_the_optimizers_arrays(write):
    slot = np.arange(6, dtype=np.float32)

    def compiled(file):
        legacy(by_layer(SPEC, WEIGHTS), model_config=CONFIG, training_config='{"loss": "mse"}')(file)
        group = file.create_group("optimizer_weights")
        group.attrs["weight_names"] = [b"iterations:0", b"a/m:0"]
        group["iterations:0"], group["a/m:0"] = np.int64(7), slot

    loaded = multilstm.load(write("m", hdf5(compiled)))
    assert loaded.training == {"loss": "mse"}
    assert list(loaded.optimizer_state) == ["iterations:0", "a/m:0"]
    assert loaded.optimizer_state["iterations:0"] == 7
    np.testing.assert_array_equal(loaded.optimizer_state["a/m:0"], slot)


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4", ">f8"])
def test_keeps_numbers_of_every_dtype(write, dtype):
    weights = weights_of(SPEC, dtype)
    loaded = multilstm.load(write("m", keras_archive(SPEC, weights)))
    expected = {"float64": "float64", ">f8": "float64"}.get(dtype, "float32")
    same(loaded.weights, {name: array.astype(expected) for name, array in weights.items()})


def test_reads_bfloat16(write):
    bits = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in WEIGHTS.items()}
    expected = {name: (array.astype(np.uint32) << 16).view(np.float32) for name, array in bits.items()}
    opaque = {name: array.view("V2") for name, array in bits.items()}
    same(multilstm.load(write("m", keras_archive(SPEC, opaque))).weights, expected)


def test_long_lists_of_names_are_split(write):
    def split(file):
        legacy(by_layer(SPEC, WEIGHTS))(file)
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]

    same(multilstm.load(write("m", hdf5(split)), architecture=SPEC).weights)


@pytest.mark.parametrize(
    ("layer", "given"),
    [(LSTM(3, name="a"), "recurrent_kernel kernel bias"), (BatchNormalization(name="a"), "beta gamma moving_mean")],
    ids=["lstm", "batch_normalization"],
)
def test_weights_of_one_shape_in_another_order_are_refused(write, layer, given):
    """Keras would assign them by their place, and TensorFlow.js by their name."""
    spec = Sequential([layer], input_shape=(4, 3))
    weights = {name: np.zeros(shape, np.float32) for name, shape in spec.weight_shapes.items()}
    names = [f"a/{name}" for name in given.split()]
    layers = {"a": {f"{name}:0": weights[name] for name in dict.fromkeys((*names, *weights))}}
    with pytest.raises(InputError, match=f"holds its weights in the order '{names[0]}:0', '{names[1]}:0', .*expected"):
        multilstm.load(write("m", hdf5(legacy(layers))), architecture=spec)


def test_the_state_of_a_random_generator_is_no_weight(write):
    def seeded(file):
        tree(SPEC, WEIGHTS)(file)
        file["layers/lstm/seed_generator/vars/0"] = np.zeros(2, np.uint32)

    same(multilstm.load(write("m", hdf5(seeded)), architecture=SPEC).weights)


def without(name):
    return {key: array for key, array in WEIGHTS.items() if key != name}


def beside(path):
    """Return a file with an array outside of the layers of the model."""

    def write(file):
        tree(SPEC, WEIGHTS)(file)
        file[path] = np.zeros(2, np.float32)

    return hdf5(write)


def test_weights_of_the_model_itself_are_refused(write):
    def owned(file):
        legacy(by_layer(SPEC, WEIGHTS))(file)
        group = file.create_group("top_level_model_weights")
        group.attrs["weight_names"] = np.array(["scale:0"], "S")
        group["scale:0"] = np.ones(())

    with pytest.raises(InputError, match="the model has weights of its own, 'scale:0'"):
        multilstm.load(write("m", hdf5(owned)), architecture=SPEC)


@pytest.mark.parametrize("path", ["metrics/mean/vars/0", "layers/sequential/optimizer/vars/1"])
def test_metrics_and_optimizers_are_no_weights(write, path):
    same(multilstm.load(write("m", beside(path)), architecture=SPEC).weights)


SMALL = Sequential([LSTM(3, name="lower")], input_shape=(None, 5))
MISFITS = {
    "one_weight_fewer": (hdf5(tree(SPEC, without("upper/bias"))), SPEC, r"LSTM 'upper' .*given 2 weights .*expected 3"),
    "a_layer_fewer": (hdf5(tree(SMALL, weights_of(SMALL))), SPEC, r"Bidirectional 'both'.*given 0 weights"),
    "a_layer_more": (STORES["weights.h5"], SMALL, "not in the model: bidirectional, dense, lstm_1, time_dist"),
    "legacy_layer_more": (STORES["legacy"], SMALL, "the file holds weights of 5 layers .*the model has 1 layers"),
    "a_shape": (
        hdf5(tree(SPEC, {**WEIGHTS, "head/bias": np.zeros(3, np.float32)})), SPEC,
        r"Dense 'head'.*bias has the shape \(3,\), expected \(2,\)",
    ),
    "integers": (
        hdf5(tree(SPEC, {**WEIGHTS, "head/bias": np.zeros(2, np.int32)})),
        SPEC, "bias has the dtype int32, expected float32",
    ),
    **{
        f"beside_the_layers_{path.split('/')[0]}": (
            beside(path), SPEC, f"in the file but not in the model: {path.split('/')[0]}"
        )
        for path in ("vars/0", "encoder/vars/0", "_layer_checkpoint_dependencies/lstm/vars/0")
    },
    "an_unknown_part": (
        hdf5(lambda file: file.create_dataset("layers/lstm/secret/vars/0", data=np.zeros(2))), SPEC, "part 'secret'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "spec", "message"), MISFITS.values(), ids=MISFITS)
def test_weights_that_do_not_fit_name_layer_and_shapes(write, content, spec, message):
    with pytest.raises(InputError, match=message):
        multilstm.load(write("weights", content), architecture=spec)


def test_weights_alone_ask_for_the_architecture(write):
    with pytest.raises(UsageError, match=r"weights alone \(lower \[5, 12\] .*architecture=FILE, or --architecture"):
        multilstm.load(write("weights", STORES["legacy"]))


def test_refuses_two_models_and_two_sets_of_weights(write):
    model, config, weights = write("m", MODELS["keras"]), write("c", CONFIG), write("w", STORES["legacy"])
    with pytest.raises(UsageError, match="holds weights itself"):
        multilstm.load(model, weights=weights)
    with pytest.raises(UsageError, match="holds a model itself"):
        multilstm.load(config, architecture=config)
    with pytest.raises(InputError, match="holds no weights"):
        multilstm.load(config, weights=config)
    with pytest.raises(UsageError, match="holds no model"):
        multilstm.load(weights, architecture=weights)


def test_names_the_file_of_a_broken_configuration(write):
    with pytest.raises(InputError, match=r"^cannot read 'm': config.json: this is not JSON"):
        multilstm.load(write("m", archive({"config.json": "{"})))


def test_run_and_parity_take_the_weights_of_the_file(write):
    x = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)
    loaded = multilstm.load(write("m", MODELS["keras"]))
    desired = multilstm.run(SPEC, "reference", x, weights=WEIGHTS).output
    np.testing.assert_array_equal(multilstm.run(loaded, "reference", x).output, desired)
    other = weights_of(SPEC, seed=1)
    assert not np.allclose(multilstm.run(loaded, "reference", x, weights=other).output, desired)
    report = multilstm.parity(loaded, x, engines=["reference"], dtypes=["float32"])
    report.check()


OLD = Sequential(
    [LSTM(2, name="a", recurrent_activation="hard_sigmoid_keras2"), Dense(1, name="b")], input_shape=(4, 3)
)


def keras_1(**top):
    """Return a configuration of Keras 1: a list of layers, with the names of its arguments."""
    lstm = {"name": "a", "output_dim": 2, "inner_activation": "hard_sigmoid", "activation": "tanh",
            "batch_input_shape": [None, 4, 3], "consume_less": "cpu"}  # fmt: skip
    dense = {"name": "b", "output_dim": 1, "activation": "linear"}
    layers = [{"class_name": "LSTM", "config": lstm}, {"class_name": "Dense", "config": dense}]
    return json.dumps({"class_name": "Sequential", "config": layers, **top})


def keras_1_weights(weights):
    """Return the arrays of Keras 1: three for each gate of an LSTM, the gates in the order i, c, f, o."""
    lstm = {}
    for gate, letter in ((0, "i"), (2, "c"), (1, "f"), (3, "o")):
        for name, kind in (("kernel", "W"), ("recurrent_kernel", "U"), ("bias", "b")):
            lstm[f"a_{kind}_{letter}"] = weights[f"a/{name}"][..., 2 * gate : 2 * gate + 2]
    return {"a": lstm, "b": {"b_W": weights["b/kernel"], "b_b": weights["b/bias"]}}


@pytest.mark.parametrize("way", ["whole", "in_two_files", "without_a_version"])
def test_reads_a_model_of_keras_1(write, way):
    weights = weights_of(OLD)
    arrays, version = keras_1_weights(weights), {} if way == "without_a_version" else {"keras_version": "1.2.2"}
    if way == "whole":
        loaded = multilstm.load(write("m", hdf5(legacy(arrays, model_config=keras_1(), **version))))
    else:
        loaded = multilstm.load(write("m", keras_1(**version)), weights=write("w", hdf5(legacy(arrays))))
    assert list(loaded.spec.layers[1:]) == [
        dataclasses.replace(layer, implementation=1) if isinstance(layer, LSTM) else layer for layer in OLD.layers[1:]
    ]
    same(loaded.weights, weights)
    assert "the twelve arrays of Keras 1 (gates i, c, f, o) were joined" in loaded.provenance.notes[-1]
    assert any("0.2 * x + 0.5" in note for note in loaded.provenance.notes)
    assert loaded.provenance.version == version.get("keras_version")


def test_weights_date_an_old_configuration_without_a_version(write):
    config = json.loads(keras_1())
    config["config"][0]["config"] = {"name": "a", "units": 2, "batch_input_shape": [None, 4, 3]}
    config["config"][1]["config"] = {"name": "b", "units": 1}
    weights = hdf5(legacy(by_layer(OLD, weights_of(OLD)), keras_version="2.3.1"))
    loaded = multilstm.load(write("m", json.dumps(config)), weights=write("w", weights))
    assert loaded.provenance.version == "2.3.1"
    assert loaded.spec.layer("a").recurrent_activation == "sigmoid"


@pytest.mark.parametrize("left_out", ["a", "b"])
def test_layers_without_a_name_take_weights_in_order(write, left_out):
    spec = Sequential([LSTM(2, name="a"), Dense(1, name="b")], input_shape=(4, 3))
    weights, config = weights_of(spec), json.loads(spec.to_json())
    del next(entry for entry in config["config"]["layers"] if entry["config"]["name"] == left_out)["config"]["name"]
    store = hdf5(legacy(by_layer(spec, weights)))
    loaded = multilstm.load(write("m", json.dumps(config)), weights=write("w", store))
    for given, desired in zip(loaded.weights.values(), weights.values(), strict=True):
        np.testing.assert_array_equal(given, desired, strict=True)


def test_weights_of_a_model_inside_the_model_are_found_by_their_names(write):
    layers = by_layer(SPEC, WEIGHTS)
    inner = {name: array for layer in ("both", "each") for name, array in layers[layer].items()}
    groups = {"lower": layers["lower"], "inner_model": inner, "upper": layers["upper"], "head": layers["head"]}
    same(multilstm.load(write("w", hdf5(legacy(groups))), architecture=SPEC).weights)


CONVOLUTION = Sequential([Conv1D(4, 3, name="c")], input_shape=(None, 2))
KERNELS = {
    "keras_2": (lambda kernel: kernel, {"backend": "tensorflow"}, ""),
    "keras_1": (
        lambda kernel: kernel[:, None],
        {},
        "lost its axis of size 1; the file does not state",
    ),
    "oldest": (lambda kernel: kernel.transpose(2, 1, 0)[..., None], {}, "the kernel of Keras 1 lost its axis"),
    "theano": (lambda kernel: kernel[::-1], {"backend": "theano"}, "Theano reverses it"),
}


@pytest.mark.parametrize(("old", "attributes", "note"), KERNELS.values(), ids=KERNELS)
def test_kernels_of_convolutions_are_converted(write, old, attributes, note):
    weights = weights_of(CONVOLUTION)
    layers = {"c": {"c/kernel:0": old(weights["c/kernel"]), "c/bias:0": weights["c/bias"]}}
    loaded = multilstm.load(write("w", hdf5(legacy(layers, **attributes))), architecture=CONVOLUTION)
    same(loaded.weights, weights)
    assert note in " ".join(loaded.provenance.notes)
