"""The first layer: the same model, every layer of which returns what it puts out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from multilstm.cases.case import Case
from multilstm.explain.side_by_side import Answers, Sides
from multilstm.jobs.job import Batch
from multilstm.spec import Graph, InputLayer, Ref
from multilstm.spec.arrays import Array, State
from multilstm.spec.propagation import walk


class Parting(NamedTuple):
    """Where a trace parts: which batch, which call of the graph, and the first array of it that does."""

    batch: int
    call: int
    actual: Array
    desired: Array


@dataclasses.dataclass(frozen=True)
class Trace:
    """All tensors of a case's forward pass, on both sides.

    Attributes:
        case: the case.
        batches: its forward batches.
        refs: the tensors, in the order of the answers' outputs.
        answers: of both sides, one a batch.
    """

    case: Case
    batches: tuple[Batch, ...]
    refs: tuple[Ref, ...]
    answers: Answers

    @property
    def spec(self) -> Graph:
        """The case's own model."""
        return self.case.spec

    def arrays(self) -> Iterator[tuple[int, int, Array, Array]]:
        """Batch, call, actual and desired of every tensor and state, in the order in which they are computed."""
        uses = [call.layer for call in self.spec.calls]
        for number, (actual, desired) in enumerate(zip(*self.answers, strict=True)):
            found = list(zip((ref.call for ref in self.refs), actual.outputs, desired.outputs, strict=True))
            for name, state in desired.states.items():
                if uses.count(name.split("/")[0]) == 1:  # of several, the state of the last is known alone
                    call = uses.index(name.split("/")[0])
                    found += [(call, *pair) for pair in zip(actual.states[name], state, strict=True)]
            for call, first, second in sorted(found, key=lambda each: each[0]):
                yield number, call, first, second

    def parting(self, sides: Sides) -> Parting | None:
        """The first array that parts; None where none does."""
        for number, call, actual, desired in self.arrays():
            if actual.shape != desired.shape or sides.outside(actual, desired).any():
                return Parting(number, call, actual, desired)
        return None

    def reaches(self, batch: int, call: int) -> tuple[Array, Array | None, tuple[State | None, ...]]:
        """What reaches the LSTMs of a call, as the reference has it: input, mask, and the initial state of each.

        A state is None where nobody gave one: then it is zero.
        """
        outputs = dict(zip(self.refs, self.answers.desired[batch].outputs, strict=True))
        given = self.batches[batch]
        tensors, masks = walk(
            self.spec,
            given.inputs,
            given.masks,
            lambda now, *_: [tensor for ref, tensor in outputs.items() if self.spec.calls[ref.call] is now],
        )
        called = self.spec.calls[call]
        passed = [tensors[ref] for ref in called.initial_state]
        names = [name for name in self.spec.lstms if name.split("/")[0] == called.layer]
        states: list[State | None] = []
        for index, name in enumerate(names):
            carried = self.spec.lstms[name].stateful and 0 < batch < len(self.batches) - 1  # the last one is reset
            if name in given.states:
                states.append(given.states[name])
            elif passed:
                states.append(State(*passed[2 * index : 2 * index + 2]))
            else:
                states.append(self.answers.desired[batch - 1].states[name] if carried else None)
        return tensors[called.inputs[0]], masks[called.inputs[0]], tuple(states)


def trace(sides: Sides) -> Trace:
    """Runs the forward part of a case with every tensor of the model as an output."""
    case = sides.case
    refs = tuple(
        Ref(index, number)
        for index, call in enumerate(case.spec.calls)
        if not isinstance(layer := case.spec.layer(call.layer), InputLayer)
        for number in range(layer.output_count)
    )
    spec = dataclasses.replace(case.spec, outputs=refs, sequential=False)
    steps = list(case.forward_steps())
    return Trace(case, tuple(s.batch for s in steps), refs, sides.forward(spec, case.initial_weights, steps))
