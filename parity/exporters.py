"""Audits other exporters of LSTM models: every result is executed at several sizes and masks, and compared.

    python parity/exporters.py --python torch=/venvs/torch/bin/python --python tensorflow=/venvs/tf/bin/python \
        --table docs/recorded/exporters.csv

An exporter runs in the Python of its environment, see `EXPORTERS`, with the models of the catalogue in `MODELS`. Each
model is exported with free axes of batch and time, and with fixed ones. The result is executed in float32 and compared
with the float64 reference. docs/reference/exporters.md has the recorded run. The exit code is 0: other people's faults
are the result.
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import itertools
import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from cyclopts import App
from safetensors.numpy import load

from multilstm.cases.catalogue import catalogue
from multilstm.cli.app import run
from multilstm.cli.progress import say
from multilstm.cli.types import FilePath, OptionalNames, names
from multilstm.conversion.flax.target import FLAX_NNX
from multilstm.conversion.onnx.target import ONNX
from multilstm.conversion.torch.target import TORCH
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import MultilstmError, UsageError, choice
from multilstm.jobs.job import Batch, Job, Step
from multilstm.report.files import write_text
from multilstm.spec import Embedding, Graph, InputLayer, Layer, Masking, to_json

CHILD = pathlib.Path(__file__).with_name("exporters_child.py")
TIMEOUT_S = 60  # for each export
TOLERANCE = 1e-5  # of outputs below 1 in float32; a wrong gate, mask or order changes them by more than 1e-3
BUILT = (3, 7)  # batch and timesteps of a model with fixed axes
SIZES = (BUILT, (3, 12), (3, 2), (1, 7))
MASKS = ("none", "right", "left", "holes")
AXES = ("free", "fixed")
HEAD = ("exporter", "model", "axes", "verdict", "nodes", "wrong", "errors", "packages")

MODELS = {
    "lstm": "option-return_sequences",
    "last output": "option-return_state",
    "three layers": "model-layers_3",
    "go_backwards": "issue-tensorflow-40345-order_of_go_backwards",
    "hard_sigmoid": "option-recurrent_activation-hard_sigmoid",
    "encoder and decoder": "model-encoder_decoder",
    "bidirectional": "model-encoder_decoder_bidirectional",
    "masking": "model-masking-mask-right",
    "embedding": "model-embedding-mask-right",
    "masked bidirectional": "model-embedding_bidirectional-mask-right",
}


class Exporter(NamedTuple):
    """One exporter.

    Attributes:
        environment: the name of `--python`.
        program: the function of exporters_child.py.
        backend: of Keras; empty for modules that multilstm wrote.
    """

    environment: str
    program: str
    backend: str = ""


EXPORTERS = {
    "Keras to ONNX, TensorFlow": Exporter("tensorflow", "keras-onnx", "tensorflow"),
    "Keras to ONNX, JAX": Exporter("torch", "keras-onnx", "jax"),
    "Keras to ONNX, PyTorch": Exporter("torch", "keras-onnx", "torch"),
    "Keras to OpenVINO, TensorFlow": Exporter("tensorflow", "keras-openvino", "tensorflow"),
    "Keras to OpenVINO, PyTorch": Exporter("torch", "keras-openvino", "torch"),
    "Keras to LiteRT, TensorFlow": Exporter("tensorflow", "keras-litert", "tensorflow"),
    "Keras to LiteRT, PyTorch": Exporter("litert", "keras-litert", "torch"),
    "torch.onnx, dynamo": Exporter("torch", "torch.onnx-dynamo"),
    "torch.onnx, TorchScript": Exporter("torch", "torch.onnx-torchscript"),
    "jax2onnx of Flax nnx": Exporter("torch", "jax2onnx"),
    "multilstm convert": Exporter("torch", "file"),
}

app = App(name="python parity/exporters.py", help=__doc__.split("\n\n")[0], help_format="markdown")


@app.default
def exporters(
    *, python: OptionalNames = None, exporter: OptionalNames = None, model: OptionalNames = None, table: FilePath = "-"
) -> int:
    """Audit exporters.

    Parameters
    ----------
    python
        The Python of an environment: `torch=PATH`, `tensorflow=PATH`, `litert=PATH`.
    exporter
        Exporters to audit. Default: those with an environment.
    model
        Models to export. Default: all.
    table
        Write the results to this CSV file, whose other rows stay; `-` is standard output.
    """
    pythons = dict(entry.partition("=")[::2] for entry in names("--python", python))
    chosen = names("--exporter", exporter) or [n for n, row in EXPORTERS.items() if row.environment in pythons]
    models = names("--model", model) or tuple(MODELS)
    for name, known in [*((name, EXPORTERS) for name in chosen), *((name, MODELS) for name in models)]:
        if name not in known:
            raise UsageError(choice("name", name, known))
    rows = _rows(table)
    for name in chosen:
        if EXPORTERS[name].environment not in pythons:
            raise UsageError(f"{name}: give its Python, --python {EXPORTERS[name].environment}=PATH")
        for row in audited(name, models, pythons[EXPORTERS[name].environment]):
            rows[row[0], row[1], row[2]] = row
            say(" | ".join(row[:7]))
        if table != "-":  # the rows stay if the program is stopped
            write_text(table, _csv(rows))
    if table == "-":
        write_text(table, _csv(rows))
    return 0


class Export(NamedTuple):
    """One export: the message to the child, and the reference's outputs by run."""

    label: str
    axes: str
    asked: dict[str, Any]
    desired: dict[str, tuple[np.ndarray, ...]]


