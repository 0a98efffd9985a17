"""`multilstm convert`."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

from multilstm.cli.console import result_console
from multilstm.cli.model_files import read_files
from multilstm.cli.types import Flag, OptionalWholeNumber, Path

if TYPE_CHECKING:
    from rich.console import Console

    from multilstm.conversion.target import Target
    from multilstm.files import LoadedModel


def convert(
    model: str,
    out: str,
    /,
    *,
    to: str | None = None,
    weights: Path = None,
    architecture: Path = None,
    opset: OptionalWholeNumber = None,
    inference: Flag = False,
) -> int:
    """Convert a model into another framework, and prove that the result gives the same answers.

    The result is executed first, and compared with the reference. If it does not agree, nothing is written. Next to
    OUT, the file OUT.proof.json has the comparison. For PyTorch, OUT.py is an `nn.Module`, and OUT.safetensors its
    state dict. For Flax, Equinox and Haiku, they are a module and its parameters. For multilstm.scan, OUT.py loads
    OUT.json and OUT.safetensors. For ONNX, OUT.onnx serves inference. For Keras, OUT.keras is what Keras itself saves,
    with optimizer and loss if the model has them. For Keras 2, OUT.h5 is what tf-keras saves. For TensorFlow 1, OUT.py
    builds the graph, and OUT.npz holds its variables.

    Parameters
    ----------
    model
        A model file, or `module:function`. Without weights, it gets random ones.
    out
        The main file of the result, such as `port.py` or `port.onnx`.
    to
        The framework or format: `torch`, `flax-nnx`, `flax-linen`, `equinox`, `haiku`, `scan`, `onnx`, `keras`,
        `keras2` or `tf1`. Default: by the suffix of OUT.
    weights
        The file of the weights, where the model's file holds none.
    architecture
        The file of the architecture, where the model's file holds weights alone.
    opset
        For ONNX: the version of its operators, 14 to 22. Default: 17.
    inference
        Write the two inference models of an encoder-decoder that was trained with teacher forcing: for `port.keras`,
        the files `port_encoder.keras` and `port_decoder.keras`.
    """
    from multilstm.cli.progress import ProgressLines
    from multilstm.files import PROOF, check_outputs, load_model, outputs_beside
    from multilstm.files.compiled import compiled
    from multilstm.report.words import printable
    from multilstm.suite.conversion import convert_model
    from multilstm.suite.targets import target_for, with_opset

    target = with_opset(target_for(out, to), opset)
    read = read_files(model, weights=weights, architecture=architecture)
    mains = {f"OUT's {part}": _beside(out, part) for part in PARTS} if inference else {"OUT": out}
    outputs = [outputs_beside(path, [*target.further, PROOF], name) for name, path in mains.items()]
    check_outputs({name: path for files in outputs for name, path in files.items()}, read)
    loaded = load_model(model, weights, architecture)
    console = result_console(None)
    if inference:
        return _inference_models(loaded, target, out, console)
    with ProgressLines(console) as progress:
        conversion = convert_model(loaded.spec, loaded.weights, target, progress, compiled(loaded))
    lines = [conversion.report.sentence]
    lines += [] if loaded.weights is not None else ["The model has no weights: those of the file are random."]
    lines += [f"Note: {note}." for note in (*loaded.provenance.notes, *conversion.notes)]
    lines.append(f"Written: {', '.join(map(str, conversion.save(out)))}")
    for line in lines:
        console.print(printable(line), markup=False)
    return 0


PARTS = ("encoder", "decoder")


def _beside(out: str, part: str) -> str:
    """Return the path of the encoder or the decoder: `port_encoder.keras` of `port.keras`."""
    path = pathlib.Path(out)
    return os.fspath(path.with_name(f"{path.stem}_{part}{path.suffix}"))


def _inference_models(loaded: LoadedModel, target: Target, out: str, console: Console) -> int:
    """Write the inference models of an encoder-decoder, both or none."""
    from multilstm.cli.progress import ProgressLines
    from multilstm.report.words import printable
    from multilstm.suite.conversion import convert_model
    from multilstm.suite.inference import proven_inference

    models = proven_inference(loaded)
    conversions = {}
    for part, model in models.parts.items():
        with ProgressLines(console) as progress:
            conversions[part] = convert_model(model.spec, model.weights, target, progress)
    lines = [models.sentence]
    lines += [] if loaded.weights is not None else ["The model has no weights: those of the files are random."]
    lines += [f"Note: {note}." for note in (*loaded.provenance.notes, *models.notes)]
    for part, conversion in conversions.items():
        lines.append(f"{part.capitalize()}: {conversion.report.sentence}")
        lines += [f"Note: {note}." for note in conversion.notes]
        lines.append(f"Written: {', '.join(map(str, conversion.save(_beside(out, part))))}")
    for line in lines:
        console.print(printable(line), markup=False)
    return 0
