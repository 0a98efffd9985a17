"""multilstm.keras_layers.LSTM as a Keras user uses it."""

import keras
import numpy as np
from harness import BACKEND, compiled, error, fill, normal, numpy, scenario, states, uniform, weights

from multilstm.keras_layers import LSTM, Bidirectional

BOTH = ("float32", "float64")
BATCH, TIMESTEPS, FEATURES, UNITS, CLASSES = 2, 4, 3, 4, 2


def stateful_model(layer=LSTM, timesteps=TIMESTEPS, batch=BATCH, **arguments):
    return fill(
        keras.Sequential(
            [
                keras.Input(batch_shape=(batch, timesteps, FEATURES)),
                layer(UNITS, stateful=True, name="lstm", **arguments),
                keras.layers.Dense(CLASSES, name="dense"),
            ]
        )
    )


def data(batches=1, seed=0, batch=BATCH):
    return normal(batches * batch, TIMESTEPS, FEATURES, seed=seed), uniform(batches * batch, CLASSES, seed=seed)


@scenario(*BOTH)
def stateful_predict():
    model = stateful_model(timesteps=None)
    lstm = model.get_layer("lstm")
    x1, x2, x3 = data(seed=1)[0], data(seed=2)[0][:, :3], data(seed=3)[0]
    found = {"x1": x1, "x2": x2, "x3": x3, **weights(model)}
    found["y1"] = model.predict(x1, verbose=0)
    found["y2"] = model.predict(x2, verbose=0)  # of another length
    found |= states(lstm)
    found["y3"] = numpy(model(x3))  # the eager call goes on where predict stopped, and predict where it stopped
    found["y4"] = model.predict_on_batch(x1)
    lstm.reset_state()
    found["y5"] = model.predict(x1, verbose=0)
    found["y6"] = model.predict(np.concatenate([x1, x3]), batch_size=BATCH, verbose=0)
    lstm.reset_states()
    return found | states(lstm, "reset")


@scenario(*BOTH)
def stateful_fit():
    """fit over three batches, twice; then predict; evaluate; train_on_batch twice; fit with validation; fit again."""
    model = compiled(stateful_model(), keras.optimizers.SGD(0.1))
    x, y = data(3)
    other_x, other_y = data(2, seed=9)
    found = {"x": x, "y": y, "other_x": other_x, "other_y": other_y, **weights(model)}
    history = model.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
    found["fit"] = history["loss"]
    before = model.get_weights()
    found["predict"] = model.predict(x[:BATCH], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    found["evaluate"] = model.evaluate(other_x, other_y, batch_size=BATCH, verbose=0)
    found["train1"] = model.train_on_batch(x[:BATCH], y[:BATCH])
    model.reset_metrics()
    found["train2"] = model.train_on_batch(x[BATCH : 2 * BATCH], y[BATCH : 2 * BATCH])
    found["test"] = model.test_on_batch(other_x[:BATCH], other_y[:BATCH])
    history = model.fit(
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        validation_data=(other_x, other_y),
        validation_batch_size=BATCH,
    ).history
    found |= {"again": history["loss"], "validation": history["val_loss"]}
    return found | weights(model, "after") | states(model.get_layer("lstm"))


@scenario()
def stateful_fit_reset_by_callback():
    """The habit of resetting the states where an epoch begins."""
    model = compiled(stateful_model(), keras.optimizers.SGD(0.1))
    x, y = data(2)
    found = {"x": x, "y": y, **weights(model)}
    reset = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: model.get_layer("lstm").reset_state())
    history = model.fit(x, y, batch_size=BATCH, epochs=3, shuffle=False, verbose=0, callbacks=[reset]).history
    return found | {"fit": history["loss"]} | weights(model, "after") | states(model.get_layer("lstm"))


@scenario("float64")
def stateful_stack():
    """Two stateful layers, trained and asked, where Keras's states are in the middle of the graph."""
    inputs = keras.Input(batch_shape=(BATCH, None, FEATURES))
    first = LSTM(UNITS, stateful=True, return_sequences=True, name="first")
    second = LSTM(CLASSES, stateful=True, name="second")
    model = compiled(fill(keras.Model(inputs, second(first(inputs)))), keras.optimizers.SGD(0.1))
    x, y = data(3)
    found = {"x": x, "y": y, **weights(model)}
    found["fit"] = model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0).history["loss"]
    found["predict"] = model.predict(x[:BATCH], verbose=0)
    return found | weights(model, "after") | states(first, "first") | states(second, "second")


@scenario("float64")
def stateful_bidirectional():
    layer = keras.layers.Bidirectional(LSTM(UNITS, stateful=True, return_sequences=True), name="both")
    head = keras.layers.Dense(CLASSES, name="dense")
    model = compiled(
        fill(keras.Sequential([keras.Input(batch_shape=(BATCH, TIMESTEPS, FEATURES)), layer, head])),
        keras.optimizers.SGD(0.1),
    )
    assert type(layer.forward_layer) is type(layer.backward_layer) is LSTM
    x, _ = data(2)
    y = uniform(2 * BATCH, TIMESTEPS, CLASSES)
    found = {"x": x, "y": y, **weights(model)}
    found["y1"] = model.predict(x[:BATCH], verbose=0)
    found["y2"] = model.predict(x[BATCH:], verbose=0)
    found["fit"] = model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0).history["loss"]
    found |= weights(model, "after") | states(layer.forward_layer, "forward") | states(layer.backward_layer, "backward")
    layer.reset_state()
    found["y3"] = model.predict(x[:BATCH], verbose=0)
    return found


