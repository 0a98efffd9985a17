"""The initial states of recurrent ONNX nodes: zeros, values that layers compute, and parts of an input of the graph.

A number of an input of the graph stays one number of the inputs of the spec, however many states hold it. A state of
another shape than its node has is refused, zeros included: the file then means another model than its weights do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.onnx.flow import Flow
from multilstm.files.onnx.recurrent import Recurrence
from multilstm.files.onnx.views import FLOATS, View
from multilstm.files.onnx.windows import Translator
from multilstm.files.parsers.onnx_graph import Node, fold
from multilstm.files.parsers.parsed import Budget
from multilstm.spec import Input, Tensor
from multilstm.spec.arrays import Array

__all__ = ["LABELS", "StateInputs", "check_zeros", "initial_states"]

LABELS = ("initial_h", "initial_c")
VARYING = 7  # a size in place of one that varies; seldom a number of a Reshape


class StateInputs:
    """The inputs of a spec for the parts of an input of the graph from which recurrent nodes start.

    Args:
        flow: the way of values through the graph.

    Attributes:
        tensors: the inputs of the spec.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.tensors: list[Tensor] = []
        self._parts: dict[str, list[tuple[Array, Tensor]]] = {}  # by input of the graph, the numbers of each part
        self._uses: dict[str, set[tuple[str, int]]] = {}
        live = flow.live()
        for node in flow.graph.nodes:
            for value in flow.states(node) if id(node) in live else ():
                if origin := flow.origin(value):
                    self._uses.setdefault(origin, set()).add((value, node.attributes.get("layout", 0)))

    def take(
        self, run: Translator, node: Node, kind: str, value: str, name: str, recurrence: Recurrence
    ) -> list[Tensor]:
        """Return the inputs of the spec for one state, one for each direction.

        Args:
            run: the run over the nodes, which names the inputs and takes a note.
            node: the recurrent node.
            kind: `hidden` or `cell`.
            value: the state.
            name: the layer.
            recurrence: the content of the node.
        """
        origin = self.flow.origin(value)
        known = self._parts.setdefault(origin, [])
        tensors = []
        for numbers in self._numbers(node, origin, value, recurrence):
            tensor = next((tensor for other, tensor in known if np.array_equal(other, numbers)), None)
            if tensor is None:
                taken = np.concatenate([numbers.ravel(), *(other.ravel() for other, _ in known)])
                if len(np.unique(taken)) < len(taken):
                    raise InputError(
                        f"{node.label}: its initial {kind} state holds a number of the input {shown(origin)} that "
                        f"another state holds too; expected equal states, or states without a common number"
                    )
                tensor = Input((recurrence.units,), name=run.name(f"{name}_{kind}", kind))
                known.append((numbers, tensor))
                self.tensors.append(tensor)
            tensors.append(tensor)
        names = [shown(tensor.layer.name) for tensor in tensors]
        run.notes.append(
            f"{node.label}: its initial {kind} state is a part of the input {shown(origin)} in the file, and "
            f"{'the input' if len(names) == 1 else 'the inputs'} {listed(names)} of the spec"
        )
        return tensors

    def _numbers(self, node: Node, origin: str, value: str, recurrence: Recurrence) -> Sequence[Array]:
        """Return the places of a state in an input, as an array for each direction."""
        try:
            numbers = self._places(origin, value)
        except InputError as error:
            if len(self._uses[origin]) == 1:  # whichever part: the only one
                return list(np.arange(recurrence.directions))
            raise InputError(
                f"{node.label}: several states are parts of the input {shown(origin)}, and one is unknown: {error}"
            ) from None
        axis = 0 if recurrence.time_first else 1
        if numbers.ndim != 3 or numbers.shape[axis] != recurrence.directions:
            expected = expected_shape(recurrence.directions, recurrence.units, recurrence.time_first)
            raise InputError(
                f"{node.label}: an initial state, a part of the input {shown(origin)}, has the shape "
                f"{list(numbers.shape)}; expected {expected}"
            )
        return list(np.moveaxis(numbers, axis, 0))

    def _places(self, origin: str, value: str) -> Array:
        """Return the places in an input that a value holds; raise InputError where they depend on its varying sizes."""
        graph = self.flow.graph
        sizes = next((sizes for name, _, sizes in graph.inputs if name == origin), None)
        if sizes is None:
            raise InputError("the input has no shape")
        shape = [VARYING if size is None else size for size in sizes]
        budget = Budget(0)
        budget.take_array("the input", shape, np.dtype("i8"))
        places = np.arange(math.prod(shape)).reshape(shape)
        for node in self.flow.moves(value):
            if node.op in ("Cast", "Dropout"):
                kind = node.attributes.get("to", FLOATS[0])
                if not isinstance(kind, int | str) or kind not in FLOATS:
                    raise InputError(f"{node.label} changes numbers")
                continue
            others = [graph.constants.get(name) for name in node.inputs[1:]]
            if any(other is None for other in others):
                raise InputError(f"{node.label} depends on another input")
            places = fold(node, [places, *(other for other in others if other is not None)], budget)
        for axis, size in enumerate(sizes):
            if size is None and len(np.unique(np.unravel_index(places.ravel(), shape)[axis])) < VARYING:
                raise InputError(f"axis {axis}, of which it is a part, has no fixed size")
        return places


