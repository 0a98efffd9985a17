"""Values of arguments of Keras 0.3 to 2, in the form that Keras 3 gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import arguments_of
from multilstm.spec.layers import Dense

__all__ = ["initializer", "penalty", "plain"]

# VarianceScaling by its scale, its mode and the kind of its distribution: Keras 2 wrote all of these by this class.
_SCALINGS: Mapping[tuple[float, str], str] = {(1, "fan_avg"): "glorot", (2, "fan_in"): "he", (1, "fan_in"): "lecun"}
_REPLACED = (  # initializers whose arguments have no name in Keras 3
    "VarianceScaling", "RandomUniform", "RandomNormal", "TruncatedNormal", "Constant", "Identity", "Orthogonal",
    "identity",
)  # fmt: skip
_KIND = arguments_of(Dense)["kernel_initializer"]
_PENALTIES = {  # Keras 1's names
    "WeightRegularizer": "L1L2", "ActivityRegularizer": "L1L2", "L1L2Regularizer": "L1L2", "l1l2": "L1L2",
    "maxnorm": "MaxNorm", "nonneg": "NonNeg", "unitnorm": "UnitNorm",
}  # fmt: skip


def plain(value: Any) -> Any:
    """Return a list for the object of a tuple, the numbers for that of an array, and every other value as it is.

    TensorFlow writes tuples as `{"class_name": "__tuple__", "items": ...}`. Keras 2 writes the slopes of a ReLU as
    `{"type": "ndarray", "value": ...}`.
    """
    if isinstance(value, Mapping) and value.get("class_name") == "__tuple__":
        return value.get("items")
    if isinstance(value, Mapping) and set(value) == {"type", "value"} and value["type"] == "ndarray":
        return value["value"]
    return value


def initializer(value: Any, default: str) -> tuple[Any, str | None]:
    """Return an initializer of Keras 3, and a note where it is another one.

    An initializer decides no answer of weights that come from a file, so that one without a name is replaced.

    Args:
        value: a name, or an object with `class_name` and `config`.
        default: the name that replaces an initializer of other arguments than Keras 3's names have.
    """
    if isinstance(value, Mapping) and value.get("class_name") == "VarianceScaling":
        value = _scaling(value.get("config")) or value
    name = value.get("class_name") if isinstance(value, Mapping) else value
    if name not in _REPLACED or _has_a_name(value):
        return value, None
    return default, f"the initializer {shown(name)} is read as {default}: it decides only new weights"


def _has_a_name(value: Any) -> bool:
    """Whether the spec has a name for an initializer with these arguments."""
    try:
        _KIND.read(value, "")
    except SpecError:
        return False
    return True


def _scaling(config: Any) -> str | None:
    """Return the name of a VarianceScaling, or None."""
    arguments = config if isinstance(config, Mapping) else {}
    scale, mode, distribution = (arguments.get(key) for key in ("scale", "mode", "distribution"))
    if not isinstance(scale, (int, float)) or not isinstance(mode, str) or not isinstance(distribution, str):
        return None
    family = _SCALINGS.get((scale, mode))
    kind = {"uniform": "uniform", "normal": "normal", "truncated_normal": "normal"}.get(distribution)
    return f"{family}_{kind}" if family and kind else None


def penalty(value: Any) -> Any:
    """Return a regularizer or a constraint as Keras 3 writes it; Keras 1 has its arguments next to its name."""
    if isinstance(value, str):
        return _PENALTIES.get(value, value)
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value and isinstance(value.get("name"), str):
        arguments = {("max_value" if key == "m" else key): item for key, item in value.items() if key != "name"}
        value = {"class_name": value["name"], "config": arguments}
    name = value.get("class_name")
    name = _PENALTIES.get(name, name) if isinstance(name, str) else name
    config = value.get("config")
    if name == "L1L2" and isinstance(config, Mapping) and not any(config.values()):
        return None  # of strength 0
    return {**value, "class_name": name}
