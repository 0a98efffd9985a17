"""Inference models of an encoder-decoder with proof: decoding step by step gives the answers of the training model.

The reference executes the training model on whole sequences in float64. Then it executes the encoder once, and the
decoder on one timestep after the other. All outputs and the last states must be equal to 1e-12.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from multilstm.conversion.inference import InferenceModels, inference_models
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import ParityError, shown
from multilstm.jobs.job import Answer, Batch, Job, Step
from multilstm.spec import Embedding, Graph
from multilstm.spec.arrays import Array
from multilstm.suite.hidden_masks import exercising_case

__all__ = ["ProvenInference", "proven_inference"]

TOLERANCE = 1e-12
KEPT = ("outputs", "states")


@dataclasses.dataclass(frozen=True)
class ProvenInference:
    """The inference models of a training model, and their proof.

    Attributes:
        models: encoder and decoder.
        weights: every weight of the training model by `layer/weight`.
        difference: the largest difference of an output or a state between decoding and the training model.
        timesteps: the number of timesteps that were decoded.
    """

    models: InferenceModels
    weights: Mapping[str, Array]
    difference: float
    timesteps: int

    @property
    def parts(self) -> dict[str, Graph]:
        """Both models by `encoder` and `decoder`."""
        return {"encoder": self.models.encoder, "decoder": self.models.decoder}

    def weights_of(self, part: str) -> dict[str, Array]:
        """Return the weights of the encoder or the decoder by `layer/weight`."""
        return {name: self.weights[name] for name in self.parts[part].weight_shapes}

    @property
    def sentence(self) -> str:
        """The proof in one sentence."""
        return (
            f"Decoding {self.timesteps} timesteps one by one gives the outputs and states of the training model, to "
            f"{self.difference:.1e} in float64."
        )


def proven_inference(spec: Graph, weights: Mapping[str, Array] | None = None) -> ProvenInference:
    """Cut the training model of an encoder-decoder into its two inference models, and prove them.

    Args:
        spec: the training model.
        weights: every weight by `layer/weight`; None: random ones.

    Raises:
        UnsupportedError: for a model without such a border; see `inference_models`.
        ParityError: if decoding step by step gives other answers.
        InputError: for weights that do not fit.
    """
    models = inference_models(spec)
    case = exercising_case(spec, weights=weights)
    numbers = case.initial_weights
    inputs = dict(next(case.forward.batches()).inputs)
    inputs |= {name: _kept(spec, name, inputs[name]) for name in models.tokens}
    desired = _run(spec, numbers, inputs)
    encoded = _run(models.encoder, numbers, {name: inputs[name] for name in models.encoder.inputs})
    carried = dict(zip(models.handed, encoded.outputs, strict=True))
    batch = len(next(iter(inputs.values())))
    carried |= {name: np.zeros((batch, models.decoder.inputs[name].shape[0] or 0)) for name in models.fresh}
    steps: list[tuple[Array, ...]] = []
    timesteps = inputs[models.tokens[0]].shape[1]
    for timestep in range(timesteps):
        given = {
            name: inputs[name][:, timestep : timestep + 1] if name in models.tokens else carried.get(name)
            for name in models.decoder.inputs
        }
        feed = {name: inputs[name] if array is None else array for name, array in given.items()}
        outputs = _run(models.decoder, numbers, feed).outputs
        steps.append(outputs[: len(models.outputs)])
        carried |= dict(zip(models.states, outputs[len(models.outputs) :], strict=True))
    actual = {
        f"output {number}": _joined(models.decoder, place, [step[place] for step in steps])
        for place, number in enumerate(models.outputs)
    }
    wanted = {f"output {number}": desired.outputs[number] for number in models.outputs}
    actual |= {name: carried[name] for name in models.states}
    wanted |= {name: getattr(desired.states[layer], kind) for name, (layer, kind) in models.states.items()}
    return ProvenInference(models, numbers, _difference(spec, actual, wanted), timesteps)


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
