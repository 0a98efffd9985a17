"""multilstm.keras_layers.LSTM as a Keras user uses it."""

import keras
import numpy as np
from harness import (
    compiled,
    data,
    error,
    fill,
    normal,
    numpy,
    scenario,
    stateful_model,
    states,
    uniform,
    weights,
)
from portable_lstm import BATCH, CLASSES, FEATURES, TIMESTEPS, UNITS

from multilstm.keras_layers import LSTM, Bidirectional


@scenario("float64")
def bidirectional_unrolled():
    """A mask in the middle and at both ends, through predict and fit."""
    x, y = normal(3, TIMESTEPS, FEATURES), uniform(3, TIMESTEPS, 2 * UNITS)
    x[0, 2:], x[1, :1], x[2, 1:3] = 0.0, 0.0, 0.0
    both = Bidirectional(LSTM(UNITS, return_sequences=True, unroll=True), name="both")
    layers = [keras.Input((TIMESTEPS, FEATURES)), keras.layers.Masking(name="masking"), both]
    model = compiled(fill(keras.Sequential(layers)), keras.optimizers.SGD(0.1))
    found = {"x": x, "y": y, **weights(model), "predict": model.predict(x, verbose=0)}
    found["fit"] = model.fit(x, y, verbose=0).history["loss"]
    return found | weights(model, "after")


@scenario("float64")
def not_finite_where_masked():
    """NaN and infinity in masked timesteps, with the mask given by hand, in training."""
    x, y, mask = normal(2, TIMESTEPS, FEATURES), uniform(2, UNITS), np.ones((2, TIMESTEPS), bool)
    mask[0, 2:] = mask[1, :1] = False
    found = {"x": x, "y": y, "mask": mask}
    for name, value in (("zero", 0.0), ("nan", np.nan), ("inf", np.inf)):
        inputs, given = keras.Input((TIMESTEPS, FEATURES)), keras.Input((TIMESTEPS,), dtype="bool")
        model = keras.Model([inputs, given], LSTM(UNITS)(inputs, mask=given))
        fill(compiled(model, keras.optimizers.SGD(0.1)))
        found |= weights(model)
        filled = np.where(mask[..., None], x, value)
        found[f"{name}_loss"] = model.train_on_batch([filled, mask], y)
        found |= weights(model, f"{name}_after")
    return found


@scenario()
def states_and_masks_of_other_shapes():
    """One initial state for all sequences; then states and masks that are refused."""
    x, h, c = data()[0], normal(1, UNITS, seed=5), normal(UNITS, seed=6)
    lstm, one = LSTM(UNITS), np.ones((1, TIMESTEPS), bool)
    found = {"x": x, "h": h, "c": c, "y": numpy(lstm(x, initial_state=[h, c])), **weights(lstm)}
    found["three"] = error(lstm, x, initial_state=[h, h, h])
    found["mask"] = error(lstm, x, mask=one)
    found["both_mask"] = error(Bidirectional(LSTM(UNITS)), x, mask=one)
    return found


@scenario()
def bidirectional_options():
    """Stateful with states returned, through fit; frozen by the wrapper; and both after saving."""
    inputs = keras.Input(batch_shape=(BATCH, TIMESTEPS, FEATURES))
    both = Bidirectional(LSTM(UNITS, stateful=True, return_state=True, use_cudnn=False), name="both", trainable=False)
    model = fill(keras.Model(inputs, both(inputs)))
    again = keras.models.clone_model(model)
    first = model.predict(data()[0], verbose=0)
    second = model.predict(data()[0], verbose=0)
    halves = again.get_layer("both").forward_layer, again.get_layer("both").backward_layer
    return {
        "shapes": [output.shape for output in first[1:]],
        "moved": [np.abs(a - b).max() for a, b in zip(first, second, strict=True)],
        "states": [np.abs(a - numpy(b)).max() for a, b in zip(second[1:], both.states, strict=True)],
        "trainable": [len(model.trainable_variables), len(again.trainable_variables), len(again.weights)],
        "use_cudnn": [str(half.use_cudnn) for half in halves],
    }


