"""A model as Keras 3's source code: the expression of a layer, and a whole program that builds the model.

A name from a file enters the source as a quoted text or as an identifier made of letters, digits and underscores.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from multilstm.errors import UnsupportedError, shown
from multilstm.spec.arguments import KERAS3_LACKS
from multilstm.spec.graph import Call, Graph, Ref
from multilstm.spec.keys import key_text
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import GetItem, InnerModel, InputLayer
from multilstm.spec.layers.opaque import OpaqueLayer
from multilstm.spec.names import unused
from multilstm.spec.penalties import WeightFunction

__all__ = ["Expression", "keras_source", "lacks_an_activation", "layer_expression"]

WIDTH = 88
PORTABLE = (  # the spec's layers that multilstm.keras_layers has
    "AdditiveAttention", "Attention", "AveragePooling1D", "AveragePooling2D", "BatchNormalization", "Bidirectional",
    "ConvLSTM2D", "Cropping1D", "Dense", "Dot", "Dropout", "GRU", "GlobalAveragePooling1D", "LSTM",
    "LayerNormalization", "LeakyReLU", "Normalization", "Permute", "ReLU", "Rescaling", "Reshape", "SimpleRNN",
    "SpatialDropout1D", "SpatialDropout2D", "TimeDistributed",
)  # fmt: skip
REQUIRED = ("pool_size",)  # arguments that a spec has a default for, and some layers of Keras have none
_MODULES = ("keras", "layers", "keras_layers")


@dataclasses.dataclass(frozen=True)
class Expression:
    """A call, or a list, whose arguments are expressions or text; `str` gives it on one line.

    Attributes:
        function: the called function; empty for a list.
        arguments: pairs of a keyword, empty for a positional argument, and a value.
    """

    function: str
    arguments: tuple[tuple[str, Expression | str], ...]

    def __str__(self) -> str:
        opening, closing = self._brackets
        return f"{opening}{', '.join(_equation(key) + str(value) for key, value in self.arguments)}{closing}"

    @property
    def _brackets(self) -> tuple[str, str]:
        return (f"{self.function}(", ")") if self.function else ("[", "]")

    def lines(self, start: str = "", end: str = "", indent: str = "") -> Iterator[str]:
        """Yield the expression in lines of at most WIDTH columns where possible, one argument a line if it is long.

        Args:
            start: the text before the expression, on its first line.
            end: the text after the expression, on its last line: a comma.
            indent: the spaces before each line.
        """
        line = f"{indent}{start}{self}{end}"
        if len(line) <= WIDTH or not self.arguments:
            yield line
            return
        opening, closing = self._brackets
        yield f"{indent}{start}{opening}"
        inner = f"{indent}    "
        for key, value in self.arguments:
            if isinstance(value, Expression):
                yield from value.lines(_equation(key), ",", inner)
            else:
                yield f"{inner}{_equation(key)}{value},"
        yield f"{indent}{closing}{end}"


def _equation(key: str) -> str:
    return f"{key}=" if key else ""


def listed_source(items: Iterable[Expression | str]) -> Expression:
    """Return a list as an expression."""
    return Expression("", tuple(("", item) for item in items))


Models = Sequence[tuple[Graph, str]]  # models inside of layers, and the variables that hold them


def layer_expression(
    layer: Layer, module: str = "keras.layers", portable: bool = False, models: Models = ()
) -> Expression:
    """Return a layer as an expression of Keras, without the arguments that have Keras's default.

    Args:
        layer: the layer.
        module: the name of Keras's module of layers in the source.
        portable: whether classes come from `keras_layers` where `multilstm.keras_layers` has them.
        models: the variables of models inside of layers; a chain of layers needs none.

    Raises:
        UnsupportedError: for a model inside that is no chain and has no variable.
    """
    if isinstance(layer, InputLayer):
        return _input(layer)
    if isinstance(layer, OpaqueLayer):
        arguments = {**layer.arguments, "name": layer.name}
        return Expression(
            f"{module}.{layer.keras_class}", tuple((key, _value(value)) for key, value in arguments.items())
        )
    positional: list[tuple[str, Expression | str]] = []
    named: list[tuple[str, Expression | str]] = []
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, InnerModel):
            positional.append(("", _model(value.model, module, portable, models)))
        elif isinstance(value, Layer):
            positional.append(("", layer_expression(value, module, portable, models)))
        elif field.default is dataclasses.MISSING or field.name in REQUIRED:
            positional.append(("", _value(value)))
        elif isinstance(value, WeightFunction):
            named.append((field.name, _weight_function(value)))
        elif value != field.default and (field.default, value) != (None, "linear"):  # Dense: None is linear
            named.append((field.name, _value(value)))
    name = type(layer).__name__
    source = "keras_layers" if portable and name in PORTABLE else module
    return Expression(f"{source}.{name}", (*positional, *sorted(named, key=lambda argument: argument[0] == "name")))


def _model(graph: Graph, module: str, portable: bool, models: Models) -> Expression | str:
    """Return a model inside of a layer: its variable, or a chain of layers as a Sequential."""
    for model, variable in models:
        if model is graph:
            return variable
    if not _is_chain(graph):
        raise UnsupportedError(
            f"model {shown(graph.name)} inside of a TimeDistributed has no source code here, since it is no chain of "
            f"layers; write its source code by itself"
        )
    layers = listed_source(layer_expression(layer, module, portable, models) for layer in graph.layers)
    return Expression("keras.Sequential", (("", layers), ("name", _text(graph.name))))


def _is_chain(graph: Graph) -> bool:
    refs = [Ref(number) for number in range(len(graph.calls))]
    inputs = [call.inputs for call in graph.calls]
    is_chain = inputs == [(), *((ref,) for ref in refs[:-1])] and graph.outputs == (refs[-1],)
    return is_chain and len(graph.layers) == len(refs) and not any(isinstance(x, GetItem) for x in graph.layers)


def _branching(graph: Graph) -> Iterator[Graph]:
    """Yield the models inside of layers that are no chains, the innermost ones first."""
    for layer in graph.layers:
        if layer.inner_model is not None:
            yield from _branching(layer.inner_model.model)
            if not _is_chain(layer.inner_model.model):
                yield layer.inner_model.model


def _input(layer: InputLayer) -> Expression:
    arguments = [("", repr(layer.shape))]
    arguments += [("batch_size", str(layer.batch_size))] if layer.batch_size is not None else []
    arguments += [("dtype", '"int32"')] if layer.dtype == "int32" else []
    arguments += [("name", _text(layer.name))] if layer.name is not None else []
    return Expression("keras.Input", tuple(arguments))


def _weight_function(function: WeightFunction) -> Expression:
    """Return a regularizer or constraint as an expression."""
    arguments = tuple((field.name, _value(getattr(function, field.name))) for field in dataclasses.fields(function))
    return Expression(f"{function.keras_module}.{type(function).__name__}", arguments)


def _value(value: Any) -> str:
    """Return the value of an argument as source."""
    if isinstance(value, str):
        return f"keras_layers.activations.{value}" if value in KERAS3_LACKS else _text(value)
    return repr(value)


def _text(value: Any) -> str:
    """Return a text in double quotes, as formatters write it, or in those of `repr` where it holds such quotes."""
    quoted = repr(value)
    return f'"{quoted[1:-1]}"' if quoted.startswith("'") and '"' not in quoted else quoted


def lacks_an_activation(spec: Graph) -> bool:
    """Whether a layer has an activation that Keras 3 lacks."""
    values = (value for layer in spec.layers for part in layer.nested for value in vars(part).values())
    return any(value in KERAS3_LACKS for value in values if isinstance(value, str))


def keras_source(graph: Graph) -> str:
    """Return a program that builds the model with Keras 3, with the name `model`; it ends in a line feed.

    Args:
        graph: any model. Its weights are not in the program.
    """
    lines = ["import keras", "from keras import layers"]
    if lacks_an_activation(graph):
        lines += ["", "from multilstm import keras_layers"]
    lines.append("")
    taken, models = {*_MODULES, "model"}, list[tuple[Graph, str]]()
    for model in _branching(graph):
        variable = _variable(model.name, taken)
        lines += [*_Functional(model, variable, taken, models).lines(), ""]
        models.append((model, variable))
    lines += _sequential(graph, models) if graph.sequential else _Functional(graph, "model", taken, models).lines()
    return "\n".join(lines) + "\n"


def _sequential(graph: Graph, models: Models) -> Iterator[str]:
    layers = listed_source(layer_expression(layer, "layers", models=models) for layer in graph.layers)
    yield from Expression("keras.Sequential", (("", layers), ("name", _text(graph.name)))).lines("model = ")


class _Functional:
    """The lines of a functional model: one assignment a call, with variables named after the layers.

    Args:
        graph: the model.
        result: the variable of the model.
        taken: the variables of the program, to which this adds its own.
        models: see `layer_expression`.
    """

    def __init__(self, graph: Graph, result: str, taken: set[str], models: Models) -> None:
        self._graph, self._result, self._taken, self._models = graph, result, taken, models
        names = [call.layer for call in graph.calls]
        shared = (name for name in dict.fromkeys(names) if names.count(name) > 1)
        layers = [name for name in shared if not isinstance(graph.layer(name), GetItem)]
        self._shared = {name: self._variable(f"{name}_layer") for name in layers}
        self._tensors: dict[Ref, str] = {}

    def lines(self) -> Iterator[str]:
        graph = self._graph
        for name, variable in self._shared.items():
            yield from self._expression(graph.layer(name)).lines(f"{variable} = ")
        for index, call in enumerate(graph.calls):
            yield from self._call(index, call)
        inputs = {call.layer: self._tensors[Ref(index)] for index, call in enumerate(graph.calls)}
        sources = [inputs[name] for name in graph.inputs]
        outputs = [self._tensors[ref] for ref in graph.outputs]
        arguments = [self._one_or_list(sources), self._one_or_list(outputs)]
        yield ""
        model = Expression("keras.Model", (*(("", argument) for argument in arguments), ("name", _text(graph.name))))
        yield from model.lines(f"{self._result} = ")

    def _call(self, index: int, call: Call) -> Iterator[str]:
        layer = self._graph.layer(call.layer)
        count = layer.output_count
        outputs = [Ref(index, number) for number in range(count)]
        inputs = [self._tensors[ref] for ref in call.inputs]
        states = [self._tensors[ref] for ref in call.initial_state]
        for number, ref in enumerate(outputs):
            self._tensors[ref] = self._variable(
                call.layer if number == 0 else f"{call.layer}_{self._part(layer, number)}"
            )
        start = f"{', '.join(self._tensors[ref] for ref in outputs)} = "
        if len(start) > WIDTH // 2:
            yield "("
            yield from (f"    {self._tensors[ref]}," for ref in outputs)
            start = ") = "
        if isinstance(layer, InputLayer):
            yield from layer_expression(layer).lines(start)
            return
        if isinstance(layer, GetItem):
            yield f"{start}{inputs[0]}{key_text(layer.key)}"
            return
        arguments: list[tuple[str, Expression | str]] = [("", self._one_or_list(inputs))]
        if isinstance(layer, OpaqueLayer):
            arguments = [("", name) for name in inputs] if layer.is_positional else arguments
            arguments += [(key, repr(value)) for key, value in layer.call_arguments.items()]
        if states:
            arguments.append(("initial_state", listed_source(states)))
        if call.layer in self._shared:
            yield from Expression(self._shared[call.layer], tuple(arguments)).lines(start)
            return
        *lines, last = self._expression(layer).lines(start, "(")
        yield from lines
        yield from Expression(last[:-1], tuple(arguments)).lines()

    @staticmethod
    def _part(layer: Layer, number: int) -> str:
        """Return the name of a later output of a layer: a state, or the backward sequence of a Bidirectional."""
        state = number - layer.masked_outputs
        if state < 0 or not layer.state_names:
            return "backward"
        directions = [f"{direction}_".lstrip("_") for direction in layer.recurrent]
        direction = directions[state * len(directions) // layer.state_count]
        return f"{direction}{layer.state_names[state]}"

    @staticmethod
    def _one_or_list(items: list[str]) -> Expression | str:
        return items[0] if len(items) == 1 else listed_source(items)

    def _expression(self, layer: Layer) -> Expression:
        return layer_expression(layer, "layers", models=self._models)

    def _variable(self, name: str) -> str:
        return _variable(name, self._taken)


def _variable(name: str, taken: set[str]) -> str:
    """Return a new identifier for a name, and add it to those that are taken."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_").lower() or "tensor"
    plain = f"tensor_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) else plain
    return unused(plain, taken)
