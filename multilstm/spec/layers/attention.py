"""Attention of queries to values: Attention (Luong) and AdditiveAttention (Bahdanau)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import Argument, ArgumentError, Flag, Seed, is_real, one_of
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape, features, show

__all__ = ["AdditiveAttention", "Attention"]

AXES = "[batch, timesteps, features]"


def _check_dropout(name: str, value: Any) -> float:
    if not is_real(value) or value != 0:
        raise ArgumentError(
            f"{name} of attention scores is not executed by multilstm yet; given {shown(value)}, expected 0; "
            f"leave it out"
        )
    return 0.0


NoDropout = Annotated[float, Argument(_check_dropout)]


@dataclasses.dataclass(frozen=True)
class _Attention(Layer):
    """A layer of inputs `[query, value]`, or `[query, value, key]`; without a key, the value is the key.

    Each query timestep gets the mean of the value's timesteps, weighted by the softmax of its scores. The value's mask
    excludes timesteps. A masked query timestep gets 0, and so does one for which no value timestep is left.
    """

    @property
    def mixes_timesteps(self) -> bool:
        return True

    def output_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        if len(inputs) not in (2, 3):
            raise SpecError(
                f"{self.label}: expected the inputs [query, value] or [query, value, key], given {len(inputs)}"
            )
        for shape in inputs:
            if len(shape) != 3:
                raise SpecError(f"{self.label}: expected inputs {AXES}, given shape {show(shape)}")
        query, value, key = inputs[0], inputs[1], inputs[-1]
        if query[2] != key[2]:
            raise SpecError(f"{self.label}: query and key differ in features: {show(query)} and {show(key)}")
        if value[1] != key[1]:
            raise SpecError(f"{self.label}: value and key differ in timesteps: {show(value)} and {show(key)}")
        return ((*query[:2], value[2]),)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the query."""
        return masks[0]


@dataclasses.dataclass(frozen=True)
class Attention(_Attention):
    """Attention whose scores are products (https://arxiv.org/abs/1508.04025).

    | `score_mode` | score of a query and a key |
    |---|---|
    | `dot` | `scale * sum(query * key)` |
    | `concat` | `concat_score_weight * sum(tanh(scale * (query + key)))` |

    Sums are over the features. Without `use_scale`, the scale is 1.
    """

    scale_initializer: ClassVar = "ones"
    scale_regularizer: ClassVar = None
    scale_constraint: ClassVar = None
    concat_score_weight_initializer: ClassVar = "ones"
    concat_score_weight_regularizer: ClassVar = None
    concat_score_weight_constraint: ClassVar = None

    use_scale: Flag = False
    score_mode: Annotated[str, one_of("dot", "concat")] = "dot"
    dropout: NoDropout = 0.0
    seed: Seed = None

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        used = {"scale": self.use_scale, "concat_score_weight": self.score_mode == "concat"}
        return {name: () for name, is_used in used.items() if is_used}

    def parameter_formula(self, inputs: Shape) -> str:
        names = list(self.weight_shapes(inputs))
        return f"{' + '.join(names)} = {' + '.join(['1'] * len(names))}" if names else ""


@dataclasses.dataclass(frozen=True)
class AdditiveAttention(_Attention):
    """Attention whose scores are `sum(scale * tanh(query + key))` over the features (https://arxiv.org/abs/1409.0473).

    `scale` has a number for each feature; without `use_scale`, it is 1.
    """

    ignored: ClassVar = (*Layer.ignored, "seed")
    scale_initializer: ClassVar = "glorot_uniform"
    scale_regularizer: ClassVar = None
    scale_constraint: ClassVar = None

    use_scale: Flag = True
    dropout: NoDropout = 0.0

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        return {"scale": (features(self.label, inputs),)} if self.use_scale else {}

    def parameter_formula(self, inputs: Shape) -> str:
        return f"features = {inputs[-1]}" if self.use_scale else ""
