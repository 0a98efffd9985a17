"""The training configuration of any Keras, in the meaning that it had in the version that wrote it.

The sources are keras/optimizers.py and keras/engine/saving.py of Keras 1.2.2, 2.2.4 and 2.3.1. Those of Keras 2.10 and
2.11 are in keras/optimizers/.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from multilstm.errors import MultilstmError, SpecError, listed, shown
from multilstm.spec.dialects.versions import Version
from multilstm.spec.json_values import as_dict, check_class
from multilstm.spec.optimizers import OPTIMIZERS, Optimizer, RMSprop, RMSpropKeras2
from multilstm.spec.schedules import InverseTimeDecay, schedule_from_dict
from multilstm.spec.training import Training, losses_of

__all__ = ["left_out", "optimizer_config", "read_training"]

_RENAMED = {"lr": "learning_rate"}
# Arguments that the spec lacks, with the only values that are read; none: every value.
_DROPPED: Mapping[str, tuple[Any, ...]] = {
    "name": (), "decay": (), "jit_compile": (), "is_legacy_optimizer": (), "ema_momentum": (),
    "ema_overwrite_frequency": (), "amsgrad": (False, None), "use_ema": (False,), "loss_scale_factor": (None,),
    "gradient_accumulation_steps": (None,),
}  # fmt: skip
# Arguments of `compile` that change no weight, with the values that mean nothing.
_LEFT_OUT: Mapping[str, tuple[Any, ...]] = {
    "metrics": (), "weighted_metrics": (), "sample_weight_mode": (), "run_eagerly": (False,),
    "steps_per_execution": (1,),
}  # fmt: skip
_EPSILON = 1e-7  # of Keras 2, where the file has none


def optimizer_config(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the class and the arguments of the optimizer of a training configuration.

    Args:
        config: `training_config` of Keras 1 and 2, or `compile_config` of Keras 3.

    Raises:
        SpecError: for a configuration without an optimizer of a class.
    """
    entry = config.get("optimizer_config", config.get("optimizer"))
    if isinstance(entry, str):
        return entry, {}
    entry = as_dict(entry, "the training configuration: its optimizer")
    name = entry.get("class_name")
    if not isinstance(name, str):
        raise SpecError(f"the training configuration: the class of its optimizer is {shown(name)}; expected a name")
    return name, as_dict(entry.get("config", {}), f"optimizer {shown(name)}: config")


def read_training(config: Mapping[str, Any], version: Version, outputs: tuple[str, ...]) -> Training:
    """Return the training that a file means, in terms that mean the same today.

    Args:
        config: `training_config` of Keras 1 and 2, or `compile_config` of Keras 3.
        version: the version of Keras whose rules apply. With Keras 3, it is what Keras 3 makes of the same words.
        outputs: the names of the layers of the model's outputs.

    Raises:
        SpecError: for an optimizer or a loss that multilstm does not execute. The message names it.
    """
    name, arguments = optimizer_config(config)
    kind = OPTIMIZERS.get(name.rpartition(">")[2].lower())
    if kind is None:
        known = listed(row.__name__ for row in OPTIMIZERS.values())
        raise SpecError(f"optimizer {shown(name)} is not executed by multilstm; expected one of {known}")
    _check_own(config, name, version)
    losses = losses_of(config.get("loss"), outputs)
    _check_loss_weights(config.get("loss_weights"))
    try:
        optimizer = _optimizer(kind, arguments, version.of_optimizer(arguments))
    except (MultilstmError, TypeError, AttributeError) as error:  # of values of another type than Keras writes
        raise SpecError(f"optimizer {kind.__name__}: {error}") from None
    return Training(optimizer, losses, version.loss_counts_padding)


def left_out(config: Mapping[str, Any]) -> list[str]:
    """Return the arguments of `compile` that `read_training` leaves out, because they change no weight."""
    return [name for name, meaningless in _LEFT_OUT.items() if not _is_empty(config.get(name), meaningless)]


def _is_empty(value: Any, meaningless: tuple[Any, ...]) -> bool:
    """Whether a value, or each part of it, is null or has no meaning."""
    if isinstance(value, Mapping):
        return "class_name" not in value and all(_is_empty(part, meaningless) for part in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_empty(part, meaningless) for part in value)
    return value is None or value in meaningless


def _check_own(config: Mapping[str, Any], name: str, version: Version) -> None:
    """Refuse an optimizer of the user's own that has the name of one of Keras's.

    Keras 2.11 to 2.15 wrote `Custom>Adam` for its own. In Keras 3 this is a class that a user registered.
    """
    entry = config.get("optimizer_config", config.get("optimizer"))
    package, _, own = name.rpartition(">")
    registered = entry.get("registered_name") if isinstance(entry, Mapping) else None
    if version.is_old:
        package = "" if package == "Custom" else package
        registered = None if registered == f"Custom>{own}" else registered
    module = entry.get("module") if isinstance(entry, Mapping) else None
    names = {"module": module, "registered_name": f"{package}>{own}" if package else registered}
    check_class(names, own, "optimizer")


def _check_loss_weights(value: Any) -> None:
    """Raise SpecError for factors of the losses other than 1."""
    factors = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
    if any(factor is not None and factor != 1 for factor in factors):
        raise SpecError(f"loss_weights is {shown(value)}; expected 1 for each loss")


def _optimizer(kind: type[Optimizer], config: Mapping[str, Any], version: Version) -> Optimizer:
    fields = {field.name for field in dataclasses.fields(kind)}
    arguments: dict[str, Any] = {}
    for key, value in config.items():
        key = _RENAMED.get(key, key)
        if key in _DROPPED and key not in fields:
            if _DROPPED[key] and value not in _DROPPED[key]:
                raise SpecError(f"{key} is {shown(value)}; expected {_DROPPED[key][0]!r}")
        elif key not in fields:
            raise SpecError(f"{shown(key)} is not read; expected only {listed(fields)}")
        elif key == "learning_rate" and isinstance(value, Mapping):
            arguments[key] = schedule_from_dict(value)
        else:
            arguments[key] = _EPSILON if key == "epsilon" and value is None else value
    decay = config.get("decay") or 0.0
    if decay and version.has_decay:
        arguments["learning_rate"] = _decaying(kind, arguments, decay)
    if arguments.get("clipnorm") is not None and version.clips_all_weights_together:
        arguments["global_clipnorm"] = arguments.pop("clipnorm")
    if kind is RMSprop and version.epsilon_is_outside and not arguments.get("momentum"):
        kind = RMSpropKeras2
    return kind(**arguments)


def _decaying(kind: type[Optimizer], arguments: Mapping[str, Any], decay: Any) -> InverseTimeDecay:
    """Return the schedule of `decay`: the rate of update n is `rate / (1 + decay * n)`."""
    rate = arguments.get("learning_rate", kind().learning_rate)
    if not isinstance(rate, (int, float)) or not isinstance(decay, (int, float)):
        raise SpecError(f"decay={shown(decay)} and the rate {shown(rate)}; expected two numbers")
    return InverseTimeDecay(float(rate), 1, float(decay))
