"""multilstm.keras_layers.SGD, RMSprop, Adam and AdamW as a Keras user uses them."""

import json
import zipfile

import keras
import numpy as np
from harness import BACKEND, compiled, fill, normal, numpy, scenario, uniform, weights

from multilstm.keras_layers import SGD, Adam, AdamW, RMSprop, RMSpropKeras2

STEPS = 20
# Optimizers whose update rule the tests contain: class and arguments by name.
CASES = {
    "sgd": (SGD, {"learning_rate": 0.1}),
    "sgd_momentum": (SGD, {"learning_rate": 0.1, "momentum": 0.9}),
    "sgd_nesterov": (SGD, {"learning_rate": 0.1, "momentum": 0.7, "nesterov": True}),
    "sgd_clipnorm": (SGD, {"learning_rate": 0.1, "clipnorm": 0.01}),
    "sgd_decay": (SGD, {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.04}),
    "rmsprop": (RMSprop, {"learning_rate": 0.01}),
    "rmsprop_centered": (RMSprop, {"learning_rate": 0.01, "rho": 0.7, "momentum": 0.3, "centered": True}),
    "rmsprop_keras2": (RMSpropKeras2, {"learning_rate": 0.01}),
    "rmsprop_keras2_centered": (RMSpropKeras2, {"learning_rate": 0.01, "rho": 0.7, "centered": True}),
    "adam": (Adam, {"learning_rate": 0.01}),
    "adam_betas": (Adam, {"learning_rate": 0.01, "beta_1": 0.7, "beta_2": 0.97, "epsilon": 1e-5}),
    "adam_amsgrad": (Adam, {"learning_rate": 0.01, "amsgrad": True}),
    "adam_clipnorm": (Adam, {"learning_rate": 0.01, "clipnorm": 0.01}),
    "adam_decay": (Adam, {"learning_rate": 0.01, "weight_decay": 0.04}),
    "adamw": (AdamW, {"learning_rate": 0.01}),
    "adamw_decay": (AdamW, {"learning_rate": 0.01, "beta_1": 0.7, "weight_decay": 0.04}),
}


def embedding_model(optimizer):
    layers = [keras.layers.Embedding(5, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
    return compiled(fill(keras.Sequential([keras.Input((4,), dtype="int32"), *layers])), optimizer)


def train(model, x, y, steps):
    """Steps on one batch. `fit` does the same, and on TensorFlow traces twice as much."""
    for _ in range(steps):
        model.train_on_batch(x, y)


def tokens():
    return np.array([[1, 1, 1, 2], [2, 1, 0, 0], [3, 3, 3, 3]], "int32"), uniform(3, 1)


@scenario("float64")
def optimizer_rules():
    """Twenty steps over given gradients, eagerly, in float64."""
    gradients = normal(STEPS, 3, 2)
    found = {"gradients": gradients, "start": normal(3, 2)}
    for name, (optimizer, arguments) in CASES.items():
        found[f"{name}_arguments"] = json.dumps({"class": optimizer.__name__, **arguments})
        variable = keras.Variable(found["start"], dtype="float64")
        made = optimizer(**arguments)
        for gradient in gradients:
            made.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        found[name] = numpy(variable)
    return found


@scenario("float64")
def optimizer_embedding():
    """Three steps on tokens that are repeated in a batch."""
    x, y = tokens()
    found = {"x": x, "y": y}
    for name in ("sgd_nesterov", "sgd_clipnorm", "rmsprop_centered", "adam", "adam_amsgrad", "adam_clipnorm", "adamw"):
        optimizer, arguments = CASES[name]
        model = embedding_model(optimizer(**arguments))
        found |= weights(model)
        train(model, x, y, 3)
        found |= weights(model, f"{name}_after")
    return found


@scenario("float64")
def optimizer_schedule():
    """Every schedule with SGD, one with every optimizer: every step has its own rate; weights decay by it."""
    found = {"x": normal(2, 3), "y": uniform(2, 1)}
    make = keras.optimizers.schedules
    cosine = make.CosineDecay(0.01, 4, alpha=0.3, warmup_target=0.1, warmup_steps=2)
    for schedule in (
        make.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.6),
        cosine,
        make.PiecewiseConstantDecay([1, 3], [0.1, 0.03, 0.07]),
        make.InverseTimeDecay(0.1, decay_steps=3, decay_rate=0.7),
        make.PolynomialDecay(0.1, decay_steps=3, end_learning_rate=0.03, power=1.7),
    ):
        for optimizer in (SGD, RMSprop, RMSpropKeras2, Adam, AdamW) if schedule is cosine else (SGD,):
            rule = optimizer(schedule, weight_decay=0.3)
            model = compiled(fill(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])), rule)
            found |= weights(model)
            train(model, found["x"], found["y"], 5)
            found |= weights(model, f"{optimizer.__name__}_{type(schedule).__name__}_after")
    return found


def half_used(optimizer):
    """Return a model in which half of the weights do not affect the loss."""
    x = keras.Input((3, 2))
    forward, _ = keras.layers.Bidirectional(keras.layers.LSTM(2), merge_mode=None)(x)
    return compiled(fill(keras.Model(x, keras.layers.Dense(1)(forward))), optimizer)


