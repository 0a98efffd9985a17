"""Conversion of a model into another framework, with proof.

The converted module is executed in a process of its own, on the model's own weights. Its outputs, sequences, states,
and gradients of weights and inputs are compared with the reference, in float32 and float64. A module that does not
agree is an error, and nothing is written.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from safetensors import numpy as safetensors

from multilstm.conversion.torch_source import torch_source
from multilstm.conversion.torch_state import torch_state
from multilstm.errors import UsageError, choice
from multilstm.execution.availability import available
from multilstm.execution.options import Options
from multilstm.files.atomic import check_replaceable, write_bytes
from multilstm.report.data import Report
from multilstm.spec import BatchNormalization, Dropout, Graph, Layer, SpatialDropout1D
from multilstm.spec.arrays import Array
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.hidden_masks import exercising_case

__all__ = ["SUFFIXES", "TARGETS", "Conversion", "convert_model"]

TARGETS = ("torch",)
SUFFIXES = {".py": "torch"}
PARTS = ("output", "sequence", "last_output", "hidden", "cell", "parameter_count", "gradient", "input_gradient")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A model in another framework.

    Attributes:
        source: the Python source of the module.
        state: the arrays of its state dict by name, in the dtype of the weights.
        report: the comparison with the reference.
        notes: sentences on the differences in training, in which the module is not the model.
    """

    source: str
    state: Mapping[str, Array]
    report: Report
    notes: tuple[str, ...]

    def save(self, path: str | os.PathLike[str]) -> tuple[pathlib.Path, ...]:
        """Write the source to `path`, the arrays to `.safetensors` and the comparison to `.proof.json` there.

        Raises:
            InputError: where a file cannot be written; no file is then replaced.
        """
        source = pathlib.Path(path)
        contents = {
            source: self.source.encode(),
            source.with_suffix(".safetensors"): safetensors.save(dict(self.state)),
            source.with_suffix(".proof.json"): self.report.to_json().encode(),
        }
        for file in contents:
            check_replaceable(file)
        for file, content in contents.items():
            write_bytes(file, content)
        return tuple(contents)


def convert_model(
    spec: Graph, weights: Mapping[str, Array] | None, target: str, follow: Callable[..., Any] | None = None
) -> Conversion:
    """Convert a model, and compare the result with the reference.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`; None: random ones, which only prove the source.
        target: one of `TARGETS`.
        follow: receives the progress of the comparison.

    Raises:
        UnsupportedError: for a layer or an option that the target lacks.
        ParityError: where the converted module gives other answers.
        UsageError: for an unknown target.
        EngineUnavailableError: where the target's framework is not installed.
    """
    if target not in TARGETS:
        raise UsageError(choice("target", target, TARGETS))
    source = torch_source(spec)
    proven = spec.with_layers(_in_inference)
    case = exercising_case(proven, weights=weights)
    availability = available(("torch-module",), "cpu", None)
    options = Options(availability.engines, ("float32", "float64"), quantities=PARTS)
    report = compare_cases((case,), options, *([follow] if follow else []), availability=availability)
    report.check()
    state = torch_state(spec, case.initial_weights)
    return Conversion(source, state, report, tuple(_notes(spec)))


def _in_inference(layer: Layer) -> Layer:
    """Return a layer without dropout and penalties, which act in training alone."""
    fields = {field.name for field in dataclasses.fields(layer)}
    changes: dict[str, Any] = {name: None for name in fields if name.endswith("_regularizer")}
    changes |= dict.fromkeys(fields & {"dropout", "recurrent_dropout", "rate"}, 0.0)
    if isinstance(layer.wrapped, Layer):
        changes["layer"] = _in_inference(layer.wrapped)
    return dataclasses.replace(layer, **changes)


def _notes(spec: Graph) -> Iterator[str]:
    """Yield the differences between the model's training and the module's."""
    layers = [inner for layer in spec.layers for inner in (layer, layer.wrapped) if inner is not None]
    two = [place for place, layer in spec.lstms.items() if layer.use_bias]
    if two:
        count = sum(4 * spec.lstms[place].units for place in two)
        yield (
            f"PyTorch's LSTMs have two biases, {count:,} parameters more than Keras's; both are trained, so their sum "
            f"moves twice as fast"
        )
    if any(isinstance(layer, Dropout | SpatialDropout1D) for layer in layers):
        yield "Dropout layers draw other masks than Keras's"
    if any(getattr(layer, "dropout", 0.0) or getattr(layer, "recurrent_dropout", 0.0) for layer in layers):
        yield "dropout inside of recurrent layers is left out; torch.nn.LSTM has none"
    if spec.regularizers:
        yield "regularizers are left out: add them to the loss"
    if any(isinstance(layer, BatchNormalization) for layer in layers):
        yield "in training, PyTorch's BatchNorm divides its running variance by n - 1, Keras's by n"
    if any(layer.stateful for layer in spec.recurrent.values()):
        yield "stateful layers begin every call at zero: pass the states of the call before"
