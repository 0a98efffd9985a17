"""ONNX Runtime on the file into which `multilstm.conversion` translates a model, forward only."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import final

import numpy as np
import onnxruntime

from multilstm.bench.contestants.base import AbstractContestant, Run, named_outputs
from multilstm.bench.contestants.onnx_stream import streaming
from multilstm.bench.contestants.stack import stack_of
from multilstm.bench.modes import FORWARD, STREAM, Mode
from multilstm.conversion.onnx.model import onnx_model
from multilstm.errors import UnsupportedError
from multilstm.jobs.job import Job
from multilstm.spec.arrays import Array

_PROVIDERS = ["CPUExecutionProvider"]


@final
class OnnxContestant(AbstractContestant):
    """A session with the framework's own number of threads."""

    def prepare(self, job: Job, mode: Mode) -> Run:
        if mode == STREAM:
            return streaming(stack_of(job), _PROVIDERS, _implementation)
        if mode != FORWARD:
            raise UnsupportedError(f"it computes the modes forward and stream alone, given {mode.name}")
        if job.dtype != "float32":
            raise UnsupportedError(f"its recurrent operators compute in float32 alone, given {job.dtype}")
        batch, file = job.steps[0].batch, onnx_model(job.spec, job.weights, dtype=job.dtype)
        feed = {
            file.inputs[name]: array if array.dtype.kind in "iub" else array.astype(job.dtype)
            for name, array in batch.inputs.items()
        }
        for place, names in file.starts.items():
            zeros = np.zeros((batch.size, job.spec.recurrent[place].units), job.dtype)
            feed |= dict.fromkeys(names, zeros)
        graph = file.model.SerializeToString()
        session = onnxruntime.InferenceSession(graph, providers=_PROVIDERS)
        wanted = list(dict.fromkeys(file.outputs))
        return Run(
            lambda: session.run(wanted, feed),
            lambda arrays: named_outputs([[arrays[wanted.index(name)] for name in file.outputs]]),
            lambda: _implementation(graph, feed),
        )

    def product(self, left: Array, right: Array) -> None:
        return None

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__}


def _implementation(model: bytes, feed: dict[str, Array]) -> str:
    """Return the providers that executed the recurrent nodes, from the profile of a separate session.

    Profiling would slow the session that is timed.
    """
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        session = onnxruntime.InferenceSession(model, options, providers=_PROVIDERS)
        session.run(None, feed)
        events = json.loads(pathlib.Path(session.end_profiling()).read_text())
    nodes = [event["args"] for event in events if event.get("cat") == "Node"]
    ran = sorted({(node["op_name"], node["provider"]) for node in nodes if node["op_name"] in ("LSTM", "GRU", "RNN")})
    return ", ".join(f"{operator} of {provider}" for operator, provider in ran) or "no recurrent operator ran"
