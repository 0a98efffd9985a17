"""Strategies of layers with one input and no state: a row for each class states what it takes, and draws it.

The arguments of a row fit the sizes of the input, so that no drawn layer is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from multilstm.fuzz.strategies.arguments import FLAG, Draw, mostly, training_arguments
from multilstm.fuzz.strategies.places import Place, Setting, inside
from multilstm.spec import (
    ELU,
    Activation,
    ActivityRegularization,
    AlphaDropout,
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Conv1D,
    Conv2D,
    Cropping1D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GetItem,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    Layer,
    LayerNormalization,
    LeakyReLU,
    Masking,
    MaxPooling1D,
    MaxPooling2D,
    Normalization,
    Permute,
    PReLU,
    ReLU,
    RepeatVector,
    Rescaling,
    Reshape,
    Softmax,
    SpatialDropout1D,
    SpatialDropout2D,
    TimeDistributed,
    UnitNormalization,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from multilstm.spec.layers import ACTIVATIONS, DISTRIBUTED

__all__ = ["ROWS", "Row", "layer_of", "time_distributed"]

Make = Callable[[Draw, Place, Setting], Layer]


class Row(NamedTuple):
    """The rule for one class.

    Attributes:
        ranks: the numbers of axes, the batch included, of the inputs that it takes.
        make: draws a layer that fits a place.
        fits: whether a place with that number of axes fits.
    """

    ranks: tuple[int, ...]
    make: Make
    fits: Callable[[Place], bool] = lambda place: True

    def takes(self, place: Place) -> bool:
        """Whether a layer of the class fits a place."""
        return place.rank in self.ranks and self.fits(place)


ANY, SEQUENCE, IMAGE = (2, 3, 4, 5), (3,), (4,)
LARGEST_WINDOW = 3


@st.composite
def layer_of(draw: Draw, kind: type[Layer], place: Place, setting: Setting) -> Layer:
    """Draw a layer of a class of `ROWS` that fits a place."""
    return ROWS[kind].make(draw, place, setting)


def time_distributed(place: Place, setting: Setting) -> list[type[Layer]]:
    """Return the classes that fit inside of a TimeDistributed behind a place.

    A BatchNormalization trains there only if the number of timesteps is known, as its portable layer demands.
    """
    if place.rank < 3:
        return []
    counted = place.shape[1] is not None or not setting.trained
    return [
        kind for kind in DISTRIBUTED if ROWS[kind].takes(inside(place)) and (counted or kind is not BatchNormalization)
    ]


def _trained(draw: Draw, kind: type[Layer], setting: Setting) -> dict[str, Any]:
    return training_arguments(draw, kind) if setting.trained and draw(FLAG) else {}


def _dense(draw: Draw, place: Place, setting: Setting) -> Layer:
    activation = draw(mostly("softmax", ACTIVATIONS))
    return Dense(draw(st.integers(1, 3)), activation, draw(st.booleans()), **_trained(draw, Dense, setting))


def _rated(kind: Any) -> Make:
    def make(draw: Draw, place: Place, setting: Setting) -> Layer:
        layer: Layer = kind(draw(st.sampled_from((0.5, 0.25))))
        return layer

    return make


def _relu(draw: Draw, place: Place, setting: Setting) -> Layer:
    limit, slope, threshold = draw(mostly(None, (0.5, 1.0))), draw(mostly(0.0, (0.25,))), draw(mostly(0.0, (0.25,)))
    return ReLU(limit, slope, threshold)


def _reshape(draw: Draw, place: Place, setting: Setting) -> Layer:
    """Split the last axis, and join all others or none."""
    features = place.sizes[-1]
    part = draw(st.sampled_from([size for size in range(1, features + 1) if features % size == 0]))
    targets: list[tuple[int, ...]] = [(-1, part)]
    if place.is_fixed:
        targets += [(*place.sizes[1:-1], features // part, part)] if place.rank < 5 else []
        targets += [(math.prod(place.sizes[1:]),), (features, -1)]
    return Reshape(draw(st.sampled_from(targets)))


def _permute(draw: Draw, place: Place, setting: Setting) -> Layer:
    return Permute(tuple(draw(st.permutations(range(1, place.rank)))))


def _get_item(draw: Draw, place: Place, setting: Setting) -> Layer:
    """Take a part of the first axis behind the batch: one element, some, or all below a new axis."""
    items: list[Any] = [slice(None, None, 2), slice(-2, None), Ellipsis]
    items += [0, -1] if place.rank > 2 else []
    items += [None] if place.rank < 5 else []
    return GetItem((slice(None), draw(st.sampled_from(items))))


def _pairs(draw: Draw) -> tuple[int, int]:
    return draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))  # type: ignore[no-any-return]


def _cropping(draw: Draw, place: Place, setting: Setting) -> Layer:
    start = draw(st.integers(0, min(2, place.sizes[1] - 1)))
    return Cropping1D((start, draw(st.integers(0, min(2, place.sizes[1] - 1 - start)))))


def _window(draw: Draw, place: Place, padding: str, dilation: tuple[int, ...]) -> tuple[int, ...]:
    """Draw the sizes of a window, which is not longer than an axis unless padding makes up for it."""
    sizes = []
    for size, step in zip(place.sizes[1:-1], dilation, strict=True):
        longest = LARGEST_WINDOW if padding != "valid" else min(LARGEST_WINDOW, (size - 1) // step + 1)
        sizes.append(draw(st.integers(1, longest)))
    return tuple(sizes)


def _pooling(kind: Any) -> Make:
    def make(draw: Draw, place: Place, setting: Setting) -> Layer:
        padding, axes = draw(st.sampled_from(("valid", "same"))), place.rank - 2
        strides = draw(mostly(None, (1, 2, 3)))
        layer: Layer = kind(_window(draw, place, padding, (1,) * axes), strides, padding)
        return layer

    return make


def _global_pooling(kind: Any) -> Make:
    def make(draw: Draw, place: Place, setting: Setting) -> Layer:
        layer: Layer = kind(keepdims=draw(FLAG))
        return layer

    return make


def _convolution(kind: Any) -> Make:
    def make(draw: Draw, place: Place, setting: Setting) -> Layer:
        axes, features = place.rank - 2, place.sizes[-1]
        padding = draw(st.sampled_from(("valid", "same", "causal") if kind is Conv1D else ("valid", "same")))
        steps = tuple(draw(mostly(1, (2, 3))) for _ in range(axes))
        is_dilated = draw(st.booleans())  # Keras computes strides or dilation, and not both
        dilation = steps if is_dilated else (1,) * axes
        arguments: dict[str, Any] = {
            "kernel_size": _window(draw, place, padding, dilation),
            "strides": (1,) * axes if is_dilated else steps,
            "dilation_rate": dilation,
            "padding": padding,
            "activation": draw(mostly("linear", ACTIVATIONS)),
            "use_bias": draw(st.booleans()),
            **_trained(draw, kind, setting),
        }
        if kind is DepthwiseConv2D:
            return DepthwiseConv2D(depth_multiplier=draw(st.integers(1, 2)), **arguments)
        groups = draw(mostly(1, (2,))) if features % 2 == 0 else 1
        layer: Layer = kind(groups * draw(st.integers(1, 2)), groups=groups, **arguments)
        return layer

    return make


def _normalized_axes(place: Place) -> list[Any]:
    """Return the axes of a LayerNormalization; a single number is left out, whose gradient is rounding alone."""
    known = [axis for axis in range(1, place.rank) if place.shape[axis] is not None]
    axes = [(axis,) for axis in known] + [(known[0], known[-1])] * (len(known) > 1)
    several = [chosen for chosen in axes if math.prod(place.sizes[axis] for axis in chosen) > 1]
    return [-1 if chosen == (place.rank - 1,) else chosen for chosen in several]


def _layer_normalization(draw: Draw, place: Place, setting: Setting) -> Layer:
    return LayerNormalization(
        draw(st.sampled_from(_normalized_axes(place))),
        draw(mostly(1e-3, (0.1,))),
        draw(mostly(True, (False,))),
        draw(mostly(True, (False,))),
        **_trained(draw, LayerNormalization, setting),
    )


def _batch_normalization(draw: Draw, place: Place, setting: Setting) -> Layer:
    return BatchNormalization(
        draw(mostly(-1, (place.rank - 1,))),
        draw(mostly(0.99, (0.5, 0.0))),
        draw(mostly(1e-3, (0.1,))),
        draw(mostly(True, (False,))),
        draw(mostly(True, (False,))),
        **_trained(draw, BatchNormalization, setting),
    )


def _time_distributed(draw: Draw, place: Place, setting: Setting) -> Layer:
    kind = draw(st.sampled_from(time_distributed(place, setting)))
    layer = draw(layer_of(kind, inside(place), setting))
    return TimeDistributed(layer)


def _known_axes(place: Place) -> list[int]:
    return [axis for axis in range(1, place.rank) if place.shape[axis] is not None]


def _prelu(draw: Draw, place: Place, setting: Setting) -> Layer:
    """Share the slopes of the axes that may vary, and of others or none."""
    known = _known_axes(place)
    shared = {*range(1, place.rank)} - {*known} | draw(st.sets(st.sampled_from(known)))
    return PReLU(shared_axes=tuple(sorted(shared)) or None, **_trained(draw, PReLU, setting))


def _unit_normalization(draw: Draw, place: Place, _: Setting) -> Layer:
    """Leave out axes of one value: the gradient is exactly 0 there, and each engine has other rounding errors of it."""
    return UnitNormalization(draw(mostly(-1, [axis for axis in _known_axes(place) if place.shape[axis] != 1])))


def _normalization(draw: Draw, place: Place, setting: Setting) -> Layer:
    axis, invert = draw(st.sampled_from((-1, *_known_axes(place)))), draw(FLAG)
    mean, variance = draw(st.sampled_from(((None, None), (0.5, 2.0), (-1.0, 0.25))))
    return Normalization(axis, mean, variance, invert, **_trained(draw, Normalization, setting))


ROWS: dict[type[Layer], Row] = {
    **{kind: Row(ANY, _rated(kind)) for kind in (GaussianNoise, GaussianDropout, AlphaDropout)},
    SpatialDropout2D: Row(IMAGE, _rated(SpatialDropout2D)),
    Rescaling: Row(ANY, lambda d, *_: Rescaling(d(st.sampled_from((0.5, -2.0))), d(mostly(0.0, (1.0, -0.5))))),
    ActivityRegularization: Row(
        ANY, lambda d, *_: ActivityRegularization(d(mostly(0.0, (0.1,))), d(mostly(0.0, (0.2,))))
    ),
    PReLU: Row(ANY, _prelu),
    Normalization: Row(ANY, _normalization),
    UnitNormalization: Row(ANY, _unit_normalization, lambda place: place.shape[-1] not in (None, 1)),
    Masking: Row(SEQUENCE, lambda draw, place, setting: Masking(draw(st.sampled_from((0.0, -1.0, 0.5))))),
    Dense: Row(ANY, _dense),
    Activation: Row(ANY, lambda draw, place, setting: Activation(draw(st.sampled_from(ACTIVATIONS)))),
    ReLU: Row(ANY, _relu),
    LeakyReLU: Row(ANY, lambda draw, place, setting: LeakyReLU(draw(mostly(0.3, (0.0, 0.5))))),
    ELU: Row(ANY, lambda draw, place, setting: ELU(draw(mostly(1.0, (0.5, -0.5))))),
    Softmax: Row(ANY, lambda d, p, _: Softmax(d(mostly(-1, range(1, p.rank)))), lambda place: place.mask is None),
    Dropout: Row(ANY, lambda draw, place, setting: Dropout(draw(st.sampled_from((0.5, 0.25))))),
    SpatialDropout1D: Row(SEQUENCE, lambda draw, *_: SpatialDropout1D(draw(st.sampled_from((0.5, 0.25))))),
    TimeDistributed: Row((3, 4, 5), _time_distributed),
    RepeatVector: Row((2,), lambda draw, place, setting: RepeatVector(draw(st.integers(1, 3)))),
    Flatten: Row(ANY, lambda draw, place, setting: Flatten(), lambda place: place.is_fixed),
    Reshape: Row(ANY, _reshape),
    Permute: Row((3, 4), _permute, lambda place: place.is_fixed),
    GetItem: Row(ANY, _get_item),
    ZeroPadding1D: Row(SEQUENCE, lambda draw, place, setting: ZeroPadding1D(_pairs(draw))),
    Cropping1D: Row(SEQUENCE, _cropping),
    UpSampling1D: Row(SEQUENCE, lambda draw, place, setting: UpSampling1D(draw(st.integers(1, 3)))),
    ZeroPadding2D: Row(IMAGE, lambda draw, place, setting: ZeroPadding2D((_pairs(draw), _pairs(draw)))),
    **{kind: Row(SEQUENCE, _pooling(kind)) for kind in (MaxPooling1D, AveragePooling1D)},
    **{kind: Row(IMAGE, _pooling(kind)) for kind in (MaxPooling2D, AveragePooling2D)},
    **{kind: Row(SEQUENCE, _global_pooling(kind)) for kind in (GlobalMaxPooling1D, GlobalAveragePooling1D)},
    **{kind: Row(IMAGE, _global_pooling(kind)) for kind in (GlobalMaxPooling2D, GlobalAveragePooling2D)},
    Conv1D: Row(SEQUENCE, _convolution(Conv1D)),
    **{kind: Row(IMAGE, _convolution(kind)) for kind in (Conv2D, DepthwiseConv2D)},
    LayerNormalization: Row(ANY, _layer_normalization, lambda place: bool(_normalized_axes(place))),
    BatchNormalization: Row(ANY, _batch_normalization),
}
"""The rules by class."""
