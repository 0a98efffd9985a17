"""The names of initializers, and their forms in Keras's JSON. `multilstm.weights.initializers` computes them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from multilstm.errors import listed, shown
from multilstm.spec.arguments import Argument, one_of
from multilstm.spec.json_values import as_dict, class_of, refuse

__all__ = ["BIAS_INITIALIZERS", "INITIALIZERS", "BiasInitializer", "EmbeddingsInitializer", "Initializer"]

INITIALIZERS = (
    "zeros", "ones", "uniform", "random_uniform", "random_normal", "glorot_uniform", "glorot_normal", "he_uniform",
    "he_normal", "lecun_uniform", "lecun_normal", "orthogonal",
)  # fmt: skip
BIAS_INITIALIZERS = tuple(name for name in INITIALIZERS if name != "orthogonal")  # which needs two axes

# The arguments of Keras's initializers, except seeds, with the only values under which they are those of the spec.
_AXES = {"input_axes": None, "output_axes": None}
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "zeros": {},
    "ones": {},
    "random_uniform": {"minval": -0.05, "maxval": 0.05},
    "random_normal": {"mean": 0.0, "stddev": 0.05},
    "glorot_uniform": _AXES,
    "glorot_normal": _AXES,
    "he_uniform": _AXES,
    "he_normal": _AXES,
    "lecun_uniform": _AXES,
    "lecun_normal": _AXES,
    "orthogonal": {"gain": 1.0},
}
_CLASSES: dict[str, str] = {
    **{name.replace("_", " ").title().replace(" ", ""): name for name in _ARGUMENTS},  # GlorotUniform
    **{name: name for name in _ARGUMENTS},
    "OrthogonalInitializer": "orthogonal",
    "uniform": "random_uniform",
    "normal": "random_normal",
    "zero": "zeros",
    "one": "ones",
}


@dataclasses.dataclass(frozen=True)
class _InitializerArgument(Argument):
    """An initializer by name.

    Attributes:
        uniform: the name for Keras's class RandomUniform, which has two: `uniform` is the default of an Embedding.
    """

    uniform: str = "random_uniform"

    def read(self, value: Any, where: str) -> Any:
        if isinstance(value, str) and value in INITIALIZERS:
            return value
        entry = {"class_name": value} if isinstance(value, str) else as_dict(value, where)
        class_name = class_of(entry, tuple(_CLASSES), where)
        initializer = _CLASSES[class_name]
        allowed = _ARGUMENTS[initializer]
        for key, given in as_dict(entry.get("config") or {}, f"{where}: config").items():
            if key in allowed and (isinstance(given, bool) or given != allowed[key]):
                refuse(f"{where}: {key} of {class_name}", given, shown(allowed[key]))
            if key not in allowed and key not in ("seed", "dtype"):
                refuse(f"{where}: {class_name}", key, f"only the arguments {listed((*allowed, 'seed'))}")
        return self.uniform if initializer == "random_uniform" else initializer


_ANY = one_of(*INITIALIZERS).check
Initializer = Annotated[str, _InitializerArgument(_ANY)]
EmbeddingsInitializer = Annotated[str, _InitializerArgument(_ANY, uniform="uniform")]
BiasInitializer = Annotated[str, _InitializerArgument(one_of(*BIAS_INITIALIZERS).check)]
