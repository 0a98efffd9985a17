"""multilstm.keras_layers.LSTM in a Keras user's hands, on every backend, against the float64 reference."""

import numpy as np
import pytest
from portable_lstm import BATCH, FEATURES, FIXED, TIMESTEPS, UNITS, all_close, close, stateful_spec

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import LSTM, Bidirectional, Input, Masking, Model, Sequential
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import SGD


def test_bidirectional_of_an_unrolled_layer_over_a_mask(ran, reference, arrays):
    found = ran("bidirectional_unrolled")
    inputs = Input((TIMESTEPS, FEATURES))
    both = Bidirectional(LSTM(UNITS, return_sequences=True, unroll=True), name="both")
    judge = reference(Model(inputs, both(Masking(name="masking")(inputs))), arrays(found))
    close(found["predict"], judge.predict(found["x"]), "float64")
    close(found["fit"], [judge.fit(found["x"], found["y"], 3)], "float64")
    all_close(arrays(found, "after"), list(judge.weights.values()), "float64")


@pytest.mark.parametrize("value", ["zero", "nan", "inf"])
def test_masked_values_reach_no_weight(ran, arrays, value):
    found = ran("not_finite_where_masked")
    spec = Sequential([LSTM(UNITS, name="lstm")], input_shape=(None, FEATURES))
    x = np.where(found["mask"][..., None], found["x"], 0.0)
    given = dict(zip(spec.weight_shapes, arrays(found), strict=True))
    batch = Batch({"input_layer": x}, (found["y"],), masks={"input_layer": found["mask"]})
    job = Job(spec, given, (Step("update", batch),), "float64", loss="mean_squared_error", optimizer=SGD(0.1))
    desired = Executor(ReferenceEngine()).execute(job)
    close(found[f"{value}_loss"], desired.answers[0].loss, "float64")
    all_close(arrays(found, f"{value}_after"), list(desired.weights.values()), "float64")


def test_one_initial_state_for_a_batch(ran, reference, arrays):
    found = ran("states_and_masks_of_other_shapes")
    judge = reference(Sequential([LSTM(UNITS, name="lstm")], input_shape=(None, FEATURES)), arrays(found))
    states = State(np.repeat(found["h"], BATCH, 0), np.repeat(found["c"][None], BATCH, 0))
    close(found["y"], judge.step("forward", found["x"], states={"lstm": states}).outputs[0])


@pytest.mark.parametrize(
    ("key", "message"), [("three", "has 3 arrays"), ("mask", "(1, 4)"), ("both_mask", "(1, 4)")], ids=lambda p: p
)
def test_states_and_masks_that_do_not_fit_are_refused(ran, key, message):
    found = str(ran("states_and_masks_of_other_shapes")[key])
    assert found.startswith("ValueError")
    assert message in found


def test_bidirectional_keeps_its_options(ran):
    found = ran("bidirectional_options")
    assert found["shapes"].tolist() == [[BATCH, UNITS]] * 4
    assert found["moved"].min() > 1e-3  # the states were carried
    assert found["states"].max() < 1e-6
    assert found["trainable"].tolist() == [0, 0, 6]
    assert found["use_cudnn"].tolist() == ["False", "False"]


def test_initial_state_given_by_the_graph(ran, reference, arrays):
    found = ran("initial_state")
    inputs = Input(batch_shape=(BATCH, TIMESTEPS, FEATURES))
    judge = reference(Model(inputs, LSTM(UNITS, stateful=True, name="lstm")(inputs)), arrays(found))
    given = {"lstm": State(found["h"], found["c"])}
    desired = judge.step("forward", found["x"], states=given).outputs[0]
    close(found["stateless"], desired)
    close(found["stateful"], desired)
    all_close([found["hidden"], found["cell"]], judge.states("lstm"))
    all_close(arrays(found, "state"), judge.states("lstm"))
    close(found["carried"], judge.predict(found["x"]))


def test_a_mask_from_below_acts_beside_given_states(ran):
    found = ran("mask_from_below_beside_states")
    close(found["model"], found["given"])
    close(found["tensors"], found["given"])
    assert np.abs(found["without"] - found["given"]).max() > 0.01


def test_without_state_it_is_keras_own_layer_to_the_bit(ran, arrays):
    found = ran("stateless_is_plain")
    for ours, plain in zip(arrays(found, "ours"), arrays(found, "plain"), strict=True):
        np.testing.assert_array_equal(ours, plain)
    np.testing.assert_array_equal(found["ours_y"], found["plain_y"])


def test_counts_lists_and_configuration(ran):
    found = ran("bookkeeping")
    assert found["counts"].tolist() == found["plain_counts"].tolist()
    assert found["total"]
    names, plain = ([path.split("/", 1)[1] for path in found[key].tolist()] for key in ("names", "plain_names"))
    assert names == plain
    assert found["set"]
    assert found["same_config"]
    assert found["clone"]
    assert found["trainable"] == 5
    seed, *states = found["non_trainable"].tolist()  # a Sequential has a seed of its own
    assert [path.split("/", 1)[1] for path in states] == ["lstm/hidden_state", "lstm/cell_state"]
    assert "seed" in seed
    assert found["non_trainable_weights"] == 0
    assert found["tree"].tolist() == ["cell_state", "hidden_state", "seed_generator_state"]
    assert found["frozen"].tolist() == [2, 6, 5]


def test_files_of_this_and_of_other_backends(ran, reference, arrays):
    found = ran("save_and_load")
    judge = reference(stateful_spec(), arrays(found))
    judge.predict(found["x"])
    desired = judge.predict(found["x"])
    places = [key.removesuffix("_y") for key in found if key.endswith("_y")]
    assert places
    for place in places:
        assert found[f"{place}_state"] == 0  # files hold no states
        close(found[f"{place}_y"], desired)
        for loaded, saved in zip(arrays(found, f"{place}_weight"), arrays(found), strict=True):
            close(loaded, saved)
        for key in ("plain", "whole"):
            for loaded, saved in zip(arrays(found, f"{place}_{key}"), arrays(found, "plain"), strict=True):
                np.testing.assert_array_equal(loaded, saved)
    for loaded, saved in zip(arrays(found, "to_plain"), arrays(found), strict=True):
        np.testing.assert_array_equal(loaded, saved)


def test_dropout_for_each_gate(ran, arrays):
    found = ran("dropout_for_each_gate")
    layer = LSTM(UNITS, dropout=0.5, implementation=1, return_sequences=True)
    spec = Sequential([layer], input_shape=(None, FEATURES))
    batch = Batch({"input_layer": found["x"]}, (found["y"],), dropout={"lstm/dropout": found["masks"]})
    steps = (Step("gradient", batch, keep=("outputs",)),)
    given = dict(zip(spec.weight_shapes, arrays(found), strict=True))
    desired = Executor(ReferenceEngine()).execute(Job(spec, given, steps, loss="mean_squared_error"))
    close(found["y"], desired.answers[0].outputs[0])


def test_implementation_outlives_configuration_and_bidirectional(ran):
    assert ran("dropout_for_each_gate")["kept"].tolist() == [1, 1, 1]


def test_plain_dropout_for_each_gate_raises(ran, backend):
    assert str(ran("dropout_for_each_gate")["plain"]) != "", FIXED


def test_plain_configuration_and_bidirectional_forget_implementation(ran, backend):
    found = ran("dropout_for_each_gate")
    assert not found["plain_config"], FIXED
    assert found["plain_kept"] == 2, FIXED
