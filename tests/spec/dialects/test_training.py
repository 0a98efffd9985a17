"""The training configuration of a file, in the meaning of the version that wrote it."""

import pytest
from old_models import CLIPPED, RMSPROP, training

from multilstm.errors import SpecError, UsageError
from multilstm.spec import optimizers, schedules
from multilstm.spec.dialects.training import left_out, read_training
from multilstm.spec.dialects.versions import version_of
from multilstm.spec.training import LOSS_CLASSES, compile_config

DECAYING = schedules.InverseTimeDecay(0.01, 1, 0.05)


def read(config, version="2.2.4", outputs=("head",)):
    return read_training(config, version_of({"keras_version": version}, None)[0], outputs)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.2.2", optimizers.RMSpropKeras2(DECAYING, global_clipnorm=0.05)),
        ("2.2.4", optimizers.RMSpropKeras2(DECAYING, global_clipnorm=0.05)),
        ("2.3.1", optimizers.RMSpropKeras2(DECAYING, global_clipnorm=0.05)),
        ("2.2.4-tf", optimizers.RMSpropKeras2(DECAYING, clipnorm=0.05)),
        ("2.10.0", optimizers.RMSpropKeras2(DECAYING, clipnorm=0.05)),
        ("2.11.0", optimizers.RMSpropKeras2(DECAYING, clipnorm=0.05)),
        ("3.8.0", optimizers.RMSprop(0.01, clipnorm=0.05)),
    ],
)
def test_an_optimizer_means_what_its_version_meant(version, expected):
    assert read(training(CLIPPED), version).optimizer == expected


@pytest.mark.parametrize(
    ("arguments", "is_legacy"),
    [
        ({"is_legacy_optimizer": True}, True),
        ({"is_legacy_optimizer": False}, False),
        ({"decay": 0.0}, True),
        ({"decay": 0.0, "is_legacy_optimizer": False}, False),
        ({}, False),
    ],
    ids=["stated", "stated_as_new", "decay", "decay_and_stated_as_new", "neither"],
)
@pytest.mark.parametrize("version", ["2.11.0", "2.15.0", "2.21.0"])
def test_legacy_optimizers_keep_the_rules_of_2_10(version, arguments, is_legacy):
    config = {"class_name": "RMSprop", "config": {"learning_rate": 0.1, "epsilon": 0.01, **arguments}}
    expected = optimizers.RMSpropKeras2 if is_legacy else optimizers.RMSprop
    assert read(training(config), version).optimizer == expected(0.1, epsilon=0.01)


@pytest.mark.parametrize("weights", [[1, 0.2], {"a": 1.0, "b": 2}, 0.5, ["1", 1]], ids=["list", "dict", "one", "text"])
def test_factors_of_losses_are_refused(weights):
    with pytest.raises(SpecError, match=r"loss_weights is .*; expected 1 for each loss"):
        read({**training(RMSPROP, "mse"), "loss_weights": weights}, outputs=("a", "b"))


@pytest.mark.parametrize("weights", [None, [1.0, 1], {"a": None, "b": 1}, 1], ids=["none", "list", "dict", "one"])
def test_factors_of_1_change_nothing(weights):
    assert read({**training(RMSPROP, "mse"), "loss_weights": weights}, outputs=("a", "b")).losses


@pytest.mark.parametrize(
    ("version", "counts"),
    [("2.2.5", False), ("2.3.1", True), ("2.2.4-tf", True), ("2.9.0", True), ("2.10.0", False), ("3.0.0", False)],
)
def test_the_versions_whose_losses_count_padding(version, counts):
    assert read(training(RMSPROP), version).counts_padding is counts


def test_with_a_momentum_epsilon_is_inside_of_the_root():
    config = {"class_name": "RMSprop", "config": {"learning_rate": 0.1, "momentum": 0.5, "rho": 0.9, "centered": False}}
    assert read(training(config), "2.6.0").optimizer == optimizers.RMSprop(0.1, momentum=0.5)
    with pytest.raises(UsageError, match=r"momentum must be 0, got 0\.5"):
        optimizers.RMSpropKeras2(momentum=0.5)


def test_a_schedule_of_tensorflow():
    rate = {
        "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5},
    }
    config = {"class_name": "Adam", "config": {"learning_rate": rate, "decay": 0.0, "amsgrad": False, "epsilon": None}}
    assert read(training(config), "2.6.0").optimizer == optimizers.Adam(schedules.ExponentialDecay(0.1, 3, 0.5))


def test_the_configuration_of_keras_3():
    config = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1, "use_ema": False}}, "loss": "mse"}
    found = read(config, "3.8.0")
    assert (found.optimizer, found.losses, found.own_classes) == (optimizers.SGD(0.1), ("MeanSquaredError",), ())