@scenario()
def initial_state():
    """Initial states given by the graph, to a stateless and to a stateful layer; the latter carries its last state."""
    h, c = normal(BATCH, UNITS, seed=5), normal(BATCH, UNITS, seed=6)
    x = data()[0]
    sequences = keras.Input(batch_shape=(BATCH, TIMESTEPS, FEATURES))
    given = [keras.Input(batch_shape=(BATCH, UNITS)), keras.Input(batch_shape=(BATCH, UNITS))]
    stateless = LSTM(UNITS, return_state=True)
    stateful = LSTM(UNITS, stateful=True)
    first = fill(keras.Model([sequences, *given], stateless(sequences, initial_state=given)))
    second = fill(keras.Model([sequences, *given], stateful(sequences, initial_state=given)))
    found = {"x": x, "h": h, "c": c, **weights(first)}
    found["stateless"], found["hidden"], found["cell"] = first.predict([x, h, c], verbose=0)
    second.predict([x, c, h], verbose=0)
    found["stateful"] = second.predict([x, h, c], verbose=0)  # not where the batch before ended
    found |= states(stateful)
    found["carried"] = numpy(stateful(x))
    return found


@scenario()
def mask_from_below_beside_states():
    """The mask of a Masking layer below, together with initial states: in a model, and with tensors."""
    h, c = normal(BATCH, UNITS, seed=5), normal(BATCH, UNITS, seed=6)
    x = data()[0]
    mask = np.arange(TIMESTEPS) < np.array([[TIMESTEPS - 1 - row % 2] for row in range(BATCH)])
    x[~mask] = 0
    sequences = keras.Input((TIMESTEPS, FEATURES))
    given = [keras.Input((UNITS,)), keras.Input((UNITS,))]
    lstm, masking = LSTM(UNITS), keras.layers.Masking()
    model = fill(keras.Model([sequences, *given], lstm(masking(sequences), initial_state=given)))
    return {
        "model": model.predict([x, h, c], verbose=0),
        "tensors": numpy(lstm(masking(x), initial_state=[h, c])),
        "given": numpy(lstm(x, mask=mask, initial_state=[h, c])),
        "without": numpy(lstm(x, initial_state=[h, c])),
    }


@scenario()
def stateless_is_plain():
    """A stateless layer without dropout gives the results of Keras's own layer, bit for bit."""
    found = {}
    for name, layer in (("ours", LSTM), ("plain", keras.layers.LSTM)):
        arguments = {"seed": 1, "return_sequences": True}
        model = keras.Sequential(
            [
                keras.Input((None, FEATURES)),
                keras.layers.Masking(),
                layer(UNITS, **arguments),
                keras.layers.Dense(CLASSES),
            ]
        )
        fill(compiled(model, keras.optimizers.SGD(0.1)))
        x, y = normal(3, TIMESTEPS, FEATURES), uniform(3, TIMESTEPS, CLASSES)
        x[0, 2:] = 0.0
        x[1, :1] = 0.0
        model.fit(x, y, shuffle=False, verbose=0)
        found |= weights(model, name) | {f"{name}_y": model.predict(x, verbose=0)}
    return found


@scenario()
def dropout_for_each_gate():
    """implementation=1 with dropout: outputs in training with given masks, and the implementation of copies."""
    x, masks = normal(BATCH, TIMESTEPS, FEATURES), uniform(4, BATCH, FEATURES, seed=7)
    lstm = LSTM(UNITS, dropout=0.5, implementation=1, return_sequences=True)
    lstm(x)
    fill(lstm)
    lstm.cell._dropout_mask = keras.ops.convert_to_tensor(masks)
    found = {"x": x, "masks": masks, **weights(lstm), "y": numpy(lstm(x, training=True))}
    both = keras.layers.Bidirectional(LSTM(UNITS, dropout=0.5, implementation=1))
    plain = keras.layers.LSTM(UNITS, dropout=0.5, implementation=1)
    plain_both = keras.layers.Bidirectional(plain)
    return found | {
        "kept": [each.cell.implementation for each in (LSTM.from_config(lstm.get_config()), both.forward_layer,
                                                       both.backward_layer)],
        "plain": error(plain, x, training=True),
        "plain_config": "implementation" in plain.get_config(),
        "plain_kept": plain_both.forward_layer.cell.implementation,
    }  # fmt: skip


