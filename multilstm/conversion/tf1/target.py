"""The target `tf1`: code of TensorFlow 1 as a person would write it, and its variables by name in an `.npz` file.

An `.npz` file is read by every version of NumPy, so an old environment needs nothing else. The code imports
`tensorflow.compat.v1`, which TensorFlow has since 1.13. A name from a file enters the source as an identifier made of
letters, digits and underscores, never as text.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, final

import numpy as np

from multilstm.conversion.modules.formatting import fits, wrapped
from multilstm.conversion.modules.masks import Mask
from multilstm.conversion.modules.names import attribute_names
from multilstm.conversion.modules.notes import notes_of_modules
from multilstm.conversion.modules.parts import Part, arithmetic
from multilstm.conversion.modules.unrolled import AbstractUnrolledSource, AbstractUnrolledState
from multilstm.conversion.target import Target, refusal
from multilstm.spec import (
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Graph,
    RepeatVector,
    TimeDistributed,
)
from multilstm.spec.arrays import Array
from multilstm.spec.graph import Call
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape

__all__ = ["TF1", "Tf1State", "further_parameters", "tf1_source"]

IMPORTED = {"tf", "self", "training", "state"}
FUNCTIONS = {  # of a tensor in braces, of TensorFlow 1.13
    "tanh": "tf.tanh({})",
    "sigmoid": "tf.sigmoid({})",
    "relu": "tf.nn.relu({})",
    "softmax": "tf.nn.softmax({})",
    "hard_sigmoid": "tf.nn.relu6({} + 3.0) / 6.0",
    "hard_sigmoid_keras2": "tf.clip_by_value(0.2 * {} + 0.5, 0.0, 1.0)",
    "elu": "tf.nn.elu({})",
    "selu": "tf.nn.selu({})",
    "softplus": "tf.nn.softplus({})",
    "softsign": "tf.nn.softsign({})",
    "exponential": "tf.exp({})",
    "silu": "{0} * tf.sigmoid({0})",
    "gelu": "0.5 * {0} * (1.0 + tf.math.erf({0} / 2**0.5))",
    "leaky_relu": "tf.maximum({0}, 0.2 * {0})",
    "relu6": "tf.nn.relu6({})",
    "mish": "{0} * tf.tanh(tf.nn.softplus({0}))",
    "hard_silu": "{0} * tf.nn.relu6({0} + 3.0) / 6.0",
    "log_softmax": "tf.nn.log_softmax({})",
}

refused = functools.partial(refusal, "tf1")


def tf1_source(spec: Graph) -> str:
    """Return the source of a Python module with the class `Model`, whose call builds the graph of the spec.

    Args:
        spec: any model. Its weights are not in the source: see `Tf1State`.

    Raises:
        UnsupportedError: for a layer or an option that TensorFlow 1 lacks, with its name.
    """
    return _Source(spec, _scopes(spec)).source()


def further_parameters(spec: Graph) -> dict[str, int]:
    """Return the number of parameters that the graph has more than Keras, by layer: its LSTMs have a bias."""
    counts = dict.fromkeys(spec.layer_inputs, 0)
    for place, layer in spec.lstms.items():
        counts[place.split("/")[0]] += 0 if layer.use_bias else 4 * layer.units
    return counts


def _scopes(spec: Graph) -> dict[str, str]:
    return attribute_names(spec, IMPORTED)


def _function(activation: str | None) -> str:
    """Return an activation as the expression of a function; empty for the identity."""
    if activation in (None, "linear"):
        return ""
    call = FUNCTIONS[str(activation)]
    name = call.removesuffix("({})")
    return f"lambda z: {call.format('z')}" if name == call else name


def _options(layer: Dense | Conv1D, name: str) -> str:
    """Return the last arguments of a layer with a kernel."""
    function = _function(layer.activation)
    options = [f"activation={function}"] if function else []
    options += [] if layer.use_bias else ["use_bias=False"]
    return ", ".join([*options, f'name="{name}"'])


@functools.singledispatch
def _part(layer: Layer, shapes: Sequence[Shape], name: str) -> str:
    raise refused(layer, "its class", "no function of TensorFlow 1 is its counterpart")


@_part.register
def _(layer: Dense, shapes: Sequence[Shape], name: str) -> str:
    return f"tf.layers.dense({{0}}, {layer.units}, {_options(layer, name)})"


@_part.register
def _(layer: TimeDistributed, shapes: Sequence[Shape], name: str) -> str:
    if not isinstance(layer.layer, Dense | Activation | Dropout):
        raise refused(layer, f"the layer {layer.layer.class_name} in it", "Dense, Activation and Dropout are converted")
    return _part(layer.layer, shapes, name)


@_part.register
def _(layer: Embedding, shapes: Sequence[Shape], name: str) -> str:
    shape = f"[{layer.input_dim}, {layer.output_dim}]"
    return f'tf.nn.embedding_lookup(tf.get_variable("{name}/embeddings", {shape}), {{0}})'


@_part.register
def _(layer: Conv1D, shapes: Sequence[Shape], name: str) -> str:
    (width,), (stride,), (dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
    if layer.padding == "causal" or layer.groups != 1:
        raise refused(layer, f"padding={layer.padding!r}, groups={layer.groups}", "tf.layers.conv1d has neither")
    options = [] if stride == 1 else [f"strides={stride}"]
    options += [] if layer.padding == "valid" else ['padding="same"']
    options += [] if dilation == 1 else [f"dilation_rate={dilation}"]
    arguments = ", ".join([f"{layer.filters}, {width}", *options, _options(layer, name)])
    return f"tf.layers.conv1d({{0}}, {arguments})"


@_part.register
def _(layer: Activation, shapes: Sequence[Shape], name: str) -> str:
    return "{0}" if layer.activation == "linear" else FUNCTIONS[layer.activation].format("{0}")


@_part.register
def _(layer: Dropout, shapes: Sequence[Shape], name: str) -> str:
    return f"tf.layers.dropout({{0}}, {layer.rate}, training=training)"


@_part.register
def _(layer: Flatten, shapes: Sequence[Shape], name: str) -> str:
    return "tf.layers.flatten({0})"


@_part.register
def _(layer: RepeatVector, shapes: Sequence[Shape], name: str) -> str:
    return f"tf.tile({{0}}[:, None], [1, {layer.n}, 1])"


@_part.register
def _(layer: Concatenate, shapes: Sequence[Shape], name: str) -> str:
    inputs = ", ".join(f"{{{number}}}" for number in range(len(shapes)))
    return f"tf.concat([{inputs}], axis={layer.axis})"


@_part.register(GlobalMaxPooling1D)
@_part.register(GlobalAveragePooling1D)
def _(layer: GlobalMaxPooling1D | GlobalAveragePooling1D, shapes: Sequence[Shape], name: str) -> str:
    kind = "max" if isinstance(layer, GlobalMaxPooling1D) else "mean"
    return f"tf.reduce_{kind}({{0}}, axis=1{', keepdims=True' if layer.keepdims else ''})"


@final
class _Source(AbstractUnrolledSource):
    """The lines of one module. A layer is a call with the name of its variables, so none is an attribute."""

    taken: ClassVar = frozenset(IMPORTED)
    where: ClassVar = "tf.where"
    concatenate: ClassVar = "tf.concat([{}], axis=-1)"
    tensor: ClassVar = "tf.Tensor"
    target: ClassVar = "tf1"
    cell_name: ClassVar = "BasicLSTMCell"
    unroll: ClassVar = ("", "")

    @property
    def base(self) -> str:
        return "tf.Module"

    @property
    def result(self) -> str:
        """The annotation of the outputs, in a form that old versions of Python know."""
        return self.tensor if len(self._spec.outputs) == 1 else "tuple"

    def imports(self, text: str) -> Iterator[str]:
        yield "import tensorflow.compat.v1 as tf"

    def helpers(self, text: str) -> Iterator[str]:
        """Yield nothing: TensorFlow 1 runs cells over time."""
        yield from ()

    def constructor_head(self, constructors: str) -> Iterator[str]:
        yield from ()

    def parameters(self, names: Sequence[str], text: str) -> tuple[list[str], str]:
        mode = ["training: bool = False"] if "training=training" in text else []
        return [*(f"{name}: {self.tensor}" for name in names), *mode], self.result

    def part(self, layer: Layer, shapes: Sequence[Shape]) -> Part:
        return arithmetic(layer, len(shapes)) or Part("", _part(layer, shapes, self._attributes[str(layer.name)]))

    def _mask(self, mask: Mask, layer: Layer, x: str) -> Iterator[str]:
        raise refused(layer, "its mask", "TensorFlow 1 has none")

    def cell(self, layer: LSTM, features: int, name: str) -> str:
        return f"tf.nn.rnn_cell.BasicLSTMCell({layer.units})"

    def recurrent_constructor(self, layer: Layer, features: int) -> str:
        """Return nothing, after the checks: the call makes the cell."""
        super().recurrent_constructor(layer, features)
        return ""

    def recurrent_call(self, number: int, call: Call, layer: Layer, x: str) -> Iterator[str]:
        """Yield the call of `dynamic_rnn`, or of `bidirectional_dynamic_rnn`."""
        inner = next(iter(layer.recurrent.values()))
        if self._masks[call.inputs[0]] is not None:
            raise refused(layer, "the mask of its input", "dynamic_rnn takes lengths alone")
        states = self._states(number, call, layer)
        outputs = [self._sequence(number, call, layer, direction) for direction in states]
        cells = [self.cell(inner, 0, "")] * len(states)  # type: ignore[arg-type]
        starts = [f"tf.nn.rnn_cell.LSTMStateTuple({c}, {h})" for h, c in self._pairs(call)]
        names = ["initial_state"] if len(states) == 1 else ["initial_state_fw", "initial_state_bw"]
        arguments = [*cells, f"{x}[:, ::-1]" if inner.go_backwards else x]
        arguments += [f"{name}={start}" for name, start in zip(names, starts, strict=False)]
        arguments += [f"dtype={x}.dtype", f'scope="{self._attributes[call.layer]}"']
        function = "tf.nn.dynamic_rnn" if len(states) == 1 else "tf.nn.bidirectional_dynamic_rnn"
        ends = ["_" if set(end) == {"_"} else f"({end[1]}, {end[0]})" for end in states.values()]
        left = [_left(outputs), _left(ends)]
        right = f"{function}({', '.join(arguments)})"
        if fits(f"        {left[0]}, {left[1]} = {function}("):
            yield from wrapped(f"        {left[0]}, {left[1]} = {right}")
        else:
            yield from wrapped(f"        sequences, states = {right}")
            yield from () if left[0] == "_" else wrapped(f"        {left[0].strip('()')} = sequences")
            for place, end in enumerate(ends):
                yield from (
                    () if end == "_" else (f"        {end[1:-1]} = states{f'[{place}]' if len(ends) > 1 else ''}",)
                )
        merged = [end[0] for end in states.values()] if not inner.return_sequences else outputs
        yield from self._merged(number, call, layer, merged)

    def _pairs(self, call: Call) -> list[tuple[str, str]]:
        """Return the variables of the initial states of each direction, hidden before cell."""
        names = [self._tensors[ref] for ref in call.initial_state]
        return list(zip(names[::2], names[1::2], strict=True))


def _left(names: Sequence[str]) -> str:
    """Return variables as the target of an assignment; `_` where nothing reads any."""
    return "_" if set(names) == {"_"} else names[0] if len(names) == 1 else f"({', '.join(names)})"


@final
class Tf1State(AbstractUnrolledState):
    """The variables of one graph by name: `lstm/basic_lstm_cell/kernel`."""

    dialect: ClassVar = "tf1"

    def __init__(self, spec: Graph) -> None:
        super().__init__(spec, _scopes(spec))

    def full_name(self, attribute: str, name: str) -> str:
        """Return the scope and the name."""
        return f"{attribute}/{name}"

    def names(self, layer: Layer) -> Mapping[str, str]:
        """See `AbstractUnrolledState.names`."""
        return {name: name for name in ("kernel", "bias", "embeddings")}

    def directions(self, layer: Layer) -> tuple[str, ...]:
        """See `AbstractUnrolledState.directions`."""
        both = isinstance(layer, Bidirectional)
        return ("fw/basic_lstm_cell/", "bw/basic_lstm_cell/") if both else ("basic_lstm_cell/",)


def _files(spec: Graph, weights: Mapping[str, Array], training: object = None) -> dict[str, bytes]:
    """Return the source, and the variables in the dtype of the weights."""
    text, stream = tf1_source(spec).encode(), io.BytesIO()  # the source refuses layers first
    np.savez(stream, **Tf1State(spec).to_target(weights))  # type: ignore[arg-type]
    return {".py": text, ".npz": stream.getvalue()}


def _notes(spec: Graph, training: object = None) -> Iterator[str]:
    for name, count in further_parameters(spec).items():
        if count:
            yield f"{spec.layer(name).label} gets a bias that Keras lacks, {count:,} parameters more; it acts as zero"
    if spec.lstms:
        yield "BasicLSTMCell adds 1 to the bias of gate f when it runs: the file holds the bias minus 1"
    yield from notes_of_modules(spec)


TF1 = Target("tf1", "TensorFlow 1", (".py",), "tf1-module", _files, _notes, further=(".npz",))
