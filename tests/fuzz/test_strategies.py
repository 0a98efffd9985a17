"""Strategies: every class of the spec's table of layers is drawn with every argument, and fits its model."""

import dataclasses
import itertools
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.fuzz.sample import Sample
from multilstm.fuzz.strategies import drawing
from multilstm.fuzz.strategies.joins import JOINS, joined
from multilstm.fuzz.strategies.layers import ROWS, layer_of
from multilstm.fuzz.strategies.models import chains, embeddings, fronts, graphs, nested
from multilstm.fuzz.strategies.places import Place, Setting, source
from multilstm.fuzz.strategies.recurrent import bidirectional, recurrent
from multilstm.jobs.job import Job
from multilstm.spec import (
    GRU,
    LSTM,
    AdditiveAttention,
    Attention,
    Bidirectional,
    ConvLSTM2D,
    Embedding,
    InputLayer,
    Masking,
    Softmax,
)
from multilstm.spec.layers import ACTIVATIONS, DISTRIBUTED, LAYERS, RECURRENT, TimeDistributed, UnitNormalization

ROOT = pathlib.Path(__file__).parents[2]
DRAWN = tuple(kind for kind in LAYERS if kind is not ConvLSTM2D)  # random models have no films
OTHERS = (InputLayer, Embedding, Bidirectional, *RECURRENT)  # of fronts.py and recurrent.py
SETTINGS = st.builds(
    Setting, st.integers(1, 3), st.integers(1, 6), st.booleans(), st.booleans(), st.booleans(), st.booleans()
)
# Arguments that decide no answer of the forward pass or the gradient, or only a start of the weights.
UNDRAWN = (
    "activity_regularizer",
    "name",
    "seed",
    "data_format",
    "unit_forget_bias",
    "weights",
    "backward_layer",
    "mask_value",
)
REFUSED = [(kind, "dropout") for kind in (Attention, AdditiveAttention)]  # by a check of its own
UNDRAWN_ENDS = ("_initializer", "_constraint")


