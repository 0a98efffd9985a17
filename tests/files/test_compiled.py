"""The arrays of an optimizer by the weights that they belong to, from the orders of all versions of Keras."""

import dataclasses

import numpy as np
import pytest
from written_files import SPEC, weights_of

from multilstm.errors import InputError
from multilstm.files.compiled import optimizer_state
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


def test_rmsprop_of_keras_1_without_a_count():
    spec = Sequential([LSTM(2, name="a")], (None, 3))
    rng = np.random.default_rng(0)
    shapes = [(3, 2), (2, 2), (2,)] * 4  # of the gates i, c, f, o
    arrays = [rng.normal(size=shape) for shape in shapes]
    state = optimizer_state(loaded(arrays, spec), RMSprop(), False)
    assert state.iteration == 0
    order = (0, 2, 1, 3)
    kernel = np.concatenate([arrays[3 * gate] for gate in order], axis=-1)
    np.testing.assert_array_equal(state.slots["a/kernel/velocity"], kernel)
    assert set(state.slots) == {f"a/{name}/velocity" for name in ("kernel", "recurrent_kernel", "bias")}


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
