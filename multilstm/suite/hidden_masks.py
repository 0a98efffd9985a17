"""Masking layers behind other layers: the inputs that make them act, and the ones that never did in a run.

A Masking that reads an input of the model masks planned timesteps. Behind other layers it acts only where they give
exactly its mask_value, as a relu gives zeros. A search over input vectors finds such timesteps, if there are any.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from multilstm.cases.case import Case
from multilstm.cases.model_case import BATCH, LARGEST, ROWS, model_case, unreached_maskings
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import Graph, Layer, Masking, Ref
from multilstm.spec.arrays import Array
from multilstm.spec.layers import InnerModel
from multilstm.spec.subgraph import pruned

TRIED = 512  # input vectors; half of the units of a relu are zero, so vectors that close up to eight of them are found
NEAR = (0.98, 1.0, 1.02)  # factors of a vector that must all be masked: no engine's rounding may decide it


def exercising_case(
    spec: Graph,
    batch: int = BATCH,
    timesteps: int | None = None,
    weights: Mapping[str, Array] | None = None,
    rows: tuple[str, ...] = ROWS,
) -> Case:
    """Return the case of `model_case`, in which Masking layers behind other layers act where a search finds inputs.

    Args:
        spec: the model.
        batch: the number of sequences in a batch, where the model leaves it open.
        timesteps: the length of the sequences, where the model leaves it open; None: `enough_timesteps`.
        weights: every weight by `layer/weight`; None: random ones.
        rows: see `ModelInputs`.

    Raises:
        UsageError: see `model_case`.
        InputError: see `model_case`.
    """
    case = model_case(spec, batch, timesteps, weights, rows=rows)
    if spec.opaque or not unreached_maskings(spec):  # the search needs the reference
        return case
    return model_case(spec, batch, timesteps, weights, masking_vectors(spec, case.initial_weights), rows)


def masking_vectors(spec: Graph, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return input vectors that Masking layers behind other layers mask, by input; those that were found.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`.
    """
    vectors: dict[str, Array] = {}
    for name in unreached_maskings(spec):
        part, value = _before(spec, name)
        if part is None or len(part.inputs) != 1 or "/" in name:  # a model inside: its inputs are not searched
            continue
        (source, layer), *_ = part.inputs.items()
        if len(layer.shape) != 2 or layer.dtype == "int32" or layer.batch_size or source in vectors:
            continue
        vector = _vector(part, weights, source, value)
        if vector is not None:
            vectors[source] = vector
    return vectors


def idle_masks(case: Case) -> tuple[str, ...]:
    """Return the Masking layers behind other layers that mask no timestep in the batches of a case."""
    idle: list[str] = []
    for name in () if case.spec.opaque else unreached_maskings(case.spec):
        part, value = _before(case.spec, name)
        if part is None or not any(_masked(part, case.initial_weights, b, value).any() for b in case.forward.batches()):
            idle.append(name)
    return tuple(idle)


def _before(spec: Graph, name: str) -> tuple[Graph | None, float]:
    """Return the model whose output is the input of a Masking, and the mask_value."""
    first, _, rest = name.partition("/")
    number, call = next((number, call) for number, call in enumerate(spec.calls) if call.layer == first)
    layer = spec.layer(first)
    if layer.inner_model is None:
        assert isinstance(layer, Masking)
        return pruned(spec, spec.calls, call.inputs[:1]), layer.mask_value
    inside, value = _before(layer.inner_model.model, rest)
    whole = pruned(spec, spec.calls, (Ref(number),))
    if inside is None or whole is None:
        return None, value

    def shortened(part: Layer) -> Layer:
        return InnerModel(inside) if isinstance(part, InnerModel) else part.with_inner(shortened)

    layers = tuple(shortened(part) if part.name == first else part for part in whole.layers)
    return dataclasses.replace(whole, layers=layers), value


def _vector(part: Graph, weights: Mapping[str, Array], source: str, value: float) -> Array | None:
    """Return the first input vector that is masked in every timestep, also if it is scaled a little."""
    timesteps, features = part.inputs[source].shape
    rng = np.random.default_rng(0)
    tried = rng.uniform(-LARGEST, LARGEST, (TRIED, int(features or 1))).astype(np.float32)
    tried[:3] = [[0.0], [LARGEST], [-LARGEST]]
    masked = np.ones(TRIED, bool)
    for factor in NEAR:
        sequences = np.repeat((factor * tried)[:, None], timesteps or 1, axis=1)
        masked &= _masked(part, weights, Batch({source: sequences}), value).all(axis=1)
    return tried[masked.argmax()] if masked.any() else None


def _masked(part: Graph, weights: Mapping[str, Array], batch: Batch, value: float) -> Array:
    """Return the timesteps of the part's output that equal the mask_value, boolean `[batch, timesteps]`."""
    equal: Array = (output_of(part, weights, batch) == value).all(axis=-1)
    return equal


def output_of(part: Graph, weights: Mapping[str, Array], batch: Batch) -> Array:
    """Return the only output of a part of a model in float64, for one batch of the model.

    Args:
        part: a model of some calls of the whole one.
        weights: every weight of the whole model by `layer/weight`.
        batch: inputs, masks and states of the whole model.
    """
    inputs = {name: batch.inputs[name] for name in part.inputs}
    needed = {name: np.asarray(weights[name], np.float64) for name in part.weight_shapes}
    masks = {name: mask for name, mask in batch.masks.items() if name in inputs}
    states = {name: state for name, state in batch.states.items() if name in part.recurrent}
    step = Step("forward", Batch(inputs, masks=masks, states=states), reset=True, keep=("outputs",))
    (output,) = Executor(ReferenceEngine()).execute(Job(part, needed, (step,), dtype="float64")).answers[0].outputs
    return output