@scenario("float64")
def optimizer_unused_weights():
    """Two steps of AdamW on a model in which half of the weights do not affect the loss."""
    found = {}
    for name, make in (("ours", AdamW), ("plain", keras.optimizers.AdamW)):
        model = half_used(make(0.1, weight_decay=0.5))
        found |= weights(model)
        train(model, normal(2, 3, 2), normal(2, 1), 2)
        found |= weights(model, f"{name}_after")
    return found


@scenario()
def optimizer_attributes():
    """The attributes that three updates with weight decay set on an optimizer, which threads may share."""
    found = {}
    for name, optimizer in (("sgd", SGD), ("adam", Adam), ("adamw", AdamW)):
        rule, variable, changed = optimizer(0.1, weight_decay=0.04), keras.Variable(normal(3, 2)), []
        rule.apply([keras.ops.ones((3, 2))], [variable])  # makes the slots

        class Watched(type(rule)):
            def __setattr__(self, attribute, value, changed=changed):
                changed.append(attribute)
                super().__setattr__(attribute, value)

        rule.__class__ = Watched
        for _ in range(3):
            rule.apply([keras.ops.ones((3, 2))])
        found[f"{name}_changed"] = np.array(changed or ["none"])
        found[f"{name}_config"] = json.dumps(rule.get_config()["weight_decay"])
    return found


@scenario()
def optimizer_options():
    """The options of every Keras optimizer act as in Keras's own optimizers (on JAX and PyTorch, to the bit)."""
    found = {}
    for name, options in {
        "accumulation": {"gradient_accumulation_steps": 2},
        "average": {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 2},
        "clipvalue": {"clipvalue": 0.05},
        "global_clipnorm": {"global_clipnorm": 0.1},
        "loss_scale": {"loss_scale_factor": 4.0},
    }.items():
        for which, optimizer in (("ours", Adam), ("plain", keras.optimizers.Adam)):
            variables = [keras.Variable(normal(3, 2, seed=i)) for i in range(2)]
            made = optimizer(0.01, **options)
            for step in range(4):
                made.apply([keras.ops.convert_to_tensor(normal(3, 2, seed=10 * step + i)) for i in range(2)], variables)
            found |= {f"{name}_{which}{i}": numpy(variable) for i, variable in enumerate(variables)}
    return found


@scenario("float64")
def optimizer_save_and_load(folder, *others):
    """A compiled model saved after two steps, here or on a backend before, goes on training here."""
    x, y = tokens()
    found = {"x": x, "y": y}
    for name in ("sgd_momentum", "rmsprop_centered", "adam", "adamw"):
        optimizer, arguments = CASES[name]
        model = embedding_model(optimizer(**arguments))
        found |= weights(model)
        model.fit(x, y, epochs=2, verbose=0)
        # Keras saves the value that "auto" became, and the loaded model would then use torch.compile.
        model.jit_compile = False
        model.save(folder / f"{name}.keras")
        found[f"{name}_class"] = _saved_optimizer(folder / f"{name}.keras")
        for place in (folder, *others):
            loaded = keras.models.load_model(place / f"{name}.keras")
            assert type(loaded.optimizer) is optimizer
            loaded.fit(x, y, verbose=0)
            found |= weights(loaded, f"{name}_{place.name}_after")
    return found


def _saved_optimizer(path):
    with zipfile.ZipFile(path) as file:
        entry = json.loads(file.read("config.json"))["compile_config"]["optimizer"]
    return entry["module"], entry["class_name"], str(entry["registered_name"])


@scenario("float64")
def plain_optimizers(folder, *others):
    """Plain Keras's optimizers in the cases above that they are known to fail."""
    x, y = tokens()
    found = {"x": x, "y": y}
    for name, optimizer in (("adam", keras.optimizers.Adam), ("rmsprop", keras.optimizers.RMSprop)):
        model = embedding_model(optimizer(**CASES[name][1]))
        found |= weights(model)
        train(model, x, y, 3)
        found |= weights(model, f"{name}_after")
    model.save(folder / "plain_optimizer.keras")
    found["class"] = _saved_optimizer(folder / "plain_optimizer.keras")
    gradients = normal(STEPS, 3, 2)
    found |= {"gradients": gradients, "start": normal(3, 2)}
    for name in ("sgd_momentum", "sgd_decay", "adam", "adam_amsgrad"):
        optimizer, arguments = CASES[name]
        variable = keras.Variable(found["start"], dtype="float64")
        made = getattr(keras.optimizers, optimizer.__name__)(**arguments)
        for gradient in gradients:
            made.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        found |= {
            f"{name}": numpy(variable),
            f"{name}_arguments": json.dumps({"class": optimizer.__name__, **arguments}),
        }
    variable = keras.Variable(found["start"], dtype="float64")
    made = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.6))
    for gradient in gradients:
        made.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    found["schedule"] = numpy(variable)
    found["backend"] = BACKEND
    return found
