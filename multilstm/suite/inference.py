"""Inference models of an encoder-decoder with proof: decoding step by step gives the answers of the training model.

The reference executes the training model on whole sequences in float64. Then it executes the encoder once, and the
decoder on one timestep after the other. All outputs and the last states must be equal to 1e-12.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from multilstm.conversion.inference import InferenceGraphs, inference_graphs
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import ParityError, shown
from multilstm.files import LoadedModel
from multilstm.jobs.job import Answer, Batch, Job, Step
from multilstm.spec import Embedding, Graph
from multilstm.spec.arrays import Array
from multilstm.suite.hidden_masks import exercising_case

__all__ = ["InferenceModels", "proven_inference"]

TOLERANCE = 1e-12
KEPT = ("outputs", "states")


@dataclasses.dataclass(frozen=True)
class InferenceModels:
    """The two inference models of an encoder-decoder, each with its weights: `run`, `parity` and `convert` take them.

    Attributes:
        encoder: the model that runs once. Its outputs are the inputs `graphs.handed` of the decoder, in this order.
        decoder: the model that runs on one timestep after the other. Its last outputs are its next inputs
            `graphs.states`, in this order.
        graphs: both models without weights, with the names of the inputs and states.
        notes: sentences, without a full stop, on the use of the models and their differences from the training model.
        difference: the largest difference of an output or a state between decoding and the training model.
        timesteps: the number of timesteps that were decoded.
    """

    encoder: LoadedModel
    decoder: LoadedModel
    graphs: InferenceGraphs
    notes: tuple[str, ...]
    difference: float
    timesteps: int

    @property
    def parts(self) -> dict[str, LoadedModel]:
        """Both models by `encoder` and `decoder`."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def sentence(self) -> str:
        """The proof in one sentence."""
        return (
            f"Decoding {self.timesteps} timesteps one by one gives the outputs and states of the training model, to "
            f"{self.difference:.1e} in float64."
        )


def proven_inference(model: LoadedModel) -> InferenceModels:
    """Cut the training model of an encoder-decoder into its two inference models, and prove them.

    Args:
        model: the training model; without weights, it gets random ones.

    Raises:
        UnsupportedError: for a model without such a border; see `inference_graphs`.
        ParityError: if decoding step by step gives other answers.
        InputError: for weights that do not fit.
    """
    spec, graphs = model.spec, inference_graphs(model.spec)
    case = exercising_case(spec, weights=model.weights)
    numbers = case.initial_weights
    inputs = dict(next(case.forward.batches()).inputs)
    inputs |= {name: _kept(spec, name, inputs[name]) for name in graphs.tokens}
    timesteps = inputs[graphs.tokens[0]].shape[1]
    difference = _difference(spec, _decoded(graphs, numbers, inputs), _forced(spec, graphs, numbers, inputs))
    encoder, decoder = (
        _part(model, name, graph, numbers) for name, graph in (("encoder", graphs.encoder), ("decoder", graphs.decoder))
    )
    return InferenceModels(encoder, decoder, graphs, tuple(graphs.notes(spec)), difference, timesteps)


def _part(model: LoadedModel, name: str, graph: Graph, weights: Mapping[str, Array]) -> LoadedModel:
    """Return the encoder or the decoder of a training model, with its weights and its origin."""
    origin = dataclasses.replace(model.provenance, format=f"{model.provenance.format}, cut to its {name}")
    return LoadedModel(graph, {name: weights[name] for name in graph.weight_shapes}, origin)


def _forced(
    spec: Graph, graphs: InferenceGraphs, weights: Mapping[str, Array], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the outputs and last states of the training model that the decoder has too (teacher forcing)."""
    answer = _run(spec, weights, inputs)
    desired = {f"output {number}": answer.outputs[number] for number in graphs.outputs}
    return desired | {name: getattr(answer.states[layer], kind) for name, (layer, kind) in graphs.states.items()}


def _decoded(graphs: InferenceGraphs, weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the outputs and last states of the encoder, then the decoder on one timestep after the other."""
    encoded = _run(graphs.encoder, weights, {name: inputs[name] for name in graphs.encoder.inputs})
    carried = dict(zip(graphs.handed, encoded.outputs, strict=True))
    batch = len(next(iter(inputs.values())))
    carried |= {name: np.zeros((batch, graphs.decoder.inputs[name].shape[0] or 0)) for name in graphs.fresh}
    steps: list[tuple[Array, ...]] = []
    for timestep in range(inputs[graphs.tokens[0]].shape[1]):
        given = {
            name: inputs[name][:, timestep : timestep + 1] if name in graphs.tokens else carried.get(name)
            for name in graphs.decoder.inputs
        }
        feed = {name: inputs[name] if array is None else array for name, array in given.items()}
        outputs = _run(graphs.decoder, weights, feed).outputs
        steps.append(outputs[: len(graphs.outputs)])
        carried |= dict(zip(graphs.states, outputs[len(graphs.outputs) :], strict=True))
    joined = {
        f"output {number}": _joined(graphs.decoder, place, [step[place] for step in steps])
        for place, number in enumerate(graphs.outputs)
    }
    return joined | {name: carried[name] for name in graphs.states}


def _joined(decoder: Graph, place: int, steps: Sequence[Array]) -> Array:
    """Return an output of the decoder for all timesteps; the last one, where it has no axis of timesteps."""
    has_timesteps = decoder.tensor_shapes[decoder.outputs[place]][1] is None
    return np.concatenate(steps, axis=1) if has_timesteps else steps[-1]


def _kept(spec: Graph, name: str, array: Array) -> Array:
    """Return inputs of the decoder that no layer masks: tokens with 1 in place of a padding 0, or random numbers."""
    if not np.issubdtype(array.dtype, np.integer):
        return np.random.default_rng(0).normal(size=array.shape).astype(array.dtype)
    masks = any(layer.mask_zero and layer.input_dim > 1 for layer in spec.readers(Embedding).get(name, ()))
    return np.where(array == 0, array.dtype.type(1), array) if masks else array


def _run(spec: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> Answer:
    needed = {name: np.asarray(weights[name], np.float64) for name in spec.weight_shapes}
    step = Step("forward", Batch(inputs), reset=True, keep=KEPT)
    return Executor(ReferenceEngine()).execute(Job(spec, needed, (step,), dtype="float64")).answers[0]


def _difference(spec: Graph, actual: Mapping[str, Array], desired: Mapping[str, Array]) -> float:
    largest = 0.0
    for name, array in desired.items():
        difference = float(np.max(np.abs(actual[name] - array), initial=0.0))
        if not difference <= TOLERANCE * max(1.0, float(np.max(np.abs(array), initial=0.0))):
            raise ParityError(
                f"inference models of {shown(spec.name)}: decoding step by step differs from the training model in "
                f"{shown(name)} by {difference:.1e}; expected at most {TOLERANCE:.0e}"
            )
        largest = max(largest, difference)
    return largest
