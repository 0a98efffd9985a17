"""The arrays of an optimizer by the weights that they belong to, from the orders of all versions of Keras."""

import dataclasses

import numpy as np
import pytest
from written_files import SPEC, weights_of

from multilstm.errors import InputError
from multilstm.files.compiled import compiled, compiled_alike, optimizer_state
from multilstm.files.loaded import LoadedModel, Provenance
from multilstm.files.stores import parts_of
from multilstm.spec import LSTM, Sequential
from multilstm.spec.optimizers import SGD, Adam, RMSprop

TRAINED = list(SPEC.trainable_weights)
FIRST, SECOND = (weights_of(SPEC, seed=seed) for seed in (1, 2))
ADAM = {
    f"{name}/{slot}": values[name] for name in TRAINED for slot, values in (("momentum", FIRST), ("velocity", SECOND))
}


def loaded(arrays, spec=SPEC):
    state = {str(number): np.asarray(array) for number, array in enumerate(arrays)}
    return LoadedModel(spec, None, Provenance("", ""), optimizer_state=state, parts=parts_of(spec))


def same(actual, desired):
    assert set(actual) == set(desired)
    for name, array in desired.items():
        np.testing.assert_array_equal(actual[name], array)


GROUPED = [*(FIRST[name] for name in TRAINED), *(SECOND[name] for name in TRAINED)]
INTERLEAVED = [values[name] for name in TRAINED for values in (FIRST, SECOND)]


@pytest.mark.parametrize(
    ("arrays", "by_weight"),
    [
        ([np.int64(7), *GROUPED], False),
        ([np.int64(7), *GROUPED, *(np.zeros(1) for _ in TRAINED)], False),
        ([np.int64(7), np.float32(0.1), *INTERLEAVED], True),
    ],
    ids=["keras_2", "keras_2_with_amsgrads_place", "keras_3"],
)
def test_adam(arrays, by_weight):
    state = optimizer_state(loaded(arrays), Adam(), by_weight)
    assert state.iteration == 7
    same(state.slots, ADAM)


@pytest.mark.parametrize(
    ("version", "note"),
    [("2.0.9", "the order of Keras 2.0.9 is not read"), ("2.2.4", ""), ("2.2.4-tf", "")],
)
def test_the_order_of_the_oldest_versions_is_not_read(version, note):
    """Keras 1 and 2.0 sorted the weights by their names."""
    spec = Sequential([LSTM(2, name="a")], (None, 3))
    arrays = [np.int64(3), *weights_of(spec).values()]
    origin = Provenance("", "Keras", version, generation=2)
    config = {"optimizer_config": {"class_name": "RMSprop", "config": {"lr": 0.1}}, "loss": "mse"}
    given = compiled(dataclasses.replace(loaded(arrays, spec), provenance=origin, training=config))
    assert given.state.iteration == (0 if note else 3)
    assert bool(given.notes) is bool(note)
    assert note in " ".join(given.notes)


@pytest.mark.parametrize(
    ("arguments", "order"),
    [({"decay": 0.0}, GROUPED), ({"is_legacy_optimizer": True}, GROUPED), ({}, INTERLEAVED)],
    ids=["decay", "stated", "new"],
)
def test_legacy_optimizers_of_new_versions_keep_their_old_order(arguments, order):
    config = {"optimizer_config": {"class_name": "Adam", "config": {"learning_rate": 0.1, **arguments}}, "loss": "mse"}
    origin = Provenance("", "Keras", "2.15.0", generation=2)
    given = compiled(dataclasses.replace(loaded([np.int64(7), *order]), provenance=origin, training=config))
    assert given.notes == ()
    same(given.state.slots, ADAM)


def test_the_numbers_of_keras_3_are_no_text():
    arrays = {
        f"optimizer/vars/{number}": array for number, array in enumerate([np.int64(7), np.float32(0.1), *INTERLEAVED])
    }
    model = dataclasses.replace(loaded([]), optimizer_state={name: np.asarray(arrays[name]) for name in sorted(arrays)})
    same(optimizer_state(model, Adam(), True).slots, ADAM)


def test_sgd_without_a_momentum_keeps_the_count_alone():
    state = optimizer_state(loaded([np.int64(9), *GROUPED[: len(TRAINED)]]), SGD(), False)
    assert (dict(state.slots), state.iteration) == ({}, 9)


def test_frozen_layers_have_no_arrays():
    layers = [dataclasses.replace(layer, trainable=layer.name != "upper") for layer in SPEC.layers if layer.name in
              ("lower", "upper", "head")]  # fmt: skip
    spec = Sequential(layers, (None, 5))
    values = weights_of(spec)
    arrays = [values[name] for name in spec.trainable_weights]
    state = optimizer_state(loaded(arrays, spec), RMSprop(), False)
    same(state.slots, {f"{name}/velocity": values[name] for name in spec.trainable_weights})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (GROUPED[:-1], "arrays of the optimizer; expected 2 for each of the trained weights of lower, both"),
        (GROUPED[::-1], "the optimizer's arrays of layer 'lower' have the shapes"),
    ],
    ids=["count", "shapes"],
)
def test_refuses_arrays_of_another_model(arrays, message):
    with pytest.raises(InputError, match=message):
        optimizer_state(loaded(arrays), Adam(), False)


def test_the_arguments_of_compile_that_are_left_out_are_in_a_note():
    config = {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], "steps_per_execution": 4}
    model = dataclasses.replace(loaded([]), training=config, provenance=Provenance("", "Keras", "3.8.0", generation=3))
    note = "the file has no metrics, steps_per_execution, which change no weight; give them to compile again"
    assert compiled(model).notes == (note,)


def training_in(form, optimizer="Adam", rate=0.001, loss="MeanSquaredError", metric="MeanAbsoluteError", **arguments):
    """Return a model that was compiled, from a file of Keras 3: `keras` or `h5`."""
    names = {"module": "keras.of.a.backend", "registered_name": None} if form == "keras" else {}
    training = {
        "optimizer" if form == "keras" else "optimizer_config": {
            **names, "class_name": optimizer, "config": {"name": form, "learning_rate": rate, "clipnorm": None},
        },
        "loss": {**names, "class_name": loss, "config": {"name": "loss", **arguments}},
        "metrics": [{**names, "class_name": metric, "config": {"name": "m", "dtype": "float32"}}],
    }  # fmt: skip
    return LoadedModel(SPEC, None, Provenance("", "Keras", "3.15.1", generation=3), training, parts=parts_of(SPEC))


OTHERS = {
    "optimizer": {"optimizer": "SGD"}, "rate": {"rate": 0.01}, "loss": {"loss": "MeanAbsoluteError"},
    "metric": {"metric": "MeanSquaredError"}, "loss_not_read": {"loss": "BinaryCrossentropy", "from_logits": True},
}  # fmt: skip


@pytest.mark.parametrize("change", [{}, *OTHERS.values()], ids=["", *OTHERS])
def test_two_forms_of_one_training_are_alike(change):
    assert compiled_alike(training_in("keras", **change), training_in("h5", **change))
    assert compiled_alike(training_in("keras"), training_in("h5", **change)) == (not change)


def test_losses_that_are_not_read_are_compared_by_their_arguments():
    first = training_in("keras", loss="BinaryCrossentropy", from_logits=True)
    assert not compiled_alike(first, training_in("h5", loss="CategoricalCrossentropy", from_logits=True))
    assert not compiled_alike(first, training_in("h5", loss="BinaryCrossentropy", label_smoothing=0.1))
