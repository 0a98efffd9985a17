"""The first layer that diverges, found with a model that returns the outputs of all its layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from multilstm.cases.case import Case
from multilstm.explain.side_by_side import Answers, Sides
from multilstm.jobs.job import Batch
from multilstm.spec import Graph, InputLayer, Ref
from multilstm.spec.arrays import AnyState, Array, as_state
from multilstm.spec.propagation import walk


class Tensor(NamedTuple):
    """One output or state of a layer, on both sides.

    Attributes:
        batch: number of the batch.
        call: number of the layer's call in the graph.
        actual: the engine's array.
        desired: the reference's array.
    """

    batch: int
    call: int
    actual: Array
    desired: Array


class LayerInputs(NamedTuple):
    """The reference's inputs of the LSTMs of one call.

    Attributes:
        inputs: `[batch, timesteps, features]`.
        mask: `[batch, timesteps]`, or None.
        starts: initial state of each LSTM; None for the default, which is zero.
    """

    inputs: Array
    mask: Array | None
    starts: tuple[AnyState | None, ...]


@dataclasses.dataclass(frozen=True)
class Trace:
    """All tensors of a case's forward pass, on both sides.

    Attributes:
        case: the case.
        batches: its forward batches.
        refs: the tensors, in the order of the answers' outputs.
        answers: answers of both sides, one for each batch.
    """

    case: Case
    batches: tuple[Batch, ...]
    refs: tuple[Ref, ...]
    answers: Answers

    @property
    def spec(self) -> Graph:
        """The case's own model."""
        return self.case.spec

    def tensors(self) -> Iterator[Tensor]:
        """Yield every output and state, in the order of their computation.

        A layer that is called several times returns the state of its last call only, which is left out.
        """
        calls = [call.layer for call in self.spec.calls]
        for number, (actual, desired) in enumerate(zip(*self.answers, strict=True)):
            tensors = [
                Tensor(number, ref.call, *pair)
                for ref, *pair in zip(self.refs, actual.outputs, desired.outputs, strict=True)
            ]
            for name, state in desired.states.items():
                layer = name.split("/")[0]
                if calls.count(layer) == 1:
                    pairs = zip(actual.states[name], state, strict=True)
                    tensors += [Tensor(number, calls.index(layer), *pair) for pair in pairs]
            yield from sorted(tensors, key=lambda tensor: tensor.call)

    def first_difference(self, sides: Sides) -> Tensor | None:
        """Return the first tensor that differs, or None."""
        for tensor in self.tensors():
            if tensor.actual.shape != tensor.desired.shape or sides.differs(tensor.actual, tensor.desired).any():
                return tensor
        return None

    def inputs_of(self, batch: int, call: int) -> LayerInputs:
        """Return the reference's inputs of the recurrent layers of a call."""
        outputs = dict(zip(self.refs, self.answers.desired[batch].outputs, strict=True))
        case_batch = self.batches[batch]
        tensors, masks = walk(
            self.spec,
            case_batch.inputs,
            case_batch.masks,
            lambda walked, *_: [tensor for ref, tensor in outputs.items() if self.spec.calls[ref.call] is walked],
        )
        layer_call = self.spec.calls[call]
        passed = [tensors[ref] for ref in layer_call.initial_state]
        names = [name for name in self.spec.recurrent if name.split("/")[0] == layer_call.layer]
        starts: list[AnyState | None] = []
        for index, name in enumerate(names):
            # States are reset before the last batch.
            carried = self.spec.recurrent[name].stateful and 0 < batch < len(self.batches) - 1
            if name in case_batch.states:
                starts.append(case_batch.states[name])
            elif passed:
                count = self.spec.recurrent[name].state_count
                starts.append(as_state(*passed[count * index : count * (index + 1)]))
            else:
                starts.append(self.answers.desired[batch - 1].states[name] if carried else None)
        source = layer_call.inputs[0]
        return LayerInputs(tensors[source], masks[source], tuple(starts))


def trace(sides: Sides) -> Trace:
    """Run the forward part of a case with every tensor of the model as an output."""
    case = sides.case
    refs = tuple(
        Ref(index, number)
        for index, call in enumerate(case.spec.calls)
        if not isinstance(layer := case.spec.layer(call.layer), InputLayer)
        for number in range(layer.output_count)
    )
    spec = dataclasses.replace(case.spec, outputs=refs, sequential=False)
    steps = list(case.forward_steps())
    batches = tuple(step.batch for step in steps)
    return Trace(case, batches, refs, sides.forward(spec, case.initial_weights, steps))
