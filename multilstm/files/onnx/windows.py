"""Nodes of ONNX over windows and channels: convolution, pooling, normalization, sums, and the last timestep.

ONNX has the channels behind the batch, `[batch, features, timesteps]`. The axes of a view tell both apart, so that the
layer takes `[batch, timesteps, features]` without a Permute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.onnx.flow import Flow
from multilstm.files.onnx.views import Part, View, selection
from multilstm.files.parsers.onnx_graph import FoldedGraph, Node
from multilstm.spec import (
    Add,
    AveragePooling1D,
    BatchNormalization,
    Conv1D,
    Cropping1D,
    Flatten,
    MaxPooling1D,
    Multiply,
    Rescaling,
    Reshape,
    Tensor,
    ZeroPadding1D,
)
from multilstm.spec.arrays import Array

__all__ = ["OF_WINDOWS", "Translator", "last_timestep"]


class Translator(Protocol):
    """The run over the nodes of a graph: see `multilstm.files.onnx.spec`."""

    graph: FoldedGraph
    flow: Flow
    weights: dict[str, Array]
    views: dict[str, View]
    fused: set[int]
    notes: list[str]

    def view(self, name: str, where: str) -> View:
        """Return the view of a value."""
        ...

    def tensor(self, view: View) -> Tensor:
        """Return the tensor of a view."""
        ...

    def part(self, part: Part) -> Tensor:
        """Return the tensor of one part of a view."""
        ...

    def name(self, text: str, default: str) -> str:
        """Return a name for a layer that no other layer has."""
        ...


def last_timestep(run: Translator, node: Node, view: View) -> View | None:
    """Return the view of one timestep of a fixed number of them; None for other nodes and other views."""
    timesteps = view.timesteps
    if node.op not in ("Gather", "Slice") or "t" not in view.axes or not timesteps or "d" in view.axes:
        return None
    place, start, stop = selection(node, view, run.graph.constants)
    start += timesteps * (start < 0)
    end = start + 1 if stop is None else min(stop + timesteps * (stop < 0), timesteps)
    if view.axes[place] != "t" or end - start != 1 or not 0 <= start < timesteps:
        return None
    if len(view.parts) == 1 and not isinstance(view.parts[0], Tensor):  # an LSTM, which returns its last timestep
        return None
    cropped = Cropping1D((start, timesteps - end), name=run.name(node.name, "timestep"))(run.tensor(view))
    tensor = Reshape((view.features,), name=run.name(f"{node.name}_features", "features"))(cropped)
    kept = () if stop is None else ("1",)
    return view._replace(parts=(tensor,), axes=(*view.axes[:place], *kept, *view.axes[place + 1 :]))


def _window(run: Translator, node: Node, key: str, axes: tuple[str, ...], default: int) -> int:
    """Return the number of an attribute along the timesteps, which has a number for each axis behind the channels."""
    values = node.attributes.get(key) or [default] * len(axes)
    if not isinstance(values, list) or len(values) != len(axes):
        raise InputError(f"{node.label}: {key} is {shown(values)}; expected {len(axes)} numbers")
    others = [value for value, axis in zip(values, axes, strict=True) if axis != "t"]
    if any(value != 1 for value in others):
        raise InputError(f"{node.label}: {key} is {shown(values)}; expected 1 along axes of size 1")
    return int(values[axes.index("t")])


def _timesteps(run: Translator, node: Node) -> tuple[View, tuple[str, ...]]:
    """Return the view of a node's input and its axes behind the channels: the timesteps, and axes of size 1."""
    view = run.view(node.input(0), node.label)
    if view.axes[:2] != ("b", "f") or sorted(set(view.axes[2:])) not in (["t"], ["1", "t"]) or "d" in view.axes:
        raise InputError(f"{node.label}: its input has the axes {listed(view.axes)}; expected b, f, t")
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID", "SAME_UPPER"):
        raise InputError(f"{node.label}: auto_pad is {shown(node.attributes['auto_pad'])}; expected SAME_UPPER or pads")
    return view, view.axes[2:]


def _pads(node: Node, axes: tuple[str, ...]) -> tuple[int, int]:
    """Return the zeros at the begin and at the end of the timesteps."""
    count = len(axes)
    pads = node.attributes.get("pads") or [0] * (2 * count)
    if not isinstance(pads, list) or len(pads) != 2 * count:
        raise InputError(f"{node.label}: pads is {shown(pads)}; expected {2 * count} numbers")
    place = axes.index("t")
    first, last = pads[place], pads[place + count]
    if sum(pads) != first + last or min(first, last) < 0:
        raise InputError(f"{node.label}: pads is {shown(pads)}; expected zeros along axes of size 1")
    return first, last


def _behind(view: View, tensor: Tensor, features: int, size: Callable[[int], int]) -> View:
    timesteps = None if view.timesteps is None else size(view.timesteps)
    return view._replace(parts=(tensor,), features=features, timesteps=timesteps)


