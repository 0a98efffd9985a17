"""Engine `onnx-file`: the ONNX file into which `multilstm.conversion` translates a spec, executed.

The engine proves the conversion. The nodes are those of the file that `multilstm convert` writes. Sequences and states
of recurrent layers are further outputs. Masks that a batch gives are further inputs. Where the environment variable
`MULTILSTM_CONVERTED` names a file of the dtype of the job, the outputs are those of that file. ONNX Runtime computes in
float32, the evaluator of the package `onnx` in float64. The file serves inference, so the engine computes no gradients
and no losses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import final

import numpy as np
import onnx

from multilstm.conversion.onnx.model import Written, onnx_model
from multilstm.conversion.onnx.opset import OPSET, OPSET_VARIABLE
from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.engines.converted import converted_file
from multilstm.errors import UnsupportedError
from multilstm.frameworks import onnxruntime as onnx_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec.arrays import AnyState, Array, as_state

DTYPES = ("float32", "float64")


@final
class OnnxFileEngine(AbstractEngine):
    """Executes the files that specs are converted into."""

    platform = onnx_platform

    def prepare(self, job: Job) -> OnnxFileProgram:
        """Return a program on the CPU."""
        return OnnxFileProgram(job)

    def operations(self) -> Operations:
        """Return operations that are models of one node."""
        return onnx_platform.operations()


@final
class OnnxFileProgram(AbstractProgram):
    """One converted model."""

    places = frozenset({"cpu"})

    def __init__(self, job: Job) -> None:
        if job.dtype not in DTYPES:
            raise UnsupportedError(f"onnx-file: given {job.dtype}; files are executed in float32 and float64")
        self._spec, self._opset = job.spec, int(os.environ.get(OPSET_VARIABLE, OPSET))
        self._started = sorted({name for step in job.steps for name in step.batch.states})
        self._first = tuple(sorted(job.steps[0].batch.masks)) if job.steps else ()  # the inputs that have a mask first
        self._weights: dict[str, Array] = {}
        self._dtype = job.dtype

    @property
    def implementation(self) -> Implementation:
        """The program, and the recurrent nodes of the file."""
        nodes = sorted({node.op_type for node in self._file.model.graph.node} & {"LSTM", "GRU", "RNN"})
        program = "onnx.reference" if self._dtype == "float64" else "ONNX Runtime"
        return Implementation(f"{', '.join(nodes)} of {program}" if nodes else "no recurrent layer ran")

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Make the file of the weights."""
        self._weights = {name: np.asarray(weights[name], self._dtype) for name in self._spec.weight_shapes}
        self._masked: tuple[str, ...] | None = None
        self._make(self._first)

    def _make(self, masked: tuple[str, ...]) -> None:
        """Make the file in which some inputs have a mask, as another input, unless it is already made."""
        if masked == self._masked:
            return
        self._file: Written = onnx_model(
            self._spec,
            self._weights,
            self._opset,
            started=self._started,
            masked=masked,
            inspected=True,
            dtype=self._dtype,
        )
        self._run = onnx_platform.runner(self._file.model)
        self._converted = self._runner_of_file()
        self._masked = masked

    def _runner_of_file(self) -> Callable[..., list[Array]] | None:
        """Return the function that executes the converted file, if this process has one of the dtype of the job."""
        path = converted_file(".onnx")
        model = None if path is None else onnx.load(path)
        double = onnx.TensorProto.DOUBLE
        if model is None or (self._dtype == "float64") != any(t.data_type == double for t in model.graph.initializer):
            return None
        given = {tensor.name for tensor in model.graph.input}
        run = onnx_platform.runner(model)
        return lambda outputs, feed: run(outputs, {name: array for name, array in feed.items() if name in given})

    def weights(self) -> dict[str, Array]:
        """Return all weights: inference leaves them as they are."""
        return dict(self._weights)

    def slots(self) -> dict[str, Array]:
        """Return no slots: there is no optimizer."""
        return {}

    def parameter_counts(self) -> dict[str, int]:
        """Return the sizes of the constants by layer, without a second bias that Keras lacks."""
        sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in self._file.model.graph.initializer}
        counts = {name: sum(sizes[c] for c in self._file.weights[name]) for name in self._spec.layer_inputs}
        for place, layer in self._spec.recurrent.items():
            if layer.use_bias and len(layer.bias_shape) == 1:
                counts[place.split("/")[0]] -= layer.bias_shape[0]
        return counts

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step; see `AbstractProgram.step`."""
        if kind != "forward":
            raise UnsupportedError("onnx-file: a file of ONNX serves inference; compare forward passes")
        self._make(tuple(sorted(batch.masks)))
        file = self._file
        feed = {file.inputs[name]: array for name, array in batch.inputs.items()}
        feed |= {file.masks[name]: mask for name, mask in batch.masks.items()}
        for place, names in file.starts.items():
            feed |= dict(zip(names, states[place], strict=True))
        ends = [name for state in file.ends.values() for name in state]
        wanted = list(dict.fromkeys((*file.outputs, *ends, *file.returned.values())))
        arrays = dict(zip(wanted, self._run(wanted, feed), strict=True))
        if self._converted is not None:
            arrays |= dict(zip(file.outputs, self._converted(file.outputs, feed), strict=True))
        layers = self._spec.recurrent
        returned = {place: arrays[name] for place, name in file.returned.items()}
        return Answer(
            outputs=tuple(arrays[name] for name in file.outputs),
            sequences={place: array for place, array in returned.items() if layers[place].return_sequences},
            last_outputs={place: array for place, array in returned.items() if not layers[place].return_sequences},
            states={place: as_state(*(arrays[name] for name in state)) for place, state in file.ends.items()},
        )
