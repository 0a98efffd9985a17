"""The table of conversion targets: its rows, and the choice by name or suffix."""

import dataclasses

import numpy as np
import pytest

from multilstm.engines.registry import ENGINES, EngineRow, base_name
from multilstm.errors import InputError, UnsupportedError, UsageError
from multilstm.files.compiled import Compiled
from multilstm.spec import LSTM, Activation, Bidirectional, Dense, Embedding, Input, Model, Sequential, TimeDistributed
from multilstm.spec.layers import ACTIVATIONS
from multilstm.spec.optimizers import Adam
from multilstm.spec.training import Training
from multilstm.suite.conversion import _training_notes, convert_model
from multilstm.suite.targets import TARGETS, target_for, target_named, with_opset
from multilstm.weights import discriminating_weights

pytestmark = pytest.mark.unit
WRITERS = [name for name in TARGETS if not name.startswith("keras")]  # Keras writes these in a process of its own


def test_a_path_in_place_of_a_target_is_named():
    with pytest.raises(UsageError, match=r"unknown target 'p\.py': .*; a path belongs to `save` of the result"):
        target_named("p.py")


@pytest.mark.parametrize("name", TARGETS)
def test_a_row_names_an_engine_and_its_suffixes(name):
    target = TARGETS[name]
    assert target.name == name
    assert base_name(target.engine) in ENGINES
    assert target.suffixes
    assert all(suffix.startswith(".") for suffix in target.suffixes)


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [("port.py", None, "torch"), ("a.b/port.py", "torch", "torch"), ("port.onnx", None, "onnx")],
    ids=["py", "name", "onnx"],
)
def test_a_file_has_a_target(path, name, expected):
    assert target_for(path, name).name == expected


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("port.caffe", None, r"suffix '.caffe'; expected .py \(torch, flax-nnx, .*, tf1\), .onnx \(onnx\), .keras"),
        ("port", None, "the suffix ''; expected"),
        ("port.npz", "torch", r"the suffix '.npz'; expected .py \(torch\)$"),
        ("port.py", "caffe", "unknown target 'caffe': expected one of torch"),
    ],
    ids=["suffix", "none", "other", "name"],
)
def test_a_file_without_a_target_is_refused(path, name, message):
    with pytest.raises(UsageError, match=message):
        target_for(path, name)


def test_a_name_is_text():
    with pytest.raises(UsageError, match="unknown target 7"):
        target_named(7)


def test_the_operators_of_onnx_are_chosen():
    target = with_opset(target_named("onnx"), 18)
    assert target.settings == {"MULTILSTM_ONNX_OPSET": "18"}
    assert with_opset(target_named("torch"), None) is TARGETS["torch"]


@pytest.mark.parametrize(
    ("name", "opset", "message"),
    [("torch", 17, "opset is 17, and the target torch; expected the target onnx"), ("onnx", 13, "expected 14 to 22")],
    ids=["target", "version"],
)
def test_an_opset_that_does_not_fit_is_refused(name, opset, message):
    with pytest.raises(UsageError, match=message):
        with_opset(target_named(name), opset)


@pytest.mark.parametrize("name", WRITERS)
def test_a_target_names_the_suffixes_of_its_files(name):
    main, *further = files(name, Dense(2))
    assert main in TARGETS[name].suffixes
    assert tuple(further) == TARGETS[name].further


def files(target, *layers):
    if target == "onnx":
        pytest.importorskip("onnx", reason="install multilstm[onnx]")
    spec = Sequential(list(layers), (5, 3))
    return TARGETS[target].files(spec, discriminating_weights(spec), None)


@pytest.mark.parametrize("target", WRITERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_the_spec_is_written(activation, target):
    assert files(target, Dense(2, activation), Activation(activation))


@pytest.mark.parametrize("target", WRITERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_a_recurrent_layer_is_written_or_refused_by_its_name(activation, target):
    try:
        assert files(target, Bidirectional(LSTM(2, activation, activation)))
    except UnsupportedError as error:
        assert repr(activation) in str(error)  # noqa: PT017 - whether it is refused depends on the target


def test_a_weight_that_float32_does_not_hold_is_refused_in_one_line():
    spec = Sequential([LSTM(2)], (5, 3))
    weights = {name: np.asarray(array, np.float64) for name, array in discriminating_weights(spec).items()}
    weights["lstm/bias"][3] = 1e300
    with pytest.raises(InputError, match=r"'lstm/bias' holds 1e\+300, more than float32 does"):
        convert_model(spec, weights, TARGETS["scan"])


@pytest.mark.parametrize("name", TARGETS)
def test_no_target_writes_a_model_inside_of_a_layer(name):
    sentence = Sequential([Embedding(9, 3, mask_zero=True), LSTM(4)], (None,), input_dtype="int32")
    spec = Sequential([TimeDistributed(sentence, name="td"), LSTM(3)], (None, None), input_dtype="int32")
    with pytest.raises(UnsupportedError, match="TimeDistributed 'td' holds a model, which no target writes"):
        convert_model(spec, None, TARGETS[name])


def called_twice(apart, stateful=True):
    """Return a model whose layer has two calls; the second one reads the first, or another input."""
    shared = LSTM(3, return_sequences=True, stateful=stateful, name="shared")
    first, second = Input((4, 3), batch_size=2, name="a"), Input((4, 3), batch_size=2, name="b")
    once = shared(first)
    return Model([first, second] if apart else first, [once, shared(second if apart else once)])


def reached(spec, monkeypatch, name):
    """Return whether a target is asked for the files of a model."""

    def files(*_):
        raise KeyboardInterrupt

    row = EngineRow(base_name(TARGETS[name].engine), "module:Class", ("numpy",), None, {})
    monkeypatch.setitem(ENGINES, row.name, row)
    try:
        convert_model(spec, None, dataclasses.replace(TARGETS[name], files=files))
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.parametrize("apart", [True, False], ids=["apart", "dependent"])
@pytest.mark.parametrize("name", TARGETS)
def test_a_stateful_layer_with_two_calls_is_refused_where_its_state_would_be_lost(name, apart, monkeypatch):
    carries = {"any": True, "one": False, "dependent": not apart}[TARGETS[name].stateful_calls]
    if carries:
        assert reached(called_twice(apart), monkeypatch, name)
        return
    with pytest.raises(
        UnsupportedError, match=f"^{name}: LSTM 'shared' cannot be converted because of its 2 calls: it"
    ):
        reached(called_twice(apart), monkeypatch, name)


@pytest.mark.parametrize("name", ["torch", "equinox", "keras"])
def test_a_layer_whose_calls_share_no_state_is_converted(name, monkeypatch):
    assert reached(called_twice(True, stateful=False), monkeypatch, name)
    assert reached(called_twice(False, stateful=False), monkeypatch, name)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_without_a_training_states_that_it_is_left_out(name):
    given = Compiled(Training(Adam(), ("MeanSquaredError",)))
    notes = _training_notes(TARGETS[name], given)
    expected = () if TARGETS[name].keeps_training else ("the optimizer and the losses of the model are left out",)
    assert notes == expected
    assert _training_notes(TARGETS[name], Compiled()) == ()
