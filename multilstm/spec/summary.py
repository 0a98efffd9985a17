"""A model as plain text that explains the origin of every parameter, the states and the sizes that may vary.

No line is longer than 80 columns, and no name reaches the terminal with control characters in it.
"""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from multilstm.spec.graph import Graph, Ref
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import InputLayer
from multilstm.spec.penalties import WeightFunction
from multilstm.spec.shapes import Shape, show

__all__ = ["one_line", "summary"]

WIDTH = 80
_NAME = 36  # columns of a layer's name and type
_INDENT = " " * 4
_RULE = "-" * WIDTH
_LAYERS = 8  # in one line


def summary(graph: Graph) -> str:
    """Return the model as text: for every layer its shapes, its parameters with their formula, and its states.

    Args:
        graph: any model.

    Returns:
        Lines of at most 80 columns, the last without a line break.
    """
    calls: dict[str, list[int]] = {}
    for index, call in enumerate(graph.calls):
        calls.setdefault(call.layer, []).append(index)
    kind = "a stack of layers" if graph.sequential else "a graph of layers"
    lines = [f"Model {_fit(_safe(graph.name), 50)}: {kind}", ""]
    lines += [*_row("Layer (type)", "Output shape", "Parameters"), _RULE]
    for layer in graph.layers:
        lines += [*_layer(graph, calls, layer), ""]
    size = graph.parameter_count
    lines[-1:] = [_RULE, *_row(f"Total ({_bytes(4 * size)} in float32)", "", f"{size:,}")]
    trained = sum(math.prod(graph.weight_shapes[name]) for name in graph.trainable_weights)
    lines += [*([] if trained == size else _row("Trainable", "", f"{trained:,}")), ""]
    lines += [line for text in _remarks(graph, calls) for line in _wrap(text, "")]
    return "\n".join(line.rstrip() for line in lines)


def one_line(graph: Graph) -> str:
    """Return kind, name, layers, and shapes of inputs and outputs: `LSTM(8); (any, any, 5) -> (any, 8)`."""
    words = [_word(layer) for layer in graph.layers if not isinstance(layer, InputLayer)]
    if len(words) > _LAYERS:
        words[_LAYERS:] = [f"{len(words) - _LAYERS} more layers"]
    inputs = [(layer.batch_size, *layer.shape) for layer in graph.inputs.values()]
    ends = " -> ".join(", ".join(map(show, shapes)) for shapes in (inputs, graph.output_shapes))
    kind, arrow = ("Sequential", " -> ") if graph.sequential else ("Model", ", ")
    return f"{kind} '{_fit(_safe(graph.name), 50)}': {arrow.join(words)}; {ends}"


def _word(layer: Layer) -> str:
    """Return a layer with its size or the layer inside: `LSTM(8)`, `Bidirectional(LSTM(8))`."""
    inside = layer.wrapped
    size = getattr(layer, "units", getattr(layer, "filters", "")) if inside is None else _word(inside)
    return f"{layer.class_name}({size})" if size else layer.class_name


def _layer(graph: Graph, calls: dict[str, list[int]], layer: Layer) -> Iterator[str]:
    name, kind = str(layer.name), layer.class_name
    first = calls[name][0]
    outputs = [graph.tensor_shapes[Ref(first, output)] for output in range(layer.output_count)]
    count = graph.parameter_counts.get(name)
    label = f"{_fit(_safe(name), _NAME - len(kind) - 4)} ({kind})"
    yield from _row(label, show(outputs[0]), "" if count is None else f"{count:,}")
    for shape in outputs[1:]:
        yield from _row("", show(shape), "")
    if count:
        words, figures = layer.parameter_formula(graph.layer_inputs[name]).split(" = ")
        yield from _wrap(f"{count:,} = {words}", _INDENT)
        yield from _wrap(f"{' ' * len(f'{count:,}')} = {figures}", _INDENT)
    yield from _weights(graph, layer)
    if count:
        yield from _training(layer.wrapped or layer)
    yield from _behaviour(graph, calls, layer)
    if graph.sequential or isinstance(layer, InputLayer):
        return
    for number, index in enumerate(calls[name], 1):
        call = graph.calls[index]
        which = "" if len(calls[name]) == 1 else f"in call {number}, "
        yield from _list(f"{which}takes ", [_tensor(graph, calls, ref) for ref in call.inputs])
        if call.initial_state:
            yield from _list(f"{which}starts from ", [_tensor(graph, calls, ref) for ref in call.initial_state])


def _weights(graph: Graph, layer: Layer) -> Iterator[str]:
    """Yield the line of the weights; those of the two directions of a Bidirectional are equal in shape."""
    inner = layer.wrapped or layer
    shapes = inner.weight_shapes(graph.layer_inputs.get(str(layer.name), ()))
    items = [f"{name} {_gated(shape, inner.gate_count)}" for name, shape in shapes.items()]
    yield from _list(f"weights{_each_direction(layer)}: ", items)


def _gated(shape: Shape, gate_count: int) -> str:
    """Return a weight's shape as text, its last size as a product of gates and units: `(5, 4*32)`."""
    if gate_count == 1 or shape[-1] is None:
        return show(shape)
    text = show(shape)
    last = str(shape[-1])
    start = text.rindex(last)
    return f"{text[:start]}{gate_count}*{shape[-1] // gate_count}{text[start + len(last) :]}"


def _each_direction(layer: Layer) -> str:
    return ", in each direction" if len(layer.recurrent) > 1 else ""


