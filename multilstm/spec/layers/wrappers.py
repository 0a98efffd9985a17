"""Layers around another layer: Bidirectional and TimeDistributed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from multilstm.errors import SpecError
from multilstm.spec.arguments import one_of
from multilstm.spec.layer_base import DropoutMask, Layer, inner_layer
from multilstm.spec.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from multilstm.spec.layers.conv_lstm import ConvLSTM2D
from multilstm.spec.layers.convolution import Conv1D, Conv2D, DepthwiseConv2D
from multilstm.spec.layers.core import (
    Activation,
    Dense,
    Dropout,
    Embedding,
    Masking,
    Rescaling,
    SpatialDropout1D,
    SpatialDropout2D,
)
from multilstm.spec.layers.inner_model import InnerModel, as_layer, makes_mask
from multilstm.spec.layers.noise import AlphaDropout, GaussianDropout, GaussianNoise
from multilstm.spec.layers.normalization import BatchNormalization, LayerNormalization, UnitNormalization
from multilstm.spec.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from multilstm.spec.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from multilstm.spec.layers.structure import (
    Cropping1D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from multilstm.spec.shapes import Shape, show

if TYPE_CHECKING:
    from multilstm.spec.graph import Graph

__all__ = ["DISTRIBUTED", "MERGE_MODES", "RECURRENT", "Bidirectional", "TimeDistributed"]

RECURRENT: tuple[type[Recurrent], ...] = (LSTM, GRU, SimpleRNN, ConvLSTM2D)
"""The recurrent layers, which a Bidirectional takes."""

DISTRIBUTED: tuple[type[Layer], ...] = (
    *(
        Dense,
        Activation,
        Dropout,
        SpatialDropout1D,
        ReLU,
        LeakyReLU,
        ELU,
        Softmax,
        LayerNormalization,
        BatchNormalization,
    ),
    *(Flatten, Reshape, Permute, RepeatVector, ZeroPadding1D, Cropping1D, UpSampling1D, Conv1D),
    *(MaxPooling1D, AveragePooling1D, GlobalMaxPooling1D, GlobalAveragePooling1D),
    *(Conv2D, DepthwiseConv2D, ZeroPadding2D),
    *(SpatialDropout2D, GaussianNoise, GaussianDropout, AlphaDropout, Rescaling, PReLU, UnitNormalization),
    *(MaxPooling2D, AveragePooling2D, GlobalMaxPooling2D, GlobalAveragePooling2D),
)
"""The layers without a state, which a TimeDistributed takes."""

STARTING: tuple[type[Layer], ...] = (LSTM, GRU, SimpleRNN)
"""The recurrent layers, also in a Bidirectional, that a TimeDistributed takes: each timestep starts from zeros."""

MERGE_MODES = ("concat", "sum", "mul", "ave", None)


def _check_trainable(wrapper: Layer, wrapped: Layer) -> None:
    """Raise SpecError for a wrapper that is not trained around a layer that is: Keras still trains that layer."""
    if wrapped.trainable and not wrapper.trainable:
        raise SpecError(
            f"{wrapper.class_name}: given trainable=False around a {wrapped.class_name} that is trainable, which Keras "
            f"would train all the same; give trainable=False to the {wrapped.class_name}"
        )


@dataclasses.dataclass(frozen=True)
class Bidirectional(Layer):
    """One recurrent layer forward and its copy backward over the same sequence.

    `merge_mode` merges the two outputs; None returns a list of two.

    As in Keras, both directions have zeros at masked timesteps if they return sequences, and the backward sequence is
    reversed again before the merge.
    """

    refused: ClassVar = ("weights", "backward_layer")
    ignored: ClassVar = (*Layer.ignored, "backward_layer")

    layer: Annotated[Recurrent, inner_layer(*RECURRENT)]
    merge_mode: Annotated[str | None, one_of(*MERGE_MODES)] = "concat"
    weights: Any = None
    backward_layer: Recurrent | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer.go_backwards:
            raise SpecError("Bidirectional: the layer must run forward; given go_backwards=True; leave it out")
        _check_trainable(self, self.layer)
        forward = self._replaced(zero_output_for_mask=self.layer.return_sequences)
        object.__setattr__(self, "layer", forward)

    @property
    def directions(self) -> dict[str, Recurrent]:
        """The forward and the backward layer by name."""
        return {"forward": self.layer, "backward": self._replaced(go_backwards=True)}

    @property
    def wrapped(self) -> Recurrent:
        return self.layer

    @property
    def state_names(self) -> tuple[str, ...]:
        return self.layer.state_names * 2

    @property
    def output_count(self) -> int:
        return self.masked_outputs + (self.state_count if self.layer.return_state else 0)

    @property
    def masked_outputs(self) -> int:
        return 2 if self.merge_mode is None else 1

    @property
    def recurrent(self) -> Mapping[str, Recurrent]:
        return self.directions

    @property
    def behaviour(self) -> tuple[str, ...]:
        merged = "returned apart" if self.merge_mode is None else f"merged by {self.merge_mode}"
        return (f"two {self.layer.class_name}s, forward and backward, {merged}", *self.layer.behaviour)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        output, *states = self.layer.output_shapes(inputs)
        if self.merge_mode == "concat":
            outputs = [(*output[:-1], 2 * self.layer.units)]
        else:
            outputs = [output] * self.masked_outputs
        return (*outputs, *states, *states)

    def state_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        return self.layer.state_shapes(inputs) * 2

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        shapes = self.layer.weight_shapes(inputs)
        return {f"{direction}/{name}": shape for direction in self.directions for name, shape in shapes.items()}

    def parameter_formula(self, inputs: Shape) -> str:
        words, figures = self.layer.parameter_formula(inputs).split(" = ")
        return f"2*{words} = 2*{figures}"

    def owner(self, weight: str) -> tuple[Layer, str]:
        direction, _, name = weight.partition("/")
        return self.directions[direction].owner(name)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        return self.layer.output_mask(inputs, masks)

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield the masks of both directions: `name/forward/dropout` and so on."""
        for direction, layer in self.directions.items():
            yield from layer.dropout_masks(f"{name}/{direction}", inputs)

    def _replaced(self, **arguments: Any) -> Recurrent:
        """Return the layer inside with other values of some arguments."""
        return dataclasses.replace(self.layer, **arguments)


