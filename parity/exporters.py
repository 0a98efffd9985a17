"""Audits other exporters of LSTM models: every result is executed at several sizes and masks, and compared.

    python parity/exporters.py --python torch=/venvs/torch/bin/python --python tensorflow=/venvs/tf/bin/python \
        --table docs/recorded/exporters.csv

An exporter runs in the Python of its environment, see `EXPORTERS`, with the models of the catalogue in `MODELS`. Each
model is exported with free axes of batch and time, and with fixed ones. The result is executed in float32 and compared
with the float64 reference. docs/reference/exporters.md has the recorded run. The exit code is 0: other people's faults
are the result.
"""

from __future__ import annotations

import csv
import dataclasses
import io
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
from multilstm.conversion.torch.target import TORCH
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import MultilstmError, UsageError, choice
from multilstm.jobs.job import Batch, Job, Step
from multilstm.report.files import write_text
from multilstm.spec import Embedding, Graph, InputLayer, Layer, Masking, to_json

CHILD = pathlib.Path(__file__).with_name("exporters_child.py")
TIMEOUT_S = 180
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
        for label in models:
            for axes in AXES:
                row = audited(name, label, axes, pythons[EXPORTERS[name].environment])
                rows[name, label, axes] = row
                say(" | ".join(row[:7]))
        if table != "-":  # the rows stay if the program is stopped
            write_text(table, _csv(rows))
    if table == "-":
        write_text(table, _csv(rows))
    return 0


def audited(exporter: str, label: str, axes: str, python: str) -> tuple[str, ...]:
    """Return the row of one export.

    Args:
        exporter: a name of `EXPORTERS`.
        label: a name of `MODELS`.
        axes: `free` or `fixed`.
        python: the Python of its environment.
    """
    case = catalogue()[MODELS[label]]
    spec = case.spec.with_layers(_opened)
    batches = dict(_batches(spec))
    desired = {name: _reference(spec, case.initial_weights, batch) for name, batch in batches.items()}
    exported = spec.with_open_sizes(*BUILT) if axes == "fixed" else spec
    row = EXPORTERS[exporter]
    try:
        asked = _asked(exported, case.initial_weights, row)
    except MultilstmError as error:
        return (exporter, label, axes, "no module", "", "", str(error).splitlines()[0][:200], "")
    asked["runs"] = {
        name: [
            {"values": array.tolist(), "dtype": spec.inputs[place].dtype} for place, array in batch.inputs.items()
        ]
        for name, batch in batches.items()
    }  # fmt: skip
    return (exporter, label, axes, *_judged(_executed(asked, row, python), desired))


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
    """Return the message to the child: a configuration of Keras, or a module that multilstm wrote."""
    inputs = [
        {"shape": [layer.batch_size, *layer.shape], "dtype": layer.dtype} for layer in spec.inputs.values()
    ]  # fmt: skip
    asked: dict[str, Any] = {"exporter": row.program, "inputs": inputs}
    if row.backend:
        by_layer: dict[str, list[Any]] = {}
        for name in spec.weight_shapes:
            by_layer.setdefault(name.split("/")[0], []).append(np.asarray(weights[name]).tolist())
        return {**asked, "config": to_json(spec), "weights": by_layer}
    target = FLAX_NNX if row.program == "jax2onnx" else TORCH
    files = target.files(spec, {name: np.asarray(array, "float32") for name, array in weights.items()}, None)
    arrays = load(files[".safetensors"])
    parameters = {name: np.asarray(array).tolist() for name, array in arrays.items()}
    return {**asked, "source": files[".py"].decode(), "parameters": parameters}


def _executed(asked: Mapping[str, Any], row: Exporter, python: str) -> dict[str, Any]:
    """Return the child's answer; a crash and a time-out are refusals."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "asked.json"
        path.write_text(json.dumps(asked), encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"KERAS_BACKEND": row.backend or "torch", "KERAS_HOME": folder, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [python, str(CHILD), str(path), folder]
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return {"refused": f"no end after {TIMEOUT_S} s", "versions": {}}
        answer = pathlib.Path(folder) / "answer.json"
        if not answer.exists():
            lines = done.stderr.strip().splitlines() or [""]
            return {"refused": f"ended with {done.returncode}: {lines[-1][:200]}", "versions": {}}
        return dict(json.loads(answer.read_text(encoding="utf-8")))


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
    """Return the sizes that raise an error, and the first error."""
    return f"{', '.join(errors)}: {next(iter(errors.values()))}"[:300] if errors else ""


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
