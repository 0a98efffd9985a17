"""Shrinking: a failing sample becomes smaller step by step, as long as it fails in the same way.

A step removes a layer, an output, batches, timesteps, rows, units, features, a mask or states. Or it sets an option to
its default. Shrinking ends at a sample for which every step removes the failure.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

from multilstm.errors import MultilstmError, SpecError
from multilstm.fuzz.sample import Sample
from multilstm.spec import Bidirectional, Call, Graph, InputLayer, Layer, Ref, TimeDistributed
from multilstm.spec.subgraph import changed, pruned

UNITS = ("units", "filters")
SHRUNK = (*UNITS, "n", "input_dim", "output_dim", "depth_multiplier", "groups")  # arguments that are sizes


def shrink(sample: Sample, diverges: Callable[[Sample], bool], seconds: float) -> Sample:
    """Return a smaller sample that fails in the same way.

    Args:
        sample: a failing sample.
        diverges: returns whether another sample fails in the same way.
        seconds: the time after which no further step is tried.

    Returns:
        The smallest sample that was found; `sample` itself if no step keeps the failure.
    """
    end = time.monotonic() + seconds
    tried = {sample}
    smaller_exists = True
    while smaller_exists:
        smaller_exists = False
        for smaller in steps(sample):
            if time.monotonic() > end:
                return sample
            if smaller not in tried:
                tried.add(smaller)
                if diverges(smaller):
                    sample, smaller_exists = smaller, True
                    break
    return sample


def steps(sample: Sample) -> Iterator[Sample]:
    """Yield all samples that are one step smaller, the largest steps first."""
    for spec in _fewer_layers(sample.spec):
        yield from _with(sample, spec=spec)
    yield from _with(sample, count=1)
    yield from _with(sample, loss=None)
    for name in sample.states:
        yield from _with(sample, states=tuple(other for other in sample.states if other != name))
    yield from _with(sample, mask=None)
    for batch in dict.fromkeys((1, sample.batch // 2, sample.batch - 1)):
        yield from _rows(sample, batch)
    for timesteps in dict.fromkeys((1, 2, sample.timesteps // 2, sample.timesteps - 1)):
        yield from _timesteps(sample, timesteps)
    for spec in _simpler_layers(sample.spec):
        yield from _with(sample, spec=spec)
    yield from _with(sample, seed=0)
    if sample.mask is not None:
        for row in range(sample.batch):
            for at in range(sample.timesteps):
                if not sample.mask[row][at]:
                    kept = [list(bits) for bits in sample.mask]
                    kept[row][at] = True
                    yield from _with(sample, mask=tuple(map(tuple, kept)))


def _with(sample: Sample, **changes: Any) -> Iterator[Sample]:
    """Yield the sample with changes, if it is valid and differs; given states of removed LSTMs are left out."""
    spec: Graph = changes.get("spec", sample.spec)
    changes.setdefault("states", tuple(name for name in sample.states if name in spec.recurrent))
    changed_sample = dataclasses.replace(sample, **changes)
    trainable = changed_sample.loss is None or spec.trainable_weights
    if changed_sample == sample or not trainable:
        return
    try:
        spec.with_open_sizes(changed_sample.batch, changed_sample.timesteps)
    except SpecError:  # too few timesteps for the window of a layer
        return
    yield changed_sample


def _rows(sample: Sample, batch: int) -> Iterator[Sample]:
    if not 1 <= batch < sample.batch:
        return
    fixed = any(layer.batch_size is not None for layer in sample.spec.inputs.values())
    spec = _sized(sample.spec, lambda layer: {"batch_size": batch}) if fixed else sample.spec
    if spec is not None:
        for part in (slice(batch), slice(-batch, None)):
            yield from _with(sample, spec=spec, batch=batch, mask=sample.mask and sample.mask[part])


def _timesteps(sample: Sample, timesteps: int) -> Iterator[Sample]:
    if not 1 <= timesteps < sample.timesteps:
        return

    def cut(layer: InputLayer) -> dict[str, Any]:
        known = (
            len(layer.shape)
            and layer.shape[0] == sample.timesteps
            and (len(layer.shape) == 2 or layer.dtype == "int32")
        )
        return {"shape": (timesteps, *layer.shape[1:])} if known else {}

    spec = _sized(sample.spec, cut)
    if spec is not None:
        for part in (slice(timesteps), slice(-timesteps, None)):
            mask = sample.mask and tuple(row[part] for row in sample.mask)
            yield from _with(sample, spec=spec, timesteps=timesteps, mask=mask)


def _sized(spec: Graph, change: Callable[[InputLayer], dict[str, Any]]) -> Graph | None:
    layers = [
        dataclasses.replace(layer, **change(layer)) if isinstance(layer, InputLayer) else layer for layer in spec.layers
    ]
    return changed(spec, layers=tuple(layers))


def _fewer_layers(spec: Graph) -> Iterator[Graph]:
    """Yield models with fewer calls or outputs."""
    graphs: list[Graph | None] = []
    if len(spec.outputs) > 1:
        graphs += [pruned(spec, spec.calls, (ref,)) for ref in spec.outputs]
    for index, call in enumerate(spec.calls):
        layer = spec.layer(call.layer)
        if isinstance(layer, InputLayer):
            continue
        whole = tuple(Ref(index, number) for number in range(layer.output_count))
        if not set(spec.outputs) <= set(whole):
            graphs.append(pruned(spec, spec.calls, whole))  # the model ends here
        for source in call.inputs:
            graphs.append(_bypassed(spec, index, source))
        if call.initial_state:
            calls = (*spec.calls[:index], dataclasses.replace(call, initial_state=()), *spec.calls[index + 1 :])
            graphs.append(pruned(spec, calls, spec.outputs))
    for graph in graphs:
        if graph is not None and graph.layer_inputs:  # an input alone is no model
            yield graph


def _bypassed(spec: Graph, index: int, source: Ref) -> Graph | None:
    """Return the model without a call; `source` replaces the first output of the call."""

    def instead(refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        return tuple(source if ref == Ref(index) else ref for ref in refs)

    calls = tuple(Call(call.layer, instead(call.inputs), instead(call.initial_state)) for call in spec.calls)
    return pruned(spec, calls, tuple(dict.fromkeys(instead(spec.outputs))))


def _simpler_layers(spec: Graph) -> Iterator[Graph]:
    """Yield models with one simpler or smaller layer."""
    for size in (2, 3, 4):
        yield from _sizes(spec, size)
    for index, layer in enumerate(spec.layers):
        for simpler in _simpler(layer):
            layers = (*spec.layers[:index], simpler, *spec.layers[index + 1 :])
            graph = changed(spec, layers=layers)
            if graph is not None:
                yield graph


def _sizes(spec: Graph, size: int) -> Iterator[Graph]:
    """Yield the model with size 1 in place of a size: of units, and of the features of inputs that must match them."""
    layers: list[Layer] = []
    for layer in spec.layers:
        wrapped = isinstance(layer, (Bidirectional, TimeDistributed))
        inner: Any = getattr(layer, "layer", layer)
        if isinstance(inner, InputLayer) and inner.shape and inner.shape[-1] == size and inner.dtype == "float32":
            inner = dataclasses.replace(inner, shape=(*inner.shape[:-1], 1))
        for name in UNITS:
            if getattr(inner, name, None) == size:
                inner = next(_valid(inner, **{name: 1}), inner)
        layers.append(dataclasses.replace(layer, layer=inner) if wrapped else inner)  # type: ignore[call-arg]
    graph = changed(spec, layers=tuple(layers))
    if graph is not None and graph != spec:
        yield graph


def _simpler(layer: Any) -> Iterator[Layer]:
    if isinstance(layer, InputLayer):
        yield from _inputs(layer)
        return
    if isinstance(layer, (Bidirectional, TimeDistributed)):
        yield dataclasses.replace(layer.layer, name=layer.name)
        if isinstance(layer, Bidirectional):
            yield dataclasses.replace(layer.directions["backward"], name=layer.name)
        for inner in _simpler(layer.layer):
            yield from _valid(layer, layer=inner)
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if field.name in SHRUNK:
            least = 2 if field.name == "input_dim" else 1  # a token that counts, and one that may not
            for size in dict.fromkeys((1, 2, value - 1)):
                if least <= size < value:
                    yield from _valid(layer, **{field.name: size})
        elif field.name == "kernel_size" and set(value) != {1}:
            yield from _valid(layer, kernel_size=1)
        elif field.name not in ("name", "layer") and field.default is not dataclasses.MISSING:
            default = "linear" if field.default is None and field.name == "activation" else field.default
            if value != default:
                yield from _valid(layer, **{field.name: field.default})


def _valid(layer: Any, /, **changes: Any) -> Iterator[Layer]:
    """Yield the layer with changes, if its arguments fit together."""
    try:
        changed_layer = dataclasses.replace(layer, **changes)
    except MultilstmError:
        return
    yield changed_layer


def _inputs(layer: InputLayer) -> Iterator[Layer]:
    if layer.batch_size is not None:
        yield dataclasses.replace(layer, batch_size=None)
    if layer.shape and layer.dtype == "float32":
        features = layer.shape[-1]
        for size in dict.fromkeys((1, 2, (features or 1) - 1)):
            if features is not None and 1 <= size < features:
                yield dataclasses.replace(layer, shape=(*layer.shape[:-1], size))
    if len(layer.shape) == 2 and layer.shape[0] is not None:
        yield dataclasses.replace(layer, shape=(None, *layer.shape[1:]))