@dataclasses.dataclass(frozen=True)
class TimeDistributed(Layer):
    """Applies a layer to every timestep of `[batch, timesteps, ...]`.

    As in Keras, the mask of the timesteps is passed on. A Dropout inside draws a mask for every timestep. In training,
    a BatchNormalization inside takes the statistics of one timestep after the other. A recurrent layer inside reads
    the sequence of each timestep, `[batch, timesteps, steps, features]`, from states of zeros and without a mask.

    A mask that a Masking or an Embedding inside makes is lost, as in Keras 3. To mask the sequence of each timestep,
    give a model: `TimeDistributed(Sequential([Embedding(9, 4, mask_zero=True), LSTM(3)], (None,)))`. It becomes an
    `InnerModel`.
    """

    layer: Annotated[
        Layer, inner_layer(*DISTRIBUTED, Embedding, Masking, *STARTING, Bidirectional, InnerModel, TimeDistributed)
    ]

    if TYPE_CHECKING:

        def __init__(self, layer: Layer | Graph, *, name: str | None = None, trainable: bool = True) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", as_layer(self.layer))
        super().__post_init__()
        _check_trainable(self, self.layer)
        if isinstance(self.layer, TimeDistributed) and self.inner_model is None:
            raise SpecError(
                f"TimeDistributed: given a TimeDistributed around a {self.layer.layer.class_name}, expected one around "
                f"a model; fold the timesteps of both axes with a Reshape"
            )
        for argument in ("stateful", "return_state", "dropout", "recurrent_dropout"):
            inner = self.layer.wrapped or self.layer
            if getattr(inner, argument, False) and isinstance(inner, Recurrent):
                raise SpecError(
                    f"TimeDistributed: given {inner.class_name} with {argument}={getattr(inner, argument)}, which "
                    f"multilstm does not execute inside; leave it out"
                )
        if isinstance(self.layer, Bidirectional) and (
            self.layer.merge_mode is None or not isinstance(self.layer.layer, STARTING)
        ):
            raise SpecError(
                "TimeDistributed: given a Bidirectional of two outputs or of a ConvLSTM2D, expected one output of an "
                "LSTM, a GRU or a SimpleRNN; give it a merge_mode"
            )
        if self.layer.activity is not None:
            raise SpecError(
                f"TimeDistributed: given a {self.layer.class_name} with an activity_regularizer, which multilstm does "
                f"not execute inside; leave it out"
            )

    @property
    def wrapped(self) -> Layer:
        return self.layer

    @property
    def statistics(self) -> tuple[str, ...]:
        return self.layer.statistics

    @property
    def inner_model(self) -> InnerModel | None:
        return self.layer.inner_model

    @property
    def table_sizes(self) -> tuple[int, ...]:
        return self.layer.table_sizes

    @property
    def behaviour(self) -> tuple[str, ...]:
        lost = ("its mask is lost, as in Keras 3",) if makes_mask(self.layer) else ()
        return (f"a {self.layer.class_name} with the same weights at every timestep", *lost, *self.layer.behaviour)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the timesteps.

        Raises:
            InputError: for a mask that Keras would give to layers of a model inside.
        """
        if masks[0] is not None and self.inner_model is not None:
            self.inner_model.check_mask(nested=isinstance(self.layer, TimeDistributed))
        return masks[0]

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        if len(inputs) < 3:
            raise SpecError(f"{self.label}: expected an input [batch, timesteps, ...], given shape {show(inputs)}")
        ((batch, *sizes),) = self.layer.output_shapes(self._inner(inputs))
        return ((batch, inputs[1], *sizes),)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        return self.layer.weight_shapes(self._inner(inputs))

    def parameter_formula(self, inputs: Shape) -> str:
        return self.layer.parameter_formula(self._inner(inputs))

    def owner(self, weight: str) -> tuple[Layer, str]:
        return self.layer.owner(weight)

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield the masks of the layer inside, with an axis of timesteps after the batch."""
        if self.layer.recurrent:
            return  # without dropout
        for mask in self.layer.dropout_masks(name, self._inner(inputs)):
            batch, *sizes = mask.shape
            yield mask._replace(shape=(batch, inputs[1], *sizes))

    def _inner(self, inputs: Shape) -> Shape:
        """Return the shape of one timestep, the batch included."""
        return (inputs[0], *inputs[2:])
