"""The table of drift: the places where a model is touched, and the page that shows the table."""

import json
import pathlib

import keras2_entries
import pytest
from old_models import CLIPPED, DENSE, RMSPROP, masking, old_file

import multilstm
from multilstm.cases.model_case import model_case
from multilstm.errors import SpecError, UsageError
from multilstm.migration import DRIFTS, migrated_source
from multilstm.migration.measured import measured
from multilstm.migration.migrate import old_model
from multilstm.migration.seen import masked_tensors
from multilstm.spec import LSTM, Dense, Embedding, Input, Sequential, from_json

ROOT = pathlib.Path(__file__).parents[2]
ROWS = {row.name: row for row in DRIFTS}
LSTM2 = keras2_entries.lstm
BOTH = {
    "class_name": "Bidirectional",
    "config": {"name": "both", "merge_mode": "concat", "trainable": True, "layer": LSTM2(return_sequences=True)},
}
EACH = {
    "class_name": "TimeDistributed",
    "config": {"name": "each", "trainable": True, "layer": BOTH, "batch_input_shape": [None, 3, 4, 3]},
}
PLAIN = {"recurrent_activation": "sigmoid", "implementation": 2}
SEQUENCE = {**PLAIN, "return_sequences": True}
HINGE = {"optimizer": {"class_name": "Adam", "config": {}}, "loss": "squared_hinge"}
STATEFUL = LSTM2(**PLAIN, stateful=True, batch_input_shape="LEFT OUT")
PENALTY = {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.1}}
PENALIZED = {**DENSE, "config": {**DENSE["config"], "activity_regularizer": PENALTY}}
_ARGUMENTS = {name: value for name, value in CLIPPED["config"].items() if name != "decay"}
NOT_LEGACY = {**CLIPPED, "config": _ARGUMENTS}


def normalization(**changes):
    return {"class_name": "BatchNormalization", "config": {"name": "norm", "axis": -1, "trainable": True, **changes}}


def loaded(tmp_path, *layers, **options):
    path = tmp_path / "old.h5"
    path.write_bytes(old_file(*layers, **options))
    return multilstm.load(path)


def touched(tmp_path, *layers, **options):
    old, _ = old_model(loaded(tmp_path, *layers, **options))
    return {row.name: tuple(row.places(old)) for row in DRIFTS if row.places(old)}