def initial_states(
    run: Translator, inputs: StateInputs, node: Node, name: str, recurrence: Recurrence, batch: int | None
) -> list[Tensor] | None:
    """Return the initial states of a recurrent node in Keras's order, or None for zeros.

    Args:
        run: the run over the nodes.
        inputs: the inputs of the spec for states.
        node: the recurrent node.
        name: its layer.
        recurrence: its content.
        batch: the size of the batch in the file; None where it varies.
    """
    given = [node.input(5 + number) for number in range(len(recurrence.states))]
    zeros = check_zeros(run.flow, node, recurrence.directions, recurrence.units, batch)
    if all(zeros):
        return None
    if any(zeros):
        raise InputError(f"{node.label}: one of initial_h and initial_c is zero, the other is given; expected both")
    states = []
    for kind, value in zip(recurrence.states, given, strict=True):
        origin = run.flow.origin(value)
        if origin and origin not in run.views:
            states.append(inputs.take(run, node, kind, value, name, recurrence))
            continue
        view = run.view(value, node.label)
        states.append(_computed(run, node, view, recurrence.directions, origin))
    return [tensor for group in zip(*states, strict=True) for tensor in group]


def _computed(run: Translator, node: Node, view: View, directions: int, origin: str) -> list[Tensor]:
    """Return the tensors of a state that layers compute, or that is an input of the spec."""
    if directions == 1 and view.axes == ("1", "b", "f"):  # one tensor, which may be joined from several
        return [run.tensor(view)]
    if view.is_stack and len(view.parts) == directions and view.axes[-2:] == ("b", "f"):
        return [run.part(part) for part in view.parts]
    reason = f" (the input {shown(origin)} is data of the graph too)" if origin else ""
    raise InputError(f"{node.label}: initial_h and initial_c have other axes than its states{reason}")


def expected_shape(directions: int, units: int, time_first: bool) -> str:
    """Return the shape of a state in words."""
    return f"[{directions}, batch, {units}]" if time_first else f"[batch, {directions}, {units}]"


def check_zeros(flow: Flow, node: Node, directions: int, units: int, batch: int | None) -> list[bool]:
    """Return whether each initial state is left out or zero; raise InputError for zeros of another shape.

    Args:
        flow: the way of values through the graph.
        node: the recurrent node.
        directions: the number of its directions.
        units: the size of its hidden state.
        batch: the size of the batch in the file; None where it varies.
    """
    time_first = not node.attributes.get("layout", 0)
    wanted = (directions, batch, units) if time_first else (batch, directions, units)
    zeros = []
    for number, label in enumerate(LABELS if node.op == "LSTM" else LABELS[:1]):
        value = node.input(5 + number)
        zeros.append(flow.is_zero(value))
        sizes = flow.zero_sizes(value) if value and zeros[-1] else wanted
        if len(sizes) != 3 or any(None not in pair and len(set(pair)) > 1 for pair in zip(sizes, wanted, strict=True)):
            words = ", ".join("?" if size is None else str(size) for size in sizes)
            raise InputError(
                f"{node.label}: its {label} is zeros of the shape [{words}]; expected "
                f"{expected_shape(directions, units, time_first)}; PyTorch's exporter writes such a node for an LSTM "
                f"with proj_size, and leaves the projection out"
            )
    return zeros
