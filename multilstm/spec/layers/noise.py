"""Layers that add or multiply noise in training, and are the identity otherwise.

Frameworks draw different numbers, so a training step is given the noise, as it may be given a dropout mask. A seed of
these layers draws nothing here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from multilstm.errors import shown
from multilstm.spec.arguments import Argument, ArgumentError, Rate, Seed, is_real
from multilstm.spec.layer_base import DropoutMask, Layer
from multilstm.spec.shapes import Shape

__all__ = ["AlphaDropout", "GaussianDropout", "GaussianNoise"]


def _check_deviation(name: str, value: Any) -> float:
    if not is_real(value) or not 0 <= value <= 1:
        raise ArgumentError(f"{name} must be a number from 0 to 1, got {shown(value)}")
    return float(value)


@dataclasses.dataclass(frozen=True)
class GaussianNoise(Layer):
    """In training, adds given normal numbers of mean 0 and standard deviation `stddev`; else the identity."""

    stddev: Annotated[float, Argument(_check_deviation)]
    seed: Seed = None

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"in training, adds normal noise of standard deviation {self.stddev:.4g}",)

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield the noise, of the shape of the input."""
        if self.stddev:
            yield DropoutMask(name, 0.0, inputs, normal=(0.0, self.stddev), seeded=False)


@dataclasses.dataclass(frozen=True)
class GaussianDropout(Layer):
    """In training, multiplies by given normal numbers of mean 1 and variance `rate / (1 - rate)`; else the identity.

    The source is Srivastava et al. 2014, section 10 (https://jmlr.org/papers/v15/srivastava14a.html).
    """

    rate: Rate
    seed: Seed = None

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"in training, multiplies by normal noise, as a dropout of {self.rate:.4g}",)

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield the noise, of the shape of the input."""
        if self.rate:
            deviation = math.sqrt(self.rate / (1 - self.rate))
            yield DropoutMask(name, self.rate, inputs, normal=(1.0, deviation), seeded=False)


@dataclasses.dataclass(frozen=True)
class AlphaDropout(Layer):
    """In training, a dropout that keeps mean and variance of the output of `selu`; else the identity.

    Where its mask is 0, the input becomes `SATURATED`; then `scale * x + shift` follows (Klambauer et al. 2017,
    https://arxiv.org/abs/1706.02515).
    """

    SATURATED: ClassVar[float] = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946
    refused: ClassVar = ("noise_shape",)

    rate: Rate
    noise_shape: Any = None
    seed: Seed = None

    @property
    def scale(self) -> float:
        """The factor of the kept values."""
        return float(((1 - self.rate) * (1 + self.rate * self.SATURATED**2)) ** -0.5)

    @property
    def shift(self) -> float:
        """The number that is added to all values."""
        return -self.scale * self.SATURATED * self.rate

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"in training, saturates {self.rate:.4g} of its input",)

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield one mask of the shape of the input."""
        if self.rate:
            yield DropoutMask(name, self.rate, inputs, seeded=False)