@pytest.mark.parametrize(
    ("layers", "options", "expected"),
    [
        ((LSTM2(),), {}, {"hard_sigmoid": ("layer a",)}),
        ((LSTM2(**PLAIN),), {}, {}),
        ((EACH,), {"version": "2.4.0"}, {"hard_sigmoid": ("layer each",)}),
        ((LSTM2(**{**PLAIN, "dropout": 0.2, "implementation": 1}),), {}, {"mask_per_gate": ("layer a",)}),
        ((LSTM2(**PLAIN, dropout=0.2),), {}, {}),
        ((LSTM2(**PLAIN), DENSE), {"optimizer": RMSPROP}, {"rmsprop_epsilon": 1, "decay": 1}),
        ((LSTM2(**PLAIN), DENSE), {"optimizer": CLIPPED}, {"rmsprop_epsilon": 1, "decay": 1, "clipnorm": 1}),
        ((LSTM2(**PLAIN), DENSE), {"optimizer": CLIPPED, "version": "2.6.0"}, {"rmsprop_epsilon": 1, "decay": 1}),
        # From 2.11 on, an optimizer with the argument `decay` is a legacy one, with the rules of 2.10.
        ((LSTM2(**PLAIN), DENSE), {"optimizer": CLIPPED, "version": "2.12.0"}, {"rmsprop_epsilon": 1, "decay": 1}),
        ((LSTM2(**PLAIN), DENSE), {"optimizer": NOT_LEGACY, "version": "2.12.0"}, {}),
        ((LSTM2(**PLAIN), DENSE), {"optimizer": {"class_name": "Nadam", "config": {}}}, {"other_optimizers": 1}),
        ((masking(), BOTH), {}, {"hard_sigmoid": ("layer both",), "bidirectional_padding": ("layer both",)}),
        ((masking(), BOTH), {"version": "2.6.0"}, {"hard_sigmoid": ("layer both",)}),
        ((LSTM2(**PLAIN, stateful=True, batch_input_shape=[2, 3, 3]),), {}, {"reset_states": ("layer a",)}),
        (
            (masking(), LSTM2(**SEQUENCE), DENSE),
            {"optimizer": {"class_name": "Adam", "config": {}}, "version": "2.3.1"},
            {"masked_loss": ("output head",)},
        ),
        ((LSTM2(**PLAIN), DENSE), HINGE, {"hinge_labels": ("output head",)}),
        (
            (LSTM2(**PLAIN), DENSE),
            {**HINGE, "loss": "hinge", "version": "2.2.4-tf"},
            {"hinge_labels": ("output head",)},
        ),
        ((LSTM2(**PLAIN), DENSE), {**HINGE, "version": "2.3.1"}, {}),
        ((LSTM2(**PLAIN), PENALIZED), {"version": "2.3.1"}, {"activity_penalty": ("layer head",)}),
        ((LSTM2(**PLAIN), PENALIZED), {"version": "2.4.0"}, {}),
        ((LSTM2(**SEQUENCE), normalization()), {}, {"moving_variance": ("layer norm",)}),
        ((LSTM2(**SEQUENCE), normalization()), {"version": "2.1.3"}, {}),
        ((LSTM2(**SEQUENCE), normalization()), {"version": "2.6.0"}, {}),
        ((normalization(batch_input_shape=[None, 4, 4, 2]),), {"version": "2.6.0"}, {"moving_variance": 1}),
        ((LSTM2(**SEQUENCE), normalization(trainable=False)), {}, {"frozen_normalization": ("layer norm",)}),
        ((LSTM2(**SEQUENCE), normalization(trainable=False)), {"version": "2.4.0"}, {}),
        ((masking(size=2), STATEFUL), {}, {"reset_states": 1, "first_masked_timesteps": ("layer a",)}),
        ((masking(size=2), STATEFUL), {"version": "2.3.0"}, {"reset_states": 1}),
        ((LSTM2(**SEQUENCE), normalization()), {"version": "1.0.5"}, {"moving_deviation": ("layer norm",)}),
        ((LSTM2(**SEQUENCE), normalization()), {"version": "1.0.6"}, {}),
        (
            (masking(), LSTM2(**PLAIN), DENSE),
            {"optimizer": {"class_name": "Adam", "config": {}}, "version": "2.3.1"},
            {},
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_row_is_seen_where_it_touches(tmp_path, layers, options, expected):
    found = touched(tmp_path, *layers, **options)
    assert found.keys() == expected.keys()
    assert all(found[name] == places for name, places in expected.items() if places != 1)


def test_masks_are_found_whatever_the_numbers_are():
    spec = Sequential([Embedding(9, 3, mask_zero=True), LSTM(2, return_sequences=True), LSTM(2), Dense(1)], (None,))
    masked = {spec.calls[ref.call].layer for ref in masked_tensors(spec)}
    assert masked == {"embedding", "lstm"}


@pytest.mark.parametrize("name", [row.name for row in DRIFTS if row.undone is not None])
def test_the_size_of_a_change_of_training_is_measured(tmp_path, name):
    layers = (masking(), LSTM2(**SEQUENCE), DENSE)
    old, _ = old_model(loaded(tmp_path, *layers, optimizer=CLIPPED, version="2.3.1"))
    case = model_case(old.spec)
    sentence = measured(ROWS[name], case, old.training)
    assert float(sentence.partition("up to ")[2].split(",")[0]) > 1e-5
    assert measured(ROWS["reset_states"], case, old.training) == ""
    assert measured(ROWS[name], case, None) == ""


def test_the_page_shows_every_row_of_the_table():
    page = (ROOT / "docs" / "reference" / "old_keras.md").read_text(encoding="utf-8")
    assert "_generated/drift.md" in page
    assert len(ROWS) == len(DRIFTS)
    assert all(row.before and row.since and row.now and row.seen and row.writes for row in DRIFTS)


def test_the_source_has_model_and_training(tmp_path):
    source = migrated_source(loaded(tmp_path, LSTM2(), DENSE, optimizer=CLIPPED, version="2.3.1"))
    compile(source, "model.py", "exec")
    assert "from multilstm import keras_layers\n" in source
    assert source.count("import keras_layers") == 1
    assert "keras_layers.RMSpropKeras2(" in source
    assert "keras.optimizers.schedules.InverseTimeDecay(" in source
    assert "global_clipnorm=0.05" in source
    assert "loss=keras_layers.MeanOverAllTimesteps(keras.losses.CategoricalCrossentropy())" in source


def test_the_source_names_what_it_lacks(tmp_path):
    optimizer = {"class_name": "Nadam\n", "config": {}}
    source = migrated_source(loaded(tmp_path, LSTM2(**PLAIN), DENSE, optimizer=optimizer))
    assert source.splitlines()[-1].startswith("# the file has no optimizer and no loss: optimizer 'Nadam")
    assert "keras_layers" not in source


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"class_name": "Sequential", "config": [LSTM2()]}, "does not state the version of Keras 2"),
        (
            multilstm.Sequential([LSTM(2)], (None, 3)).to_json(),
            "Only models of Keras 1 and 2 are migrated.*: multilstm convert MODEL NEW.keras",
        ),
    ],
    ids=["unknown", "keras_3"],
)
def test_refuses_a_model_of_another_or_of_no_version(tmp_path, config, message):
    path = tmp_path / "model.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(UsageError, match=message):
        multilstm.migrate(path)


