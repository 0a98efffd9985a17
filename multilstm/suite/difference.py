"""The difference of two models: options of layers, weights, and the answers of the reference to the same inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from multilstm.cases.case import Case
from multilstm.cases.recipes import GivenBatches
from multilstm.compare import Quantity
from multilstm.compare.quantity import FORWARD
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import MultilstmError, UnsupportedError
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities, quantities_of
from multilstm.jobs.job import Job, Step
from multilstm.spec import Graph, InputLayer, Layer
from multilstm.spec.arrays import Array

__all__ = ["ModelDifference", "OptionChange", "WeightChange", "compare_models", "with_inputs_of"]

L = TypeVar("L", Layer, Graph)
Pair = tuple[Layer, Layer]
Weights = Mapping[str, Array]


class OptionChange(NamedTuple):
    """An argument of a layer that differs.

    Attributes:
        layer: the layer of the first model, such as `LSTM 'lstm'`.
        option: the argument.
        first: its value in the first model.
        second: its value in the second model.
        effect: the largest change of the first model's outputs by this argument alone. None: the argument alone is
            impossible, or gives other shapes.
    """

    layer: str
    option: str
    first: Any
    second: Any
    effect: float | None


class WeightChange(NamedTuple):
    """A weight that differs.

    Attributes:
        name: its name in the first model.
        shapes: both shapes.
        largest: the largest absolute difference; None for unequal shapes.
    """

    name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    largest: float | None


@dataclasses.dataclass(frozen=True)
class ModelDifference:
    """The difference of two models.

    Attributes:
        options: the arguments of paired layers that differ.
        only_first: the layers that only the first model has.
        only_second: the layers that only the second model has.
        renamed: the pairs of layers with unequal names.
        parameters: the parameter counts of both.
        weights: the weights of paired layers that differ.
        answers: the largest difference of each answer to the same inputs, in the order of the first model; None for
            unequal shapes. Empty where the second model does not take the inputs of the first.
        outputs: the numbers of outputs of both.
        rewired: whether layers are called on other tensors, which may act in training alone.
    """

    options: tuple[OptionChange, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    parameters: tuple[int, int]
    weights: tuple[WeightChange, ...]
    answers: Mapping[Quantity, float | None]
    outputs: tuple[int, int]
    rewired: bool = False

    @property
    def same(self) -> bool:
        """Whether layers, their calls, weights and answers are equal; names of layers may differ."""
        changed = self.options or self.only_first or self.only_second or self.weights or self.rewired
        return not changed and len(set(self.outputs)) == 1 and set(self.answers.values()) == {0.0}

    @property
    def sentence(self) -> str:
        """The difference in a few sentences."""
        if self.same:
            return "Same model: equal layers, weights and answers."
        parts = []
        if self.only_first or self.only_second:
            parts.append("The models have other layers.")
        elif self.rewired:
            parts.append("The models call their layers on other tensors.")
        for noun, count in (("option", len(self.options)), ("weight", len(self.weights))):
            if count:
                parts.append(f"{count} {noun}{' differs' if count == 1 else 's differ'}.")
        outputs = {quantity: value for quantity, value in self.answers.items() if quantity.kind == "output"}
        if len(set(self.outputs)) > 1:
            parts.append(f"The models have {self.outputs[0]} and {self.outputs[1]} outputs.")
        elif not outputs:
            parts.append("The second model does not take the inputs of the first.")
        elif None in outputs.values():
            parts.append("Outputs have other shapes.")
        else:
            largest = np.max(list(outputs.values()))
            parts.append(f"Outputs differ by {largest:.2g}." if largest else "Outputs are equal.")
        return " ".join(parts)


def compare_models(case: Case, other: Graph, weights: Weights) -> ModelDifference:
    """Return the difference of two models.

    Args:
        case: the first model, with its weights and the inputs for both.
        other: the second model.
        weights: the weights of the second model.

    Raises:
        UnsupportedError: for a model with a layer that the reference does not compute.
    """
    for layer in (*case.spec.opaque, *other.opaque):
        raise UnsupportedError(
            f"layer {layer.label}: the reference, which answers for both models, does not compute it"
        )
    pairs, only_first, only_second = _paired(case.spec, other)
    base = _answers(case, case.spec, case.initial_weights, {})
    answers = {} if base is None else _answer_changes(case, base, other, weights, pairs)
    return ModelDifference(
        options=tuple(_options(case, base or {}, pairs)),
        only_first=only_first,
        only_second=only_second,
        renamed=tuple((str(a.name), str(b.name)) for a, b in pairs if a.name != b.name),
        parameters=(case.spec.parameter_count, other.parameter_count),
        weights=tuple(_weight_changes(case.spec, case.initial_weights, other, weights, pairs)),
        answers=answers,
        outputs=(len(case.spec.outputs), len(other.outputs)),
        rewired=_rewired(case.spec, other, pairs),
    )


def _rewired(first: Graph, second: Graph, pairs: Sequence[Pair]) -> bool:
    """Whether corresponding layers are called on other tensors; the order of the calls does not matter."""
    numbers: dict[Any, int] = {}
    names = {str(a.name): str(b.name) for a, b in pairs}
    return _wiring(first, names, numbers) != _wiring(second, {}, numbers)


def _wiring(graph: Graph, names: Mapping[str, str], numbers: dict[Any, int]) -> set[int]:
    """Return a number for each call, from `numbers`; equal calls of corresponding layers have one number."""
    calls: list[int] = []
    for call in graph.calls:
        inputs, states = ([(calls[ref.call], ref.output) for ref in refs] for refs in (call.inputs, call.initial_state))
        calls.append(numbers.setdefault((names.get(call.layer, call.layer), *inputs, None, *states), len(numbers)))
    return set(calls)


def with_inputs_of(first: Case, second: Case) -> Case:
    """Return the first case with the batches of both, so that the inputs exercise the masks of both models.

    The batches of the second are left out if its inputs have other shapes or dtypes.
    """
    kinds = [
        [(layer.shape, layer.batch_size, layer.dtype) for layer in spec.inputs.values()]
        for spec in (first.spec, second.spec)
    ]
    if kinds[0] != kinds[1]:
        return first
    names = dict(zip(second.spec.inputs, first.spec.inputs, strict=True))
    batches = [_renamed(Step("forward", batch), names).batch for batch in second.forward.batches()]
    return dataclasses.replace(first, forward=GivenBatches((*first.forward.batches(), *batches)))


def _paired(first: Graph, second: Graph) -> tuple[list[Pair], tuple[str, ...], tuple[str, ...]]:
    """Return the layers that correspond, and the labels of those without a partner.

    Layers correspond by their order if both models have the same classes in the same order, else by name and class.
    """
    if [type(layer) for layer in first.layers] == [type(layer) for layer in second.layers]:
        return list(zip(first.layers, second.layers, strict=True)), (), ()
    others = {(str(layer.name), type(layer)): layer for layer in second.layers}
    pairs = [(layer, others[key]) for layer in first.layers if (key := (str(layer.name), type(layer))) in others]
    paired = {str(layer.name) for layer, _ in pairs}
    left = [tuple(layer.label for layer in graph.layers if str(layer.name) not in paired) for graph in (first, second)]
    return pairs, left[0], left[1]


def _options(case: Case, base: Quantities, pairs: Sequence[Pair]) -> Iterator[OptionChange]:
    for first, second in pairs:
        for option, one, two in _changed(first, second):
            yield OptionChange(first.label, option, one, two, _effect(case, base, first, option, two))


def _changed(first: Layer, second: Layer) -> Iterator[tuple[str, Any, Any]]:
    """Yield the arguments of two layers of one class that differ, with both values; names are left out."""
    for field in dataclasses.fields(first):
        one, two = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, Layer) and type(one) is type(two):
            yield from ((f"{field.name}.{option}", *values) for option, *values in _changed(one, two))
        elif isinstance(one, Graph) and isinstance(two, Graph) and _wired(one) == _wired(two):
            for part, other in zip(one.layers, two.layers, strict=True):
                place = f"{field.name}.{part.name}"
                yield from ((f"{place}.{option}", *values) for option, *values in _changed(part, other))
        elif field.name != "name" and one != two:
            yield field.name, one, two


def _wired(graph: Graph) -> tuple[Any, ...]:
    """Return the data of a model that has equal options in equal places; a name with a dot is no part of a path."""
    classes = [(layer.name, type(layer)) for layer in graph.layers]
    return classes, graph.calls, graph.outputs, [layer for layer in graph.layers if "." in str(layer.name)]


def _effect(case: Case, base: Quantities, layer: Layer, option: str, value: Any) -> float | None:
    """Return the largest change of the outputs by one option; None for other shapes or an impossible model."""
    try:
        changed_layer = _with_option(layer, option, value)
        layers = tuple(changed_layer if other is layer else other for other in case.spec.layers)
        spec = dataclasses.replace(case.spec, layers=layers)
    except MultilstmError:
        return None
    changed = _answers(case, spec, case.initial_weights, {})
    if changed is None:
        return None
    distances = [_distance(base[quantity], changed[quantity]) for quantity in base if quantity.kind == "output"]
    known = [distance for distance in distances if distance is not None]
    return max(known, default=None) if len(known) == len(distances) else None


def _with_option(layer: L, option: str, value: Any) -> L:
    """Return a layer with another value of an option, also of a layer inside: `layer.units`, `graph.lstm.units`."""
    name, _, inner = option.partition(".")
    if isinstance(layer, Graph):
        parts = (_with_option(part, inner, value) if part.name == name else part for part in layer.layers)
        return dataclasses.replace(layer, layers=tuple(parts))
    changes: dict[str, Any] = {name: _with_option(getattr(layer, name), inner, value) if inner else value}
    return dataclasses.replace(layer, **changes)


def _answers(case: Case, spec: Graph, weights: Weights, layers: Mapping[str, str]) -> Quantities | None:
    """Return the reference's forward answers of a model to the inputs of a case; None if it does not take them.

    Args:
        case: the case.
        spec: the model.
        weights: its weights.
        layers: the names of the model's layers by those of the case.
    """
    if len(spec.inputs) != len(case.spec.inputs):
        return None
    names = {**layers, **dict(zip(case.spec.inputs, spec.inputs, strict=True))}
    steps = tuple(_renamed(step, names) for step in case.forward_steps())
    try:
        result = Executor(ReferenceEngine()).execute(Job(spec, weights, steps, "float64"))
    except MultilstmError:
        return None
    return quantities_of(Part.FORWARD, dataclasses.replace(case, spec=spec), result)


def _renamed(step: Step, names: Mapping[str, str]) -> Step:
    """Return a step with its inputs, masks and initial states by the names of another model."""
    batch = step.batch

    def by_other_name(arrays: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "/".join([names.get(layer, layer), *direction]): array
            for name, array in arrays.items()
            for layer, *direction in [name.split("/")]
        }

    batch = dataclasses.replace(
        batch,
        inputs=by_other_name(batch.inputs),
        masks=by_other_name(batch.masks),
        states=by_other_name(batch.states),
        dropout={},
    )
    return dataclasses.replace(step, batch=batch)


def _answer_changes(
    case: Case, base: Quantities, other: Graph, weights: Weights, pairs: Sequence[Pair]
) -> dict[Quantity, float | None]:
    names = {str(first.name): str(second.name) for first, second in pairs}
    changed = _answers(case, other, weights, names)
    if changed is None:
        return {}
    order = {call.layer: number for number, call in enumerate(case.spec.calls)}

    def position(quantity: Quantity) -> int:
        return order.get(quantity.where.split("/")[0], len(order))

    answers = {}
    for quantity in sorted(base, key=position):
        layer, slash, rest = quantity.where.partition("/")
        partner = Quantity(quantity.kind, f"{names.get(layer, layer)}{slash}{rest}")
        if quantity.kind in FORWARD and partner in changed:
            answers[quantity] = _distance(base[quantity], changed[partner])
    return answers


def _distance(first: Sequence[Array], second: Sequence[Array]) -> float | None:
    """Return the largest absolute difference over all batches; None for unequal shapes."""
    if [array.shape for array in first] != [array.shape for array in second]:
        return None
    return float(np.max([_largest(one, two) for one, two in zip(first, second, strict=True)], initial=0.0))


def _largest(first: Array, second: Array) -> float:
    """Return the largest absolute difference. Two NaN, or two equal infinities, differ by 0; a NaN alone gives NaN."""
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid="ignore"):
        return float(np.abs(np.where(same, 0.0, first - second)).max(initial=0.0))


def _weight_changes(
    first: Graph, weights: Weights, second: Graph, others: Weights, pairs: Sequence[Pair]
) -> Iterator[WeightChange]:
    names = {str(a.name): str(b.name) for a, b in pairs if not isinstance(a, InputLayer)}
    for name, array in weights.items():
        layer, _, weight = name.partition("/")
        other = others.get(f"{names.get(layer)}/{weight}")
        if other is None:
            continue
        if array.shape != other.shape:
            yield WeightChange(name, (array.shape, other.shape), None)
        elif (distance := _largest(array.astype(np.float64), other)) != 0:  # NaN too
            yield WeightChange(name, (array.shape, other.shape), distance)