@scenario("float64")
def stateful_masked():
    """A second batch whose sequences begin masked, one of them throughout."""
    found = {}
    x1, x2 = (data(seed=seed)[0] for seed in (1, 2))
    x2[0, :2] = 0.0
    x2[1] = 0.0
    found |= {"x1": x1, "x2": x2}
    for name, arguments in {
        "sequence": {"return_sequences": True},
        "last": {},
        "backwards": {"return_sequences": True, "go_backwards": True},
        "zero": {"return_sequences": True, "zero_output_for_mask": True},
        "unroll": {"return_sequences": True, "unroll": True, "zero_output_for_mask": True},
        "unroll_backwards": {"return_sequences": True, "unroll": True, "go_backwards": True},
        "unroll_backwards_last": {"unroll": True, "go_backwards": True, "zero_output_for_mask": True},
    }.items():
        lstm = LSTM(UNITS, stateful=True, name="lstm", **arguments)
        inputs = keras.Input(batch_shape=(BATCH, TIMESTEPS, FEATURES))
        model = fill(keras.Model(inputs, lstm(keras.layers.Masking()(inputs))))
        found |= weights(model)
        found[f"{name}_y1"] = model.predict(x1, verbose=0)
        found[f"{name}_y2"] = model.predict(x2, verbose=0)
        found |= states(lstm, f"{name}_state")
    return found


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
    """One initial state for all; then what is refused."""
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
def stateful_mixed_precision():
    model = stateful_model(dtype="mixed_bfloat16")
    full = stateful_model()
    for _ in range(2):
        model.predict(data()[0], verbose=0)
        full.predict(data()[0], verbose=0)
    kinds = {str(state.dtype) for state in model.get_layer("lstm").states}
    return {"kinds": sorted(kinds), **states(model.get_layer("lstm")), **states(full.get_layer("lstm"), "full")}


@scenario()
def initial_state():
    """Given by the graph: to a stateless layer, and to a stateful one, which then carries what came of it."""
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
    """A mask that only Masking knows of, where initial states are given: in a model, and with tensors."""
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
    """Without state nothing is changed: bit for bit what Keras's own layer gives, dropout and all."""
    found = {}
    for name, layer in (("ours", LSTM), ("plain", keras.layers.LSTM)):
        arguments = {"dropout": 0.3, "recurrent_dropout": 0.2, "seed": 1, "return_sequences": True}
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
    """implementation=1 with dropout: what a layer gives in training with masks that it has, and what it keeps."""
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
    """What a count, a list or a configuration tells about a stateful layer is what it tells about Keras's own."""
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


@scenario()
def wrong_batch_size():
    """Each in a model of its own: on JAX an exception inside predict takes Keras's weights with it."""
    x, y = data(2)
    messages = {
        "predict_3": error(stateful_model().predict, x[:3], batch_size=3, verbose=0),
        "predict_2_1": error(stateful_model().predict, x[:3], batch_size=2, verbose=0),
        "predict_on_batch": error(stateful_model().predict_on_batch, x[:3]),
        "call": error(stateful_model(), x[:3]),
    }
    for name in ("fit", "evaluate"):
        model = compiled(stateful_model(), "sgd")
        messages[name] = error(getattr(model, name), x[:3], y[:3], batch_size=2, verbose=0)
    model = compiled(stateful_model(), "sgd")
    messages["train_on_batch"] = error(model.train_on_batch, x[:3], y[:3])
    return messages


@scenario()
def batch_of_one():
    """One sequence, and no batch_size given."""
    model = compiled(stateful_model(batch=1), keras.optimizers.SGD(0.1))
    x, y = data(batch=1)
    found = {"x": x, "y": y, **weights(model)}
    found["fit"] = model.fit(x, y, verbose=0).history["loss"]
    found["evaluate"] = model.evaluate(x, y, verbose=0)
    found["predict"] = model.predict(x, verbose=0)
    return found | weights(model, "after")


@scenario()
def plain_stateful():
    """Plain Keras's LSTM in the cases above that it is known to fail."""
    plain = keras.layers.LSTM
    x, y = data(2)
    model = stateful_model(plain)
    found = {"y1": model.predict(x[:BATCH], verbose=0), "y2": model.predict(x[:BATCH], verbose=0)}
    model = compiled(stateful_model(plain), keras.optimizers.SGD(0.1))
    found["train"] = error(model.train_on_batch, x[:BATCH], y[:BATCH])
    found["rows"] = error(stateful_model(plain).predict, x[:3], batch_size=2, verbose=0)
    found["one_row"] = error(compiled(stateful_model(plain, batch=1), "sgd").fit, x[:1], y[:1], verbose=0)
    model = stateful_model(plain, dtype="mixed_bfloat16")
    model(x[:BATCH])
    found["mixed_state"] = np.abs(numpy(model.get_layer("lstm").states[0])).max()
    lstm = plain(UNITS, return_sequences=True)
    mask = np.zeros((BATCH, TIMESTEPS), bool)
    given = [keras.ops.ones((BATCH, UNITS)), keras.ops.ones((BATCH, UNITS))]
    found["masked"] = numpy(lstm(x[:BATCH], mask=mask, initial_state=given))
    lstm = plain(UNITS, return_sequences=True, unroll=True, zero_output_for_mask=True)
    mask[:, :2] = True
    found["unrolled"] = numpy(lstm(x[:BATCH], mask=mask))
    found["backend"] = BACKEND
    return found