def _training(layer: Layer) -> Iterator[str]:
    """Yield the line of regularizers and constraints, or of a layer that is not trained."""
    functions = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    items = [f"{name} {value!r}" for name, value in functions.items() if isinstance(value, WeightFunction)]
    yield from _list("", items if layer.trainable else ["not trained"])


def _behaviour(graph: Graph, calls: dict[str, list[int]], layer: Layer) -> Iterator[str]:
    """Yield the lines that state the meaning of the arguments of a layer."""
    phrases = list(layer.behaviour)
    if layer.state_names:
        inner = layer.wrapped or layer
        shapes = inner.state_shapes(graph.layer_inputs[str(layer.name)])
        states = [f"{name} {show(shape)}" for name, shape in zip(inner.state_names, shapes, strict=True)]
        yield from _list(f"states{_each_direction(layer)}: ", states)
        if any(part.stateful for part in layer.recurrent.values()):
            phrases.append("keeps its states from batch to batch (stateful)")
        elif not any(graph.calls[index].initial_state for index in calls[str(layer.name)]):
            phrases.append("starts every batch from zero states")
    yield from _list("", phrases)


def _tensor(graph: Graph, calls: dict[str, list[int]], ref: Ref) -> str:
    """Return a tensor's name: the layer that returns it, and which of its outputs."""
    name = graph.calls[ref.call].layer
    layer, number = graph.layer(name), calls[name].index(ref.call)
    text = _fit(_safe(name), _NAME) + (f" (call {number + 1})" if number else "")
    if layer.output_count == 1:
        return text
    directions = [f"{direction} ".lstrip() for direction in layer.recurrent]
    outputs = [f"{direction}output" for direction in (directions if layer.masked_outputs > 1 else [""])]
    outputs += [f"{direction}{state}" for direction in directions for state in (layer.wrapped or layer).state_names]
    return f"{outputs[ref.output]} of {text}"


def _remarks(graph: Graph, calls: dict[str, list[int]]) -> Iterator[str]:
    if not graph.sequential or len(graph.outputs) > 1:
        outputs = (f"{_tensor(graph, calls, ref)} {show(graph.tensor_shapes[ref])}" for ref in graph.outputs)
        yield f"Outputs: {'; '.join(outputs)}."
    parts = (part for layer in graph.layers for part in (layer.wrapped or layer).recurrent.values())
    for kind in dict.fromkeys(type(part) for part in parts if part.gates_in_words):
        yield f"{kind.gate_count}*{kind.size_name}: {kind.gates_in_words}."
    varying = [text for name, layer in graph.inputs.items() if (text := _varying(name, layer))]
    if varying:
        yield f"any: may vary, since no parameter depends on it: {'; '.join(varying)}."


def _varying(name: str, layer: InputLayer) -> str:
    axes = ["batch size", "timesteps", "features"] if len(layer.shape) < 3 else ["batch size"]
    axes += [f"dimension {index}" for index in range(len(axes), len(layer.shape) + 1)]
    names = [axis for axis, size in zip(axes, (layer.batch_size, *layer.shape), strict=False) if size is None]
    return f"{' and '.join(names)} of {_fit(_safe(name), _NAME)}" if names else ""


# Text ---------------------------------------------------------------------------------------------------------------


def _row(left: str, middle: str, right: str) -> Iterator[str]:
    """Yield one row of the table; a text that is too wide for its column gets a line of its own."""
    line = left
    for text, column in ((_fit(middle, WIDTH), _NAME), (right, WIDTH)):
        start = min(column, WIDTH - _columns(text))
        if text and _columns(line) > start - (1 if line else 0):
            yield line
            line = ""
        if text:
            line += " " * (start - _columns(line)) + text
    yield line


def _list(label: str, items: Iterable[str]) -> Iterator[str]:
    """Yield lines of items, broken between the items where that is possible."""
    parts = list(items)
    texts = [f"{label if not k else ''}{item}{'; ' if k < len(parts) - 1 else ''}" for k, item in enumerate(parts)]
    yield from _lines([word for text in texts for word in ([text] if _columns(text) < 72 else _words(text))], _INDENT)


def _wrap(text: str, indent: str) -> Iterator[str]:
    """Return `text` in lines of at most WIDTH columns, broken at spaces outside of brackets where that is possible."""
    return _lines(_words(text), indent)


def _lines(words: Iterable[str], indent: str) -> Iterator[str]:
    line = indent
    for word in words:
        if line.strip() and _columns(line) + _columns(word.rstrip()) > WIDTH:
            yield line
            line = indent + "  "
        line = _fit(line + word, WIDTH) if _columns((line + word).rstrip()) > WIDTH else line + word
    if line.strip():
        yield line


def _words(text: str) -> Sequence[str]:
    words, depth = [""], 0
    for char in text:
        words[-1] += char
        depth += (char == "(") - (char == ")")
        if char == " " and depth <= 0:
            words.append("")
    return words


def _safe(name: str) -> str:
    """Return a name whose control characters, which act on a terminal, are escaped as by `repr`."""
    return repr(name)[1:-1]


def _columns(text: str) -> int:
    """Return the largest number of columns of `text` in a terminal; some characters join the one before them."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def _fit(text: str, width: int) -> str:
    """Return `text`, cut to `width` columns with `...` at its end if it is longer."""
    if _columns(text) <= width:
        return text
    kept = ""
    for char in text:
        if _columns(kept + char) > width - 3:
            break
        kept += char
    return kept + "..."


def _bytes(count: float) -> str:
    if count < 1024:
        return f"{count} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:,.1f} TiB"
