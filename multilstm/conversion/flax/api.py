"""The two APIs of Flax: how each names and makes a module."""

from __future__ import annotations

import dataclasses

__all__ = ["LINEN", "NNX", "Api"]


@dataclasses.dataclass(frozen=True)
class Api:
    """One API of Flax.

    Attributes:
        name: `nnx` or `linen`.
        prefix: its module in the source, `nnx` or `nn`.
        dense: its class of a dense layer.
        is_eager: whether a constructor makes the parameters, and so takes the size of the input and random numbers.
        dropout: the argument of a call of Dropout.
        batch_norm: the argument of a call of BatchNorm.
        lstm: the row of the table of layouts for its `OptimizedLSTMCell`.
        parameters: the beginning of the names of parameters.
        statistics: the beginning of the names of a BatchNorm's statistics.
    """

    name: str
    prefix: str
    dense: str
    is_eager: bool
    dropout: str
    batch_norm: str
    lstm: str
    parameters: str = ""
    statistics: str = ""

    def module(self, name: str, features: object, *arguments: str) -> str:
        """Return the constructor of a module.

        Args:
            name: its class.
            features: the size of its input; None for a class that takes none.
            arguments: the others.
        """
        if not self.is_eager:
            return f"{self.prefix}.{name}({', '.join(arguments)})"
        first = [] if features is None else [str(features)]
        return f"{self.prefix}.{name}({', '.join([*first, *arguments, 'rngs=rngs'])})"


NNX = Api("nnx", "nnx", "Linear", True, "", "", "flax-nnx-optimized")
LINEN = Api(
    "linen",
    "nn",
    "Dense",
    False,
    "deterministic=not train",
    "use_running_average=not train",
    "flax-linen",
    "params.",
    "batch_stats.",
)