@scenario()
def bookkeeping():
    """Counts, lists and configurations of a stateful layer, compared with those of Keras's own layer."""
    ours, plain = compiled(stateful_model(), "sgd"), stateful_model(keras.layers.LSTM)
    lines = []
    ours.summary(print_fn=lambda line, **_: lines.append(line))
    lstm = ours.get_layer("lstm")
    given = ours.get_weights()
    ours.set_weights([array + 1 for array in given])
    config = lstm.get_config()
    again = LSTM.from_config(config)
    clone = keras.models.clone_model(ours)
    tree = ours.get_state_tree()
    lstm.trainable = False
    frozen = len(ours.trainable_variables), len(ours.non_trainable_variables), len(ours.weights)
    lstm.trainable = True
    return {
        "counts": [ours.count_params(), lstm.count_params(), len(ours.weights), len(lstm.get_weights())],
        "plain_counts": [plain.count_params(), plain.get_layer("lstm").count_params(), len(plain.weights), 3],
        "total": any(f"Total params: {plain.count_params():,} " in line for line in lines),
        "names": [w.path for w in lstm.weights],
        "plain_names": [w.path for w in plain.get_layer("lstm").weights],
        "set": all(np.array_equal(a + 1, b) for a, b in zip(given, ours.get_weights(), strict=True)),
        "same_config": config == {**plain.get_layer("lstm").get_config(), "implementation": 2, "use_cudnn": "auto"}
        and again.get_config() == config,
        "clone": type(clone.get_layer("lstm")) is LSTM,
        "trainable": len(ours.trainable_variables),
        "non_trainable": [v.path for v in ours.non_trainable_variables],
        "non_trainable_weights": len(ours.non_trainable_weights),
        "tree": sorted(_leaves(tree["non_trainable_variables"])),
        "frozen": frozen,
    }


def _leaves(tree):
    return [name for key, value in tree.items() for name in (_leaves(value) if isinstance(value, dict) else [key])]


@scenario()
def save_and_load(folder, *others):
    """Files of this backend, and of the one that ran before."""
    x, y = data(2)
    model = compiled(stateful_model(), keras.optimizers.SGD(0.1))
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    model.save(folder / "stateful.keras")
    plain = stateful_model(keras.layers.LSTM)
    fill(plain, seed=50)
    plain.save(folder / "plain.keras")
    plain.save_weights(folder / "plain.weights.h5")
    found = {"x": x[:BATCH], **weights(model), **weights(plain, "plain")}
    for place in (folder, *others):
        loaded = keras.models.load_model(place / "stateful.keras")
        assert type(loaded.get_layer("lstm")) is LSTM
        found[f"{place.name}_state"] = np.abs([numpy(state) for state in loaded.get_layer("lstm").states]).max()
        found |= weights(loaded, f"{place.name}_weight")
        loaded(x[:BATCH])
        found[f"{place.name}_y"] = numpy(loaded(x[:BATCH]))
        named = keras.models.load_model(place / "stateful.keras", custom_objects={"LSTM": LSTM})
        assert type(named.get_layer("lstm")) is LSTM
        ours = stateful_model()
        ours.load_weights(place / "plain.weights.h5")
        found |= weights(ours, f"{place.name}_plain")
        ours = stateful_model()
        ours.load_weights(place / "plain.keras")
        found |= weights(ours, f"{place.name}_whole")
    model.save_weights(folder / "ours.weights.h5")
    plain.load_weights(folder / "ours.weights.h5")
    return found | weights(plain, "to_plain")