def collected(strategy, count, suffice=lambda values: False):
    """Return `count` values that a strategy draws, the same ones in every run; fewer as soon as they suffice."""
    values = []

    def collect(value):
        values.append(value)

    for number in range(count // 50):  # a long run repeats its examples with small changes
        run = given(strategy)(collect)
        seed(number)(settings(max_examples=50, phases=[Phase.generate], database=None, deadline=None)(run))()
        if suffice(values):
            break
    return values


@pytest.fixture(scope="module")
def classes():
    """Return the classes of the layers of many drawn models, and those inside of wrappers."""
    models = collected(SETTINGS.flatmap(lambda setting: st.one_of(chains(setting), graphs(setting))), 2000)
    layers = [layer for model in models for layer in model.layers]
    return {type(layer) for layer in layers}, {type(layer.wrapped) for layer in layers if layer.wrapped}


def test_every_class_of_the_spec_has_a_rule():
    """A new class of layers needs a row in one of the tables; then it is drawn."""
    assert {*ROWS, *JOINS, *OTHERS} == set(LAYERS)
    assert set(DISTRIBUTED) <= set(ROWS)


def test_every_class_is_in_some_drawn_model(classes):
    assert classes[0] == {*DRAWN}
    assert {*RECURRENT} - {ConvLSTM2D} < classes[1]


@st.composite
def layers_of(draw, kind):
    """Draw a layer of a class behind an input that it takes."""
    setting = draw(SETTINGS)
    if kind is Embedding:
        return draw(embeddings(setting))
    if kind is InputLayer:
        return draw(fronts(setting))[0].tensor.layer
    rule = ROWS.get(kind) or JOINS.get(kind)
    rank = draw(st.sampled_from(rule.ranks if rule else (3,)))
    sizes = (setting.timesteps, *(2,) * (rank - 2)) if rank > 2 else (2,)
    place = source(setting._replace(masked=False, fixed=True), sizes)
    if kind in ROWS:
        return draw(layer_of(kind, place, setting))
    if kind in JOINS:
        return draw(joined(kind, place, setting)).tensor.layer
    if kind is Bidirectional:
        return draw(bidirectional(setting, place, draw(st.booleans()), draw(st.booleans())))
    return draw(recurrent(setting, place, draw(st.booleans()), draw(st.booleans()), kind))


@pytest.mark.parametrize("kind", DRAWN, ids=lambda kind: kind.__name__)
def test_every_argument_of_every_class_is_drawn(kind):
    layers = collected(layers_of(kind), 150)
    fields = [field.name for field in dataclasses.fields(kind)]
    has_weights = kind in (Bidirectional, *RECURRENT) or any(name.endswith("_initializer") for name in fields)
    for name in fields:
        is_drawn = name not in (*UNDRAWN, *kind.refused) and not name.endswith(UNDRAWN_ENDS)
        is_drawn &= (kind, name) not in REFUSED
        if is_drawn and (name != "trainable" or has_weights):
            assert len({getattr(layer, name) for layer in layers}) > 1, name


def test_every_class_without_a_state_is_drawn_inside_of_a_time_distributed():
    def wrapped(layers):
        return {type(layer.wrapped) for layer in layers}

    layers = collected(layers_of(TimeDistributed), 3000, lambda layers: wrapped(layers) >= set(DISTRIBUTED))
    assert wrapped(layers) == set(DISTRIBUTED)


@pytest.mark.parametrize("role", ["activation", "recurrent_activation"])
def test_every_activation_of_a_recurrent_layer_is_drawn(role):
    layers = [layer for kind in (LSTM, GRU) for layer in collected(layers_of(kind), 600)]
    assert {getattr(layer, role) for layer in layers} == set(ACTIVATIONS)


@pytest.mark.parametrize("masked", [True, False])
def test_a_softmax_is_drawn_only_where_no_mask_arrives(masked):
    place = source(Setting(2, 3, masked=masked), (3, 2))
    assert ROWS[Softmax].takes(place) == (not masked)
    assert ROWS[Softmax].takes(place.then(Masking())[0]) is False


def answers(sample):
    job = Job(sample.spec, sample.weights(), tuple(sample.case("drawn").forward_steps()), "float64")
    return Executor(ReferenceEngine()).execute(job).answers


@settings(max_examples=40)
@given(SETTINGS, st.data())
def test_a_model_inside_a_model_is_that_model(setting, data):
    model = data.draw(st.one_of(chains(setting), graphs(setting)))
    mask = tuple((True,) * setting.timesteps for _ in range(setting.batch)) if setting.masked else None
    samples = [Sample(spec, setting.batch, setting.timesteps, mask=mask) for spec in (model, nested(model))]
    assert list(samples[0].weights()) == list(samples[1].weights())
    for flat, inner in zip(*map(answers, samples), strict=True):
        for one, other in zip(flat.outputs, inner.outputs, strict=True):
            np.testing.assert_array_equal(one, other)


DRAW = """
import sys
sys.path[:0] = [{folder!r}]
{first}
from multilstm.fuzz.strategies import draw_samples
print([sample.to_json() for sample in draw_samples(3, 12)])
"""


def test_a_seed_means_the_same_models_whatever_is_imported(tmp_path):
    """Hypothesis draws numbers that stand in the source of imported modules, but not here."""
    numbers = ", ".join(map(str, range(100)))
    (tmp_path / "mine.py").write_text(f"NUMBERS = [{numbers}, 0.125, 0.375]\n")
    drawn = [
        subprocess.run(
            [sys.executable, "-P", "-c", DRAW.format(folder=str(tmp_path), first=first)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout
        for first in ("", "import mine")
    ]  # fmt: skip
    assert drawn[0] == drawn[1]
    assert not (tmp_path / ".hypothesis").exists()


def test_the_models_of_a_seed_are_spread_over_all_that_hypothesis_draws(monkeypatch):
    """The first ones are small: of 600 such models none had a Conv1D, a MaxPooling1D or a RepeatVector."""
    numbers = itertools.count()
    numbered = st.integers(0, 10**9).map(lambda _: types.SimpleNamespace(spec=next(numbers)))
    monkeypatch.setattr(drawing, "samples", lambda: numbered)
    drawn = [sample.spec for sample in drawing.draw_samples(0, 5)]
    assert len(set(drawn)) == 5
    assert drawn[0] <= 2
    assert drawn[-1] > 10


@pytest.mark.parametrize(("features", "is_taken"), [(1, False), (2, True)])
def test_no_single_value_is_normalized_to_length_one(features, is_taken):
    """Its gradient is exactly 0 in the reference, and rounding noise in an engine."""
    place = Place(None, (None, None, features), np.zeros((1, 1, features)), None)
    assert ROWS[UnitNormalization].takes(place) is is_taken