def _conv(run: Translator, node: Node) -> View:
    """Return the view of a convolution over timesteps."""
    view, axes = _timesteps(run, node)
    arrays = [run.graph.constants.get(name) for name in node.inputs[1:3]]
    kernel = arrays[0] if arrays else None
    if kernel is None or kernel.ndim != 2 + len(axes) or (len(arrays) > 1 and arrays[1] is None):
        raise InputError(f"{node.label}: expected a constant kernel and a constant bias")
    kernel = np.squeeze(kernel, tuple(2 + k for k, axis in enumerate(axes) if axis != "t" and kernel.shape[2 + k] == 1))
    if kernel.ndim != 3:
        raise InputError(f"{node.label}: its kernel spans axes of size 1; expected one along the timesteps")
    first, last = _pads(node, axes)
    size, stride = kernel.shape[2], _window(run, node, "strides", axes, 1)
    dilation = _window(run, node, "dilations", axes, 1)
    same = node.attributes.get("auto_pad") == "SAME_UPPER"
    tensor = run.tensor(view)
    if first or last:
        tensor = ZeroPadding1D((first, last), name=run.name(f"{node.name}_padding", "padding"))(tensor)
    name = run.name(node.name, "conv1d")
    filters, groups, padding = kernel.shape[0], int(node.attributes.get("group", 1)), "same" if same else "valid"
    window: dict[str, Any] = {"padding": padding, "dilation_rate": dilation, "groups": groups}
    run.weights[f"{name}/kernel"] = np.ascontiguousarray(kernel.transpose(2, 1, 0))
    if len(arrays) > 1 and arrays[1] is not None:
        run.weights[f"{name}/bias"] = arrays[1]
    tensor = Conv1D(filters, size, stride, use_bias=len(arrays) > 1, name=name, **window)(tensor)
    reach = 0 if same else dilation * (size - 1)
    return _behind(view, tensor, filters, lambda steps: (steps + first + last - reach - 1) // stride + 1)


def _pool(run: Translator, node: Node) -> View:
    """Return the view of a pooling over windows of timesteps."""
    view, axes = _timesteps(run, node)
    if any(_pads(node, axes)) or node.attributes.get("ceil_mode") or len(node.outputs) > 1:
        raise InputError(f"{node.label}: it pads, rounds up or returns places; expected whole windows alone")
    size, stride = (_window(run, node, key, axes, 1) for key in ("kernel_shape", "strides"))
    if _window(run, node, "dilations", axes, 1) != 1:
        raise InputError(f"{node.label}: it has dilations, which no layer has; expected 1")
    kind = MaxPooling1D if node.op == "MaxPool" else AveragePooling1D
    same = node.attributes.get("auto_pad") == "SAME_UPPER"
    if same and node.attributes.get("count_include_pad"):
        raise InputError(f"{node.label}: its means count padding (count_include_pad), and Keras's do not; expected 0")
    tensor = kind(size, stride, "same" if same else "valid", name=run.name(node.name, "pooling"))(run.tensor(view))
    return _behind(view, tensor, view.features, lambda steps: (steps - (1 if same else size)) // stride + 1)


def _normalization(run: Translator, node: Node) -> View:
    """Return the view of a BatchNormalization in inference."""
    view = run.view(node.input(0), node.label)
    arrays = [run.graph.constants.get(node.input(number)) for number in (1, 2, 3, 4)]
    if view.axes[1:2] != ("f",) or "d" in view.axes or node.attributes.get("training_mode"):
        raise InputError(f"{node.label}: expected features behind the batch, and a model in inference mode")
    if any(array is None or array.shape != (view.features,) for array in arrays):
        raise InputError(f"{node.label}: expected four constant vectors of {view.features} numbers")
    name = run.name(node.name, "batch_normalization")
    for weight, array in zip(("gamma", "beta", "moving_mean", "moving_variance"), arrays, strict=True):
        assert array is not None
        run.weights[f"{name}/{weight}"] = array
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    return view._replace(parts=(BatchNormalization(epsilon=epsilon, name=name)(run.tensor(view)),))


def _merge(run: Translator, node: Node) -> View:
    """Return the view of a sum or a product of two values of the same axes."""
    first, *others = views = [run.view(name, node.label) for name in node.inputs]
    if not others:
        return first
    if any((view.axes, view.features) != (first.axes, first.features) for view in views) or "d" in first.axes:
        raise InputError(f"{node.label}: its inputs have different axes; expected values of the same shape")
    kind = Add if node.op in ("Add", "Sum") else Multiply
    return first._replace(parts=(kind(name=run.name(node.name, node.op.lower()))([run.tensor(v) for v in views]),))


def _scaled(run: Translator, node: Node) -> View:
    """Return the view of a value divided by a constant number."""
    view, divisor = run.view(node.input(0), node.label), run.graph.constants.get(node.input(1))
    is_one = divisor is not None and divisor.size == 1 and divisor.ndim <= len(view.axes) and divisor.all()
    if divisor is None or not is_one or "d" in view.axes:
        raise InputError(
            f"{node.label}: it divides by a computed value, by 0, or by several; expected one constant number"
        )
    layer = Rescaling(1.0 / float(divisor.ravel()[0]), name=run.name(node.name, "rescaling"))
    return view._replace(parts=(layer(run.tensor(view)),))


def _flat(run: Translator, node: Node) -> View:
    """Return the view of all numbers of a sample in one row."""
    view = run.view(node.input(0), node.label)
    axes = tuple(axis for axis in view.axes if axis != "1")
    if axes == ("b", "f") and node.attributes.get("axis", 1) == 1:
        return view._replace(axes=axes)
    if axes != ("b", "t", "f") or not view.timesteps or node.attributes.get("axis", 1) != 1:
        raise InputError(f"{node.label}: it flattens the axes {listed(axes)}; expected b, t, f of fixed timesteps")
    tensor = Flatten(name=run.name(node.name, "flatten"))(run.tensor(view))
    return View((tensor,), ("b", "f"), view.timesteps * view.features, None, view.batch)


OF_WINDOWS: Mapping[str, Callable[[Any, Node], View]] = {
    "Add": _merge,
    "AveragePool": _pool,
    "BatchNormalization": _normalization,
    "Conv": _conv,
    "Div": _scaled,
    "Flatten": _flat,
    "MaxPool": _pool,
    "Mul": _merge,
    "Sum": _merge,
}
