"""The training of a compiled model as data: its optimizer and its losses, to Keras 3's JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from multilstm.errors import SpecError, choice, listed
from multilstm.spec.json_values import check_class
from multilstm.spec.optimizers import Optimizer, RMSpropKeras2
from multilstm.spec.schedules import Schedule, schedule_to_dict

__all__ = ["LOSS_CLASSES", "Training", "compile_config", "loss_class"]

# Keras 3's classes of losses, by the names of their functions and by all other names under which files have them.
LOSS_CLASSES: Mapping[str, str] = {
    "mean_squared_error": "MeanSquaredError", "mse": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError", "mae": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError", "mape": "MeanAbsolutePercentageError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError", "msle": "MeanSquaredLogarithmicError",
    "binary_crossentropy": "BinaryCrossentropy", "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy", "kullback_leibler_divergence": "KLDivergence",
    "kl_divergence": "KLDivergence", "kld": "KLDivergence", "poisson": "Poisson", "hinge": "Hinge",
    "squared_hinge": "SquaredHinge", "categorical_hinge": "CategoricalHinge", "logcosh": "LogCosh",
    "log_cosh": "LogCosh", "huber": "Huber", "huber_loss": "Huber",
}  # fmt: skip
_OURS = "multilstm"  # the package under which Keras registers the classes of multilstm.keras_layers


@dataclasses.dataclass(frozen=True)
class Training:
    """The optimizer and the losses with which a model was compiled.

    Attributes:
        optimizer: the optimizer.
        losses: Keras 3's class of the loss of each output of the model.
        counts_padding: whether the mean of a loss counts masked timesteps, as in Keras 2.3.
    """

    optimizer: Optimizer
    losses: tuple[str, ...]
    counts_padding: bool = False

    @property
    def own_classes(self) -> tuple[str, ...]:
        """The classes of `multilstm.keras_layers` that it needs, because Keras 3 has none of this meaning."""
        optimizer = ("RMSpropKeras2",) if isinstance(self.optimizer, RMSpropKeras2) else ()
        return (*optimizer, *(("MeanOverAllTimesteps",) if self.counts_padding else ()))


def loss_class(name: Any) -> str:
    """Return Keras 3's class of a loss, by the name of its function or its class.

    Raises:
        SpecError: for any other loss, with the names that are read.
    """
    if isinstance(name, str):
        found = LOSS_CLASSES.get(name.lower(), name)
        if found in LOSS_CLASSES.values():
            return found
    raise SpecError(choice("loss", name, dict.fromkeys(LOSS_CLASSES.values())))


def compile_config(training: Training) -> dict[str, Any]:
    """Return the training as the argument of `keras.Model.compile_from_config`."""
    losses = [_loss(name, training.counts_padding) for name in training.losses]
    return {"optimizer": _optimizer(training.optimizer), "loss": losses[0] if len(losses) == 1 else losses}


def _loss(name: str, counts_padding: bool) -> dict[str, Any]:
    config = {"reduction": "sum_over_batch_size"}
    loss = {"module": "keras.losses", "class_name": name, "config": config, "registered_name": None}
    if not counts_padding:
        return loss
    return {
        "module": f"{_OURS}.keras_layers.losses",
        "class_name": "MeanOverAllTimesteps",
        "config": {"loss": loss},
        "registered_name": f"{_OURS}>MeanOverAllTimesteps",
    }


def _optimizer(optimizer: Optimizer) -> dict[str, Any]:
    name = type(optimizer).__name__
    config = {field.name: getattr(optimizer, field.name) for field in dataclasses.fields(optimizer)}
    rate = config["learning_rate"]
    if isinstance(rate, Schedule):
        module = "keras.optimizers.schedules"
        config["learning_rate"] = {"module": module, **schedule_to_dict(rate), "registered_name": None}
    if not isinstance(optimizer, RMSpropKeras2):
        return {"module": "keras.optimizers", "class_name": name, "config": config, "registered_name": None}
    registered = f"{_OURS}>{name}"
    module = f"{_OURS}.keras_layers.optimizers"
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def losses_of(value: Any, outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Return Keras 3's class of the loss of each output.

    Args:
        value: a loss as Keras's JSON has it, a list with one for each output, or a dict by output.
        outputs: the names of the layers of the outputs.

    Raises:
        SpecError: for a loss that is not read, or another number of losses.
    """
    if isinstance(value, Mapping) and "class_name" not in value:
        if set(value) != set(outputs):
            raise SpecError(f"the losses are of {listed(map(str, value))}; expected one for each of {listed(outputs)}")
        value = [value[name] for name in outputs]
    values = list(value) if isinstance(value, (list, tuple)) else [value] * len(outputs)
    if len(values) != len(outputs):
        raise SpecError(f"{len(values)} losses are given; expected one for each of {listed(outputs)}")
    return tuple(map(_one_loss, values))


def _one_loss(value: Any) -> str:
    """Return the class of one loss; arguments other than Keras's defaults are refused."""
    if not isinstance(value, Mapping):
        return loss_class(value)
    config = value.get("config")
    arguments = dict(config) if isinstance(config, Mapping) else {}
    name = loss_class(value.get("class_name"))
    check_class(value, name, "loss")
    for key, argument in arguments.items():
        if key in _LOSS_DEFAULTS and argument not in _LOSS_DEFAULTS[key]:
            raise SpecError(f"loss {name}: {key} is {argument!r}; expected {_LOSS_DEFAULTS[key][0]!r}")
        if key not in _LOSS_DEFAULTS and key not in ("name", "fn", "dtype", "module", "registered_name"):
            raise SpecError(f"loss {name}: {key} is not read; expected only {listed(_LOSS_DEFAULTS)}")
    return name


_LOSS_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "reduction": ("sum_over_batch_size", "auto"),
    "from_logits": (False,),
    "label_smoothing": (0, 0.0),
    "axis": (-1,),
    "delta": (1.0,),
    "ignore_class": (None,),
}
