"""The target `keras`: the training of a model goes along, and updates that differ are an error."""

import keras2_entries
import numpy as np
import pytest
from old_models import CLIPPED, DENSE, RMSPROP, old_file

import multilstm
from multilstm.api import conversion as api
from multilstm.cases.model_case import model_case
from multilstm.compare import Comparison, Quantity
from multilstm.conversion.keras_file import classes_needed, keras_config
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import ParityError
from multilstm.files.compiled import OptimizerState, compiled
from multilstm.report.report import Report
from multilstm.spec import GRU, LSTM, Bidirectional, Dense, Masking, Sequential, from_json
from multilstm.spec.optimizers import SGD
from multilstm.spec.training import Training
from multilstm.suite.conversion import Conversion, check_updates
from multilstm.suite.updates import milestones, update_job


@pytest.fixture
def asked(monkeypatch):
    """The arguments of `convert_model`, which calls no Keras here."""
    calls = []

    def convert_model(spec, weights, target, follow=None, compiled=None):
        calls.append((spec, weights, compiled.training, compiled.state))
        return Conversion({".keras": b"content"}, Report((), {}), tuple(target.notes(spec, compiled)))

    monkeypatch.setattr(api, "convert_model", convert_model)
    return calls


def test_a_converted_model_keeps_its_training(asked, tmp_path):
    path = tmp_path / "old.h5"
    path.write_bytes(old_file(keras2_entries.lstm(), DENSE, optimizer=CLIPPED))
    conversion = multilstm.convert(path, to="keras")
    ((spec, weights, training, state),) = asked
    loaded = multilstm.load(path)
    assert (spec, training, state) == (loaded.spec, compiled(loaded).training, OptimizerState())
    assert training.optimizer.global_clipnorm == 0.05
    assert set(weights) == set(loaded.weights)
    assert conversion.files == {".keras": b"content"}
    assert "a program that loads the file needs `import multilstm.keras_layers`, for" in conversion.notes[-1]


def test_the_arrays_of_the_optimizer_belong_to_the_weights_of_the_file(asked, tmp_path):
    path = tmp_path / "old.h5"
    path.write_bytes(old_file(keras2_entries.lstm(), DENSE, optimizer=RMSPROP))
    loaded = multilstm.load(path)
    state = {"iterations:0": np.asarray(7), **{name: loaded.weights[name] for name in loaded.spec.trainable_weights}}
    for weights, count in ((None, 7), (loaded.weights, 0)):
        multilstm.convert(multilstm.LoadedModel(**{**vars(loaded), "optimizer_state": state}), "keras", weights=weights)
        assert asked[-1][3].iteration == count
        assert len(asked[-1][3].slots) == (5 if count else 0)


def test_a_model_without_training_has_none(asked):
    multilstm.convert(Sequential([LSTM(2)], (None, 3)), "keras")
    assert asked[0][1:] == (None, None, OptimizerState())


def test_layers_that_plain_keras_would_save_otherwise():
    spec = Sequential(
        [
            LSTM(2, return_sequences=True, dropout=0.1, implementation=1, name="apart"),
            LSTM(2, return_sequences=True, dropout=0.1, implementation=1, recurrent_dropout=0.1, name="always"),
            Bidirectional(GRU(2, dropout=0.1, implementation=1), name="both"),
            Dense(1, "hard_sigmoid_keras2"),
        ],
        (None, 3),
    )
    entries = {entry["config"]["name"]: entry for entry in keras_config(spec)["config"]["layers"]}
    assert entries["apart"]["registered_name"] == "multilstm>LSTM"
    assert entries["always"]["registered_name"] is None
    assert entries["both"]["registered_name"] is None
    assert entries["both"]["config"]["layer"]["registered_name"] == "multilstm>GRU"
    assert from_json(keras_config(spec)) == spec
    assert classes_needed(spec, None) == ("LSTM", "GRU", "activations.hard_sigmoid_keras2")
    assert classes_needed(spec, Training(SGD(), ("Huber",), counts_padding=True))[-1] == "MeanOverAllTimesteps"


def test_updates_that_differ_are_an_error():
    agreeing, differing = (Comparison(Quantity("weights", "a/kernel"), verdict) for verdict in ("within", "diverges"))
    check_updates((agreeing,), "the .keras file")
    message = (
        r"optimizer of the \.keras file, 2 of 3 arrays differ\. The first is weights:a/kernel\. To leave the optimizer"
    )
    with pytest.raises(ParityError, match=message):
        check_updates((agreeing, differing, differing), "the .keras file")


def test_a_spec_is_converted_without_the_optimizer_of_its_file(asked, tmp_path):
    """The advice of the error."""
    path = tmp_path / "old.h5"
    path.write_bytes(old_file(keras2_entries.lstm(), DENSE, optimizer=RMSPROP))
    model = multilstm.load(path)
    multilstm.convert(model.spec, "keras", weights=model.weights)
    assert asked[0][2:] == (None, OptimizerState())


def test_arrays_are_compared_after_one_ten_and_all_updates():
    assert [milestones(count) for count in (1, 5, 10, 100)] == [(1,), (1, 5), (1, 10), (1, 10, 100)]


def test_the_reference_counts_padding_on_request():
    """The gradient under the old mean is that of today, times the share of unmasked timesteps."""
    spec = Sequential([Masking(), LSTM(3, return_sequences=True), Dense(2)], (5, 3))
    case = model_case(spec)
    (step,) = case.gradient_steps()
    share = (step.batch.inputs["input_layer"] != 0).any(-1).mean()
    assert 0 < share < 1
    gradients = []
    for counts_padding in (False, True):
        job = update_job(case, Training(SGD(1.0), ("MeanSquaredError",), counts_padding), OptimizerState(), 1)
        after = Executor(ReferenceEngine()).execute(job).weights
        gradients.append({name: case.initial_weights[name] - after[name] for name in spec.trainable_weights})
    for name, gradient in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], share * gradient, rtol=0, atol=1e-15)