def audited(exporter: str, labels: Sequence[str], python: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of an exporter.

    Args:
        exporter: a name of `EXPORTERS`.
        labels: names of `MODELS`.
        python: the Python of its environment.
    """
    row, exports = EXPORTERS[exporter], []
    for label, axes in itertools.product(labels, AXES):
        try:
            exports.append(_export(label, axes, row))
        except MultilstmError as error:
            yield exporter, label, axes, "no module", "", "", str(error).splitlines()[0][:200], ""
    answers = _executed([export.asked for export in exports], row, python)
    for export, answer in zip(exports, answers, strict=True):
        yield exporter, export.label, export.axes, *_judged(answer, export.desired)


def _export(label: str, axes: str, row: Exporter) -> Export:
    case = catalogue()[MODELS[label]]
    spec = case.spec.with_layers(_opened)
    batches = dict(_batches(spec))
    desired = {name: _reference(spec, case.initial_weights, batch) for name, batch in batches.items()}
    exported = spec.with_open_sizes(*BUILT) if axes == "fixed" else spec
    asked = _asked(exported, case.initial_weights, row)
    asked["runs"] = {
        name: [{"values": array.tolist(), "dtype": spec.inputs[place].dtype} for place, array in batch.inputs.items()]
        for name, batch in batches.items()
    }
    return Export(label, axes, asked, desired)


def _opened(layer: Layer) -> Layer:
    """Return an input with any batch and any length."""
    if not isinstance(layer, InputLayer):
        return layer
    return dataclasses.replace(layer, batch_size=None, shape=(None, *layer.shape[1:]))


def _batches(spec: Graph) -> Iterator[tuple[str, Batch]]:
    """Yield a batch of every size and, where the model makes a mask, of every kind of mask."""
    masking = next((layer for layer in spec.layers if isinstance(layer, Masking)), None)
    embedding = next((layer for layer in spec.layers if isinstance(layer, Embedding)), None)
    masks = MASKS if masking or (embedding and embedding.mask_zero) else MASKS[:1]
    (name, layer), *_ = spec.inputs.items()
    for kind in masks:
        for batch, timesteps in SIZES:
            rng = np.random.default_rng(batch + 10 * timesteps)
            kept = _mask(kind, batch, timesteps)
            if embedding is not None:
                array = np.where(kept, rng.integers(1, embedding.input_dim, (batch, timesteps)), 0).astype("int32")
            else:
                array = rng.normal(size=(batch, timesteps, int(layer.shape[-1] or 1))).astype("float32")
                array[~kept] = masking.mask_value if masking else 0.0
            yield f"{batch}x{timesteps}" + (f", mask {kind}" if kind != "none" else ""), Batch({name: array})


def _mask(kind: str, batch: int, timesteps: int) -> np.ndarray:
    kept = np.ones((batch, timesteps), bool)
    for row in range(batch):
        count = 1 + row % max(1, timesteps - 1)
        if kind == "right":
            kept[row, timesteps - count :] = False
        elif kind == "left":
            kept[row, :count] = False
        elif kind == "holes":
            kept[row, row + 1 :: 2] = False
    return kept


def _reference(spec: Graph, weights: Mapping[str, Any], batch: Batch) -> tuple[np.ndarray, ...]:
    step = Step("forward", batch, reset=True, keep=("outputs",))
    return tuple(Executor(ReferenceEngine()).execute(Job(spec, weights, (step,), dtype="float64")).answers[0].outputs)


def _asked(spec: Graph, weights: Mapping[str, Any], row: Exporter) -> dict[str, Any]:
    """Return the message to the child: a configuration of Keras, or a module or a file that multilstm wrote."""
    inputs = [
        {"shape": [layer.batch_size, *layer.shape], "dtype": layer.dtype} for layer in spec.inputs.values()
    ]  # fmt: skip
    asked: dict[str, Any] = {"exporter": row.program, "inputs": inputs}
    if row.backend:
        by_layer: dict[str, list[Any]] = {}
        for name in spec.weight_shapes:
            by_layer.setdefault(name.split("/")[0], []).append(np.asarray(weights[name]).tolist())
        return {**asked, "config": to_json(spec), "weights": by_layer}
    if row.program == "file":
        assert ONNX.files is not None
        content = ONNX.files(spec, {name: np.asarray(array, "float32") for name, array in weights.items()})[".onnx"]
        return {**asked, "content": base64.b64encode(content).decode()}
    target = FLAX_NNX if row.program == "jax2onnx" else TORCH
    files = target.files(spec, {name: np.asarray(array, "float32") for name, array in weights.items()}, None)
    arrays = load(files[".safetensors"])
    parameters = {name: np.asarray(array).tolist() for name, array in arrays.items()}
    return {**asked, "source": files[".py"].decode(), "parameters": parameters}


def _executed(asked: list[dict[str, Any]], row: Exporter, python: str) -> list[dict[str, Any]]:
    """Return the child's answers; the entry at which it crashed or took too long is a refusal."""
    answers: list[dict[str, Any]] = []
    while len(answers) < len(asked):
        given, reason = _started(asked[len(answers) :], row, python)
        answers += given
        if len(answers) < len(asked):
            answers.append({"refused": reason, "versions": {}})
    return answers


def _started(asked: list[dict[str, Any]], row: Exporter, python: str) -> tuple[list[dict[str, Any]], str]:
    """Run one child, and return its answers and the reason of its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "asked.json"
        path.write_text(json.dumps(asked), encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"KERAS_BACKEND": row.backend or "torch", "KERAS_HOME": folder, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [python, str(CHILD), str(path), folder]
        limit = TIMEOUT_S * len(asked)
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit, check=False
            )
            reason = f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:200]}"
        except subprocess.TimeoutExpired:
            reason = f"no end after {limit} s"
        files = (pathlib.Path(folder) / f"{number}.json" for number in range(len(asked)))
        existing = itertools.takewhile(pathlib.Path.exists, files)
        return [json.loads(file.read_text(encoding="utf-8")) for file in existing], reason


def _judged(answer: Mapping[str, Any], desired: Mapping[str, Sequence[np.ndarray]]) -> tuple[str, ...]:
    """Return verdict, nodes, the wrong runs, the errors and the packages."""
    packages = " ".join(f"{name}=={version}" for name, version in answer["versions"].items())
    if "refused" in answer:
        return ("refused", "", "", answer["refused"], packages)
    wrong, errors = {}, {}
    for name, outputs in desired.items():
        got = answer["runs"][name]
        if "error" in got:
            errors[name] = got["error"]
            continue
        difference = _difference([np.asarray(array) for array in got["outputs"]], outputs)
        if not difference <= TOLERANCE:
            wrong[name] = difference
    if wrong:
        verdict = "wrong"
    elif not errors:
        verdict = "right"
    else:
        built = [name for name in desired if name.startswith("{}x{}".format(*BUILT))]
        verdict = "right at the built size" if not any(name in errors for name in built) else "error"
    nodes = " ".join(f"{count} {kind}" for kind, count in answer["nodes"].items())
    return (
        verdict, nodes, "; ".join(f"{name}: {_shown(value)}" for name, value in wrong.items()), _told(errors), packages
    )  # fmt: skip


def _difference(actual: Sequence[np.ndarray], desired: Sequence[np.ndarray]) -> float:
    """Return the largest difference of all outputs, whose order may differ; infinity for other shapes."""
    if len(actual) != len(desired):
        return float("inf")
    left = list(actual)
    largest = 0.0
    for array in desired:
        fits = [(float(np.max(np.abs(other - array))), k) for k, other in enumerate(left) if other.shape == array.shape]
        if not fits:
            return float("inf")
        difference, place = min(fits)
        left.pop(place)
        largest = max(largest, difference if np.isfinite(difference) else float("inf"))
    return largest


def _shown(difference: float) -> str:
    return f"{difference:.1e}" if np.isfinite(difference) else "another shape, or no number"


def _told(errors: Mapping[str, str]) -> str:
    """Return the number of runs that raise an error, the first of them, and its error."""
    return f"{len(errors)} runs, such as {next(iter(errors))}: {next(iter(errors.values()))}"[:300] if errors else ""


def _rows(table: str) -> dict[tuple[str, ...], Sequence[str]]:
    if table == "-" or not os.path.exists(table):
        return {}
    with open(table, encoding="utf-8") as file:
        return {tuple(row[:3]): row for row in list(csv.reader(file))[1:]}


def _csv(rows: Mapping[tuple[str, ...], Iterable[str]]) -> str:
    stream = io.StringIO()
    order = {name: place for place, name in enumerate((*EXPORTERS, *MODELS, *AXES))}
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows(rows[key] for key in sorted(rows, key=lambda key: [order[name] for name in key]))
    return stream.getvalue().rstrip()


if __name__ == "__main__":
    run(app)
