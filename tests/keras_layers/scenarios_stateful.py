"""multilstm.keras_layers.LSTM as it carries its states for a Keras user."""

import keras
import numpy as np
from harness import (
    BACKEND,
    compiled,
    data,
    error,
    fill,
    numpy,
    scenario,
    stateful_model,
    states,
    uniform,
    weights,
)
from portable_lstm import BATCH, CLASSES, FEATURES, MASKED, TIMESTEPS, UNITS

from multilstm.keras_layers import LSTM

BOTH = ("float32", "float64")


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
    """A callback resets the states at the start of each epoch."""
    model = compiled(stateful_model(), keras.optimizers.SGD(0.1))
    x, y = data(2)
    found = {"x": x, "y": y, **weights(model)}
    reset = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: model.get_layer("lstm").reset_state())
    history = model.fit(x, y, batch_size=BATCH, epochs=3, shuffle=False, verbose=0, callbacks=[reset]).history
    return found | {"fit": history["loss"]} | weights(model, "after") | states(model.get_layer("lstm"))


@scenario("float64")
def stateful_stack():
    """Two stateful layers, in training and prediction; Keras's states are in the middle of the graph."""
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
    for name, arguments in MASKED.items():
        lstm = LSTM(UNITS, stateful=True, name="lstm", **arguments)
        inputs = keras.Input(batch_shape=(BATCH, TIMESTEPS, FEATURES))
        model = fill(keras.Model(inputs, lstm(keras.layers.Masking()(inputs))))
        found |= weights(model)
        found[f"{name}_y1"] = model.predict(x1, verbose=0)
        found[f"{name}_y2"] = model.predict(x2, verbose=0)
        found |= states(lstm, f"{name}_state")
    return found


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
def wrong_batch_size():
    """Each call has a model of its own, because on JAX an exception inside predict loses Keras's weights."""
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
