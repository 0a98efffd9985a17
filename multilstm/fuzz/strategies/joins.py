"""Strategies of layers with several inputs: branches grow from one place, and such a layer joins them."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from multilstm.fuzz.strategies.arguments import FLAG, Draw, mostly
from multilstm.fuzz.strategies.places import Place, Setting
from multilstm.fuzz.strategies.recurrent import recurrent
from multilstm.spec import (
    Add,
    AdditiveAttention,
    Attention,
    Average,
    Concatenate,
    Dense,
    Dot,
    Layer,
    Masking,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    UpSampling1D,
    ZeroPadding1D,
)

__all__ = ["JOINS", "Join", "joined"]


class Join(NamedTuple):
    """The rule for one class.

    Attributes:
        ranks: the numbers of axes, the batch included, of the places from which branches grow.
        make: draws the output of a layer of the class.
        fixed: whether every axis must have a known size.
    """

    ranks: tuple[int, ...]
    make: Any
    fixed: bool = False

    def takes(self, place: Place) -> bool:
        """Whether branches from a place can be joined by a layer of the class."""
        return place.rank in self.ranks and (place.is_fixed or not self.fixed)


@st.composite
def joined(draw: Draw, kind: type[Layer], place: Place, setting: Setting) -> Place:
    """Draw the output of a layer of a class of `JOINS`."""
    layer, first, *others = JOINS[kind].make(draw, kind, place, setting)
    return first.then(layer, *others)[0]  # type: ignore[no-any-return]


def _branch(draw: Draw, place: Place, setting: Setting, features: int) -> Place:
    """Return a place with some features, and the timesteps of `place`; its mask may be lost, or another one."""
    if place.rank == 3:
        change = draw(mostly(None, (ZeroPadding1D(0), Masking(0.5))))
        place = place if change is None else place.then(change)[0]
        if draw(FLAG):
            return place.then(draw(recurrent(setting, place, sequences=True, units=features)))[0]
    if place.sizes[-1] == features and draw(st.booleans()):
        return place
    return place.then(Dense(features, draw(mostly("linear", ("tanh", "relu")))))[0]


def _merge(draw: Draw, kind: Any, place: Place, setting: Setting) -> list[Any]:
    """Return a merging layer and two or three branches, of which one may have a single feature."""
    features, count = draw(st.integers(1, 3)), 2 if kind.inputs_at_most else draw(mostly(2, (3,)))
    sizes = [features] * count
    if draw(FLAG):
        sizes[draw(st.integers(0, count - 1))] = 1
    return [kind(), *(_branch(draw, place, setting, size) for size in sizes)]


def _concatenate(draw: Draw, kind: Any, place: Place, setting: Setting) -> list[Any]:
    count = draw(mostly(2, (3,)))
    if place.rank == 3 and draw(FLAG):
        features = draw(st.integers(1, 3))
        return [Concatenate(draw(st.sampled_from((1, -2)))), *(_branch(draw, place, setting, features),) * count]
    sizes = [draw(st.integers(1, 3)) for _ in range(count)]
    return [Concatenate(draw(mostly(-1, (place.rank - 1,)))), *(_branch(draw, place, setting, size) for size in sizes)]


def _dot(draw: Draw, kind: Any, place: Place, setting: Setting) -> list[Any]:
    """Return products along the features, or along the timesteps.

    A vector of one element is not normalized: it would be 1 or -1, with a gradient of rounding alone.
    """
    features = draw(st.integers(1, 3))
    axes: list[Any] = [-1, (place.rank - 1, -1), *([1] if place.rank == 3 else [])]
    chosen = draw(st.sampled_from(axes))
    over_time = chosen == 1
    summed = place.sizes[1] if over_time else features
    return [
        Dot(chosen, summed > 1 and draw(FLAG)),
        _branch(draw, place, setting, features),
        _branch(draw, place, setting, draw(st.integers(1, 3)) if over_time else features),
    ]


def _attention(draw: Draw, kind: Any, place: Place, setting: Setting) -> list[Any]:
    """Return an attention of queries to values, of which there may be more than queries, and perhaps keys."""
    scale: dict[str, Any] = {"use_scale": draw(st.booleans())}
    scale |= {"score_mode": draw(mostly("dot", ("concat",)))} if kind is Attention else {}
    features, has_keys = draw(st.integers(1, 3)), draw(FLAG)
    more = place.then(UpSampling1D(2))[0] if draw(FLAG) else place
    query = _branch(draw, place, setting, features)
    value = _branch(draw, more, setting, draw(st.integers(1, 3)) if has_keys else features)
    keys = [_branch(draw, more, setting, features)] if has_keys else []
    return [kind(**scale), query, value, *keys]


JOINS: dict[type[Layer], Join] = {
    **{kind: Join((2, 3, 4), _merge) for kind in (Add, Subtract, Multiply, Average, Maximum, Minimum)},
    Concatenate: Join((2, 3, 4), _concatenate),
    Dot: Join((2, 3), _dot, fixed=True),
    **{kind: Join((3,), _attention) for kind in (Attention, AdditiveAttention)},
}
"""The rules by class."""
