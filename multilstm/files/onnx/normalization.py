"""LayerNormalization in ONNX: the node of operator set 17, and the nodes that compute it in older sets.

    difference = x - ReduceMean(x);    variance = ReduceMean(difference * difference)
    difference / Sqrt(variance + epsilon) * gamma + beta

multilstm writes these nodes below set 17, and for a float64 epsilon. PyTorch writes Pow and Div among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.errors import InputError, listed
from multilstm.files.onnx.views import View
from multilstm.files.onnx.windows import Translator
from multilstm.files.parsers.onnx_graph import Node
from multilstm.spec import LayerNormalization
from multilstm.spec.arrays import Array

__all__ = ["OF_NORMALIZATION"]

KERAS_AXES = {("f",): -1, ("t",): 1, ("t", "f"): (1, 2)}


def _node(run: Translator, node: Node) -> View:
    """Return the view of the node LayerNormalization."""
    view = run.view(node.input(0), node.label)
    rank = len(view.axes)
    places = range(int(node.attributes.get("axis", -1)) % rank, rank)
    scale = {
        name: run.graph.constants.get(node.input(number))
        for number, name in ((1, "gamma"), (2, "beta"))
        if number == 1 or node.input(number)
    }
    return _normalized(run, node, view, places, float(node.attributes.get("epsilon", 1e-5)), scale)


def _decomposed(run: Translator, node: Node) -> View:
    """Return the view of the nodes that begin with a ReduceMean."""
    chain = _chain(run, node)
    if chain is None:
        raise InputError(f"{node.label}: it begins no LayerNormalization; multilstm has no layer for another mean")
    *parts, last = chain
    constants, view = run.graph.constants, run.view(node.input(0), node.label)
    places = _axes(run, node, len(view.axes))
    epsilon = next(value for name in parts[3].inputs if (value := constants.get(name)) is not None)
    scale: dict[str, Array | None] = {}
    for name, op in (("gamma", "Mul"), ("beta", "Add")):
        user = _only_user(run, last, op)
        others = [] if user is None else [constants.get(other) for other in user.inputs if other != last.outputs[0]]
        if user is not None and len(others) == 1 and _fits(others[0], view, places):
            scale[name] = others[0]
            parts, last = [*parts, last], user
    result = _normalized(run, node, view, places, float(epsilon.ravel()[0]), scale)
    run.fused.update(id(part) for part in (*parts, last))
    run.views[last.outputs[0]] = result
    return result


def _chain(run: Translator, node: Node) -> list[Node] | None:
    """Return the nodes behind a ReduceMean: Sub, square, ReduceMean, Add, Sqrt and the rest; None for other nodes."""
    difference = _only_user(run, node, "Sub")
    if difference is None or difference.inputs != (node.input(0), node.outputs[0]):
        return None
    name = difference.outputs[0]
    users = list({id(user): user for user in run.flow.consumers.get(name, ())}.values())
    if len(users) != 2 or name in run.graph.outputs or not _is_square(run, users[0], name):
        return None
    chain, output = [difference, users[0]], users[1]
    for op in ("ReduceMean", "Add", "Sqrt", *(("Reciprocal",) if output.op == "Mul" else ())):
        user = _only_user(run, chain[-1], op)
        if user is None:
            return None
        chain.append(user)
    epsilon = [run.graph.constants.get(other) for other in chain[3].inputs]
    if sorted(1 if array is None else -array.size for array in epsilon) != [-1, 1]:
        return None
    names = (name, chain[-1].outputs[0])
    is_product = output.op == "Mul" and output.inputs in (names, names[::-1])
    is_quotient = output.op == "Div" and output.inputs == names
    rank = len(run.view(node.input(0), node.label).axes)
    is_same = _axes(run, chain[2], rank) == _axes(run, node, rank)
    return [*chain, output] if (is_product or is_quotient) and is_same else None


def _is_square(run: Translator, node: Node, name: str) -> bool:
    exponent = run.graph.constants.get(node.input(1))
    is_power = node.op == "Pow" and exponent is not None and exponent.size == 1 and exponent.ravel()[0] == 2
    return (is_power and node.input(0) == name) or (node.op == "Mul" and node.inputs == (name, name))


def _only_user(run: Translator, node: Node, op: str) -> Node | None:
    """Return the only node that takes the output of a node, if it has an operator."""
    users = run.flow.consumers.get(node.outputs[0], ())
    return users[0] if len(users) == 1 and users[0].op == op and node.outputs[0] not in run.graph.outputs else None


def _axes(run: Translator, node: Node, rank: int) -> list[int]:
    """Return the axes of a ReduceMean that keeps them, from the front.

    Raises:
        InputError: for axes that are computed, left out or not kept.
    """
    axes = node.attributes.get("axes", run.graph.constants.get(node.input(1)))
    if axes is None or not np.size(axes) or not node.attributes.get("keepdims", 1):
        raise InputError(f"{node.label}: expected constant axes that are kept with size 1")
    return sorted(int(axis) % rank for axis in np.ravel(axes))


def _shape(view: View, places: Sequence[int]) -> list[int | None]:
    return [view.size(axis) if place in places else 1 for place, axis in enumerate(view.axes)]


def _fits(array: Array | None, view: View, places: Sequence[int]) -> bool:
    """Whether an array has one number for each place of the normalized axes."""
    shape = _shape(view, places)
    return array is not None and [*[1] * (len(shape) - array.ndim), *array.shape] == shape


def _normalized(
    run: Translator,
    node: Node,
    view: View,
    places: Sequence[int],
    epsilon: float,
    scale: Mapping[str, Array | None],
) -> View:
    """Return the view of a LayerNormalization.

    Raises:
        InputError: for axes that Keras's layer lacks, and for scales of other shapes.
    """
    axes = tuple(view.axes[place] for place in places)
    sizes = [view.size(axis) for axis in axes]
    if axes not in KERAS_AXES or "d" in view.axes or None in sizes:
        raise InputError(
            f"{node.label}: it normalizes the axes {listed(axes)} of {listed(view.axes)}; expected features, or "
            f"timesteps of a fixed number"
        )
    if not all(_fits(array, view, places) for array in scale.values()):
        raise InputError(f"{node.label}: expected constant scales of the sizes {sizes}")
    name = run.name(node.name, "layer_normalization")
    for weight, array in scale.items():
        assert array is not None
        run.weights[f"{name}/{weight}"] = array.reshape([size or 0 for size in sizes])
    options: dict[str, Any] = {"scale": "gamma" in scale, "center": "beta" in scale}
    layer = LayerNormalization(KERAS_AXES[axes], epsilon, name=name, **options)
    return view._replace(parts=(layer(run.tensor(view)),))


OF_NORMALIZATION: Mapping[str, Callable[[Any, Node], View]] = {"LayerNormalization": _node, "ReduceMean": _decomposed}
