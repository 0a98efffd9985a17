"""The origin of a model, and what Keras 3 would silently change, in numbers."""

import dataclasses
import json

import numpy as np
import pytest

from multilstm.cases.case import Case
from multilstm.cases.recipes import GivenBatches
from multilstm.execution.options import Options
from multilstm.files.loaded import LoadedModel, Provenance
from multilstm.jobs.job import Batch
from multilstm.report.terminal import to_text
from multilstm.spec import LSTM, Activation, Bidirectional, Sequential
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.drift import NEW, OLD, drift, replaced_activation

X = np.linspace(-4, 4, 12, dtype=np.float32).reshape(1, 4, 3)


def case_of(*layers):
    spec = Sequential(list(layers), input_shape=(4, 3))
    return Case("model", "", spec, GivenBatches((Batch({"input_layer": X}),)), origin="The model is from Keras 2.2.4.")


def test_the_distance_of_the_two_formulas():
    (sentence,) = drift(case_of(Activation(OLD)))
    assert np.float32(X).max() == 4  # both formulas are 1 there; they are furthest apart at 2.5, by 1/12
    values = np.clip(0.2 * X + 0.5, 0, 1) - np.clip(X / 6 + 0.5, 0, 1)
    assert sentence.endswith(f"outputs would differ by {np.abs(values).max():.2g}.")


@pytest.mark.parametrize(
    "layer",
    [LSTM(2, recurrent_activation=OLD), Bidirectional(LSTM(2, recurrent_activation=OLD)), LSTM(2, activation=OLD)],
    ids=["gates", "wrapped", "candidate"],
)
def test_every_place_of_the_activation_counts(layer):
    assert list(drift(case_of(layer)))
    assert OLD not in repr(replaced_activation(case_of(layer).spec, OLD, NEW).layers)


def test_a_model_of_keras_3_changes_nothing():
    assert not list(drift(case_of(LSTM(2, recurrent_activation=NEW))))


def test_the_report_names_origin_and_change():
    case = case_of(LSTM(2, recurrent_activation=OLD))
    report = compare_cases([case], Options(("reference",), ("float32",), quantities=("output",)))
    text = " ".join(to_text(report).split())
    assert "The model is from Keras 2.2.4. Keras 3 would silently replace its hard_sigmoid: outputs would dif" in text
    assert json.loads(report.to_json().splitlines()[0])["run"]["origin"] == list(report.origin)
    unknown = compare_cases([dataclasses.replace(case, origin="")], Options(("reference",), quantities=("output",)))
    assert unknown.origin == ()


def test_a_sentence_names_program_version_and_format():
    assert Provenance("HDF5", "Keras", "2.2.4").sentence == "The model is from Keras 2.2.4: HDF5."
    assert Provenance("HDF5", "Keras").sentence == "The model is from Keras: HDF5."


def test_a_sentence_states_that_the_training_of_a_compiled_model_takes_no_part():
    model = LoadedModel(case_of(LSTM(2)).spec, None, Provenance("HDF5", "Keras", "2.2.4"))
    assert model.origin == "The model is from Keras 2.2.4: HDF5."
    compiled = dataclasses.replace(model, training={"optimizer": "adam"})
    assert compiled.origin.endswith(" The optimizer and the loss with which it was compiled take no part.")