@pytest.mark.parametrize(
    ("loss", "outputs", "expected"),
    [
        ("mse", ("a", "b"), ("MeanSquaredError", "MeanSquaredError")),
        (["mae", "poisson"], ("a", "b"), ("MeanAbsoluteError", "Poisson")),
        ({"b": "hinge", "a": "mse"}, ("a", "b"), ("MeanSquaredError", "Hinge")),
        ({"class_name": "Huber", "config": {"name": "huber", "reduction": "auto", "delta": 1.0}}, ("a",), ("Huber",)),
    ],
    ids=["one", "list", "dict", "object"],
)
def test_the_losses_of_all_outputs(loss, outputs, expected):
    assert read(training(RMSPROP, loss), outputs=outputs).losses == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (training({"class_name": "Nadam", "config": {}}), "optimizer 'Nadam' is not executed by multilstm"),
        (training({"class_name": "Adam", "config": {"amsgrad": True}}), "Adam: amsgrad is True; expected False"),
        (training({"class_name": "Adam", "config": {"beta": 1}}), "Adam: 'beta' is not read"),
        (training(RMSPROP, "cosine_proximity"), "unknown loss 'cosine_proximity'"),
        (training(RMSPROP, ["mse", "mse"]), "2 losses are given; expected one for each of head"),
        (training(RMSPROP, {"tail": "mse"}), "the losses are of tail"),
        (
            training(RMSPROP, {"class_name": "Huber", "config": {"delta": 2.0}}),
            "loss Huber: delta is 2.0; expected 1.0",
        ),
        (training({"class_name": "SGD", "config": {"lr": -1}}), "optimizer SGD: .*learning_rate must be"),
        ({"loss": "mse"}, "its optimizer"),
        (training({"class_name": "SGD", "config": {"lr": {"class_name": [], "config": None}}}), "optimizer SGD: "),
        (training({"class_name": "SGD", "config": {"lr": {"class_name": "CosineDecay", "config": None}}}), "SGD: "),
        (training({"class_name": "SGD", "config": {"lr": 0.1, "decay": -1.0}}), "optimizer SGD: "),
        (training({"class_name": "SGD", "config": {"lr": 0.1, "decay": "1"}}), "optimizer SGD: decay='1'"),
    ],
    ids=[
        "class",
        "value",
        "argument",
        "loss",
        "many",
        "name",
        "delta",
        "rate",
        "none",
        "schedule",
        "of_schedule",
        "decay",
        "text",
    ],
)
def test_refuses_what_is_not_executed(config, message):
    with pytest.raises(SpecError, match=message):
        read(config)


def test_classes_of_keras_3_that_mean_the_same():
    found = read(training(RMSPROP), "2.3.1")
    assert found.own_classes == ("RMSpropKeras2", "MeanOverAllTimesteps")
    config = compile_config(found)
    assert config["optimizer"]["registered_name"] == "multilstm>RMSpropKeras2"
    assert config["optimizer"]["config"]["learning_rate"]["class_name"] == "InverseTimeDecay"
    assert config["loss"]["config"]["loss"]["class_name"] == "CategoricalCrossentropy"
    assert set(LOSS_CLASSES.values()) > {"MeanSquaredError", "CategoricalCrossentropy"}


OWN = {
    "registered": ({"module": None, "class_name": "Adam", "config": {}, "registered_name": "mine>Adam"}, "3.8.0"),
    "registered_without_a_package": (
        {"module": None, "class_name": "Adam", "config": {}, "registered_name": "Custom>Adam"}, "3.8.0",
    ),
    "of_a_module": ({"module": "mine", "class_name": "Adam", "config": {}, "registered_name": "Adam"}, "3.8.0"),
    "of_an_old_package": ({"class_name": "Addons>AdamW", "config": {}}, "2.15.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_an_optimizer_of_the_users_own_is_refused_though_its_name_is_one_of_keras(name):
    optimizer, version = OWN[name]
    with pytest.raises(SpecError, match=r"optimizer: .* given '(mine|Custom>Adam|mine>Adam|Addons>AdamW)'"):
        read({"optimizer": optimizer, "loss": "mse"}, version)


@pytest.mark.parametrize(
    ("optimizer", "version"),
    [
        ({"class_name": "Custom>Adam", "config": {}}, "2.15.0"),
        ({"module": "keras.optimizers", "class_name": "Custom>Adam", "config": {}}, "2.13.1"),
        ({"module": "keras.optimizers", "class_name": "Adam", "config": {}, "registered_name": None}, "3.8.0"),
        (
            {
                "module": "multilstm.keras_layers.optimizers", "class_name": "Adam", "config": {},
                "registered_name": "multilstm>Adam",
            },
            "3.8.0",
        ),
    ],
    ids=["keras_2_15", "keras_2_13", "keras_3", "portable"],
)  # fmt: skip
def test_the_names_under_which_keras_wrote_its_own_optimizers(optimizer, version):
    assert isinstance(read({"optimizer": optimizer, "loss": "mse"}, version).optimizer, optimizers.Adam)


def test_a_loss_and_a_schedule_of_the_users_own_are_refused():
    own = {"module": None, "class_name": "MeanSquaredError", "config": {}, "registered_name": "mine>MeanSquaredError"}
    with pytest.raises(SpecError, match="loss: registered_name of class MeanSquaredError"):
        read({"optimizer": "sgd", "loss": own}, "3.8.0")
    rate = {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5}
    schedule = {"module": "mine", "class_name": "ExponentialDecay", "config": rate}
    with pytest.raises(SpecError, match="schedule: module of class ExponentialDecay: given 'mine'"):
        read({"optimizer": {"class_name": "SGD", "config": {"learning_rate": schedule}}, "loss": "mse"}, "3.8.0")


LEFT_OUT = {
    "metrics": ({"metrics": ["mae"]}, ["metrics"]),
    "metrics_of_outputs": ({"metrics": [[{"class_name": "MeanMetricWrapper", "config": {}}], []]}, ["metrics"]),
    "weighted": ({"weighted_metrics": {"head": "mae"}}, ["weighted_metrics"]),
    "temporal": ({"sample_weight_mode": "temporal"}, ["sample_weight_mode"]),
    "eager": ({"run_eagerly": True}, ["run_eagerly"]),
    "steps": ({"steps_per_execution": 4, "metrics": []}, ["steps_per_execution"]),
    "defaults": (
        {"metrics": [[], []], "weighted_metrics": None, "sample_weight_mode": {"head": None}, "run_eagerly": False,
         "steps_per_execution": 1},
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_arguments_of_compile_that_change_no_weight_are_named(name):
    given, expected = LEFT_OUT[name]
    assert left_out(given) == expected