def test_the_version_is_given_where_the_file_states_none(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"class_name": "Sequential", "config": [LSTM2()]}))
    assert multilstm.load(path, keras_version="2.2.2").provenance.version == "2.2.2"
    path.write_text(json.dumps(keras2_entries.stack(LSTM2())))
    with pytest.raises(UsageError, match=r"states the version '2.2.4', and '2.3.1' is given"):
        multilstm.load(path, keras_version="2.3.1")


def functional(training):
    """Return a model of Keras 2.9 whose layers are called with an argument `training`."""

    def entry(kind, source, **config):
        nodes = [[[source, 0, 0, {"training": training}]]] if source else []
        return {"class_name": kind, "name": config["name"], "inbound_nodes": nodes, "config": config}

    layers = [
        entry("InputLayer", None, name="x", batch_input_shape=[None, 4, 3]),
        entry("LSTM", "x", **LSTM2(**SEQUENCE, name="lstm", batch_input_shape="LEFT OUT")["config"]),
        entry("BatchNormalization", "lstm", name="norm", axis=[2]),
        entry("Dropout", "norm", name="drop", rate=0.5),
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["drop", 0, 0]]}
    return {"class_name": "Functional", "config": config, "keras_version": "2.9.0", "backend": "tensorflow"}


@pytest.mark.parametrize("training", [False, None])
def test_a_call_without_training_is_noted_and_drifts(tmp_path, training):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(functional(training)))
    model = multilstm.load(path)
    notes = [note.split(":")[0] for note in model.provenance.notes]
    assert notes == ([] if training is None else ["training=False in the call of 'lstm', 'norm', 'drop'"])
    old, _ = old_model(model)
    found = {row.name: tuple(row.places(old)) for row in DRIFTS if row.places(old)}
    assert found == ({} if training is None else {"training_false": ("layer norm", "layer drop")})


@pytest.mark.parametrize("training", [False, True])
def test_a_call_of_a_model_holds_the_layers_inside(tmp_path, training):
    inner, outer = functional(None), functional(None)
    call = {**inner, "name": "m", "inbound_nodes": [[["x", 0, 0, {"training": training}]]]}
    source = {**inner["config"]["layers"][0], "name": "x"}
    outer["config"] = {**outer["config"], "name": "o", "layers": [source, call], "output_layers": [["m", 1, 0]]}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(outer))
    if training:
        with pytest.raises(SpecError, match="call 0: training: given True; expected False or None"):
            multilstm.load(path)
    else:
        assert [row.name for row in DRIFTS if row.places(old_model(multilstm.load(path))[0])] == ["training_false"]


@pytest.mark.parametrize("training", [True, 0, "no"])
def test_a_call_with_training_is_refused(training):
    with pytest.raises(SpecError, match=f"call 0: training: given {training!r}; expected False or None; dropout"):
        from_json(functional(training))


def test_keras_3_writes_training_false_by_itself_and_no_note_is_made(tmp_path):
    x = Input((4, 3), name="x")
    file = json.loads(multilstm.Model(x, LSTM(2, name="a")(x)).to_json())
    file["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = {"training": False}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(file))
    assert multilstm.load(path).provenance.notes == ()


@pytest.mark.parametrize("version", ["2.2.4; rm -rf", "2.2.4\n\x1b[31mx", "0x2", "\uff12.\uff12.\uff14"], ids=ascii)
def test_a_version_that_is_none_is_refused_or_unknown(tmp_path, version):
    path = tmp_path / "model.json"
    config = {"class_name": "Sequential", "config": [LSTM2()]}
    path.write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"keras_version: given '.*'; expected a version of Keras such as 2\.2\.4"):
        multilstm.load(path, keras_version=version)
    path.write_text(json.dumps({**config, "keras_version": version}))
    origin = multilstm.load(path).provenance
    assert (origin.version, origin.sentence) == (
        None, "The model is from Keras 2, by the form of the file: JSON of a model.",
    )  # fmt: skip
    assert origin.notes[0].startswith("the file states the version '")
    assert "which is none of Keras and is ignored" in origin.notes[0]


def test_a_version_that_decides_nothing_is_completed(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**keras2_entries.stack(LSTM2()), "keras_version": "2"}))
    with pytest.raises(UsageError, match="does not state the version of Keras 2, on which its meaning depends"):
        multilstm.migrate(path)
    assert multilstm.load(path, keras_version="2.2.4").provenance.version == "2.2.4"


def test_only_positive_counts_of_updates_are_taken(tmp_path):
    with pytest.raises(UsageError, match="updates must be at least 1, given 0"):
        multilstm.migrate(tmp_path / "absent.h5", updates=0)


def test_an_optimizer_without_a_class_is_left_out(tmp_path):
    old, given = old_model(loaded(tmp_path, LSTM2(), DENSE, optimizer={"name": "rmsprop"}))
    assert [row.name for row in DRIFTS if row.places(old)] == ["hard_sigmoid"]
    assert given.training is None
    assert "the class of its optimizer is None" in given.notes[0]
