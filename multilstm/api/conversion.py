"""Models in other formats, with proof: `convert`, `inference_models` of an encoder-decoder, and `migrate`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from multilstm.api.arguments import model_in
from multilstm.errors import UsageError
from multilstm.files import AnyModel, LoadedModel, Provenance, load, resolved
from multilstm.files.compiled import Compiled, OptimizerState, compiled
from multilstm.migration import Migration, migrate_model
from multilstm.spec.arrays import Array
from multilstm.suite.conversion import Conversion, convert_model
from multilstm.suite.inference import InferenceModels, proven_inference
from multilstm.suite.targets import target_named, with_opset
from multilstm.weights.layout import check_weights

__all__ = ["convert", "inference_models", "migrate"]


def convert(
    model: AnyModel, to: str = "torch", *, weights: Mapping[str, Array] | None = None, opset: int | None = None
) -> Conversion:
    """Convert a model into another framework, and prove that the result gives the same answers.

    The converted files are executed in a process of their own. Outputs, sequences and states, and gradients where the
    files have them, are compared with the float64 reference, in float32 and float64.

    Args:
        model: as in `run`.
        to: the framework or format. `torch`: an `nn.Module` and its state dict. `flax-nnx` and `flax-linen`: a module
            and its parameters; `equinox` and `haiku` too. `scan`: a program, the model and its weights. `onnx`: a
            file for inference. `keras`: a `.keras` file with its training. `keras2`: a file of Keras 2. `tf1`: code of
            TensorFlow 1 and its variables.
        weights: every weight by `layer/weight`; None: those of a loaded model, or else random ones.
        opset: for ONNX, the version of its operators, 14 to 22; None: 17.

    Returns:
        Files, comparison and notes; `save(path)` writes them.

    Raises:
        UnsupportedError: for a layer or an option that the framework lacks.
        ParityError: if the files give other answers.
        InputError: if the weights do not fit the spec.
        UsageError: for an unknown framework, and for an opset that does not fit.
        EngineUnavailableError: if the framework is not installed.
    """
    target, source = with_opset(target_named(to), opset), resolved(model)
    given = compiled(source) if isinstance(source, LoadedModel) else Compiled()
    if weights is not None:  # the arrays of the optimizer belong to the weights of the file
        given = dataclasses.replace(given, state=OptimizerState())
    spec, weights = model_in(source, weights)
    if weights is not None:
        check_weights(spec, weights)
    return convert_model(spec, weights, target, compiled=given)


def inference_models(model: AnyModel, *, weights: Mapping[str, Array] | None = None) -> InferenceModels:
    """Cut an encoder-decoder that was trained with teacher forcing into its two inference models, and prove them.

    The encoder runs once, and the decoder on one timestep after the other. The reference decodes random sequences in
    float64: outputs and last states must equal those of the training model to 1e-12.

        >>> models = inference_models("training.keras")
        >>> convert(models.encoder, "onnx").save("port_encoder.onnx")
        >>> convert(models.decoder, "onnx").save("port_decoder.onnx")

    Args:
        model: the training model, as in `run`.
        weights: every weight by `layer/weight`; None: those of a loaded model, or else random ones.

    Returns:
        Encoder and decoder with their weights, the names of the tensors between them, notes, and the proof.

    Raises:
        UnsupportedError: for a model without such a border, and for a layer of the decoder that needs more than one
            timestep. The message names the layer and the reason.
        ParityError: if decoding step by step gives other answers.
        InputError: if the weights do not fit the spec.
    """
    source = resolved(model)
    spec, weights = model_in(source, weights)
    if weights is not None:
        check_weights(spec, weights)
    origin = source.provenance if isinstance(source, LoadedModel) else Provenance("a spec", "multilstm")
    return proven_inference(LoadedModel(spec, weights, origin))


def migrate(
    path: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    keras_version: str | None = None,
    updates: int = 100,
) -> Migration:
    """Translate a model file of Keras 1 or 2 into a `.keras` file of Keras 3 that means the same, and prove it.

    Args:
        path: the model: HDF5, or the JSON of `model.to_json()`.
        weights: the file of the weights, where `path` holds none.
        keras_version: the version of Keras that wrote the model, such as `2.2.4`, where the file does not state it.
        updates: the number of updates with the optimizer of the file that are compared, if it has one.

    Returns:
        The file, the changes of meaning that touch the model, and the comparisons; `save(path)` writes the file.

    Raises:
        UsageError: for a model of Keras 3 or of another program, or of an unknown version.
        InputError: for a file that cannot be read.
        SpecError: for a layer or an option that multilstm does not execute.
        ParityError: if the new file gives other answers.
        EngineUnavailableError: if Keras or PyTorch is not installed.
    """
    if updates < 1:
        raise UsageError(f"updates must be at least 1, given {updates}")
    return migrate_model(load(path, weights, keras_version=keras_version), updates)
