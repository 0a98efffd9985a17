"""The target `onnx`: one file of a version of ONNX's operators. This module does without the package `onnx`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping

from multilstm.conversion.onnx.opset import OPSET, OPSET_VARIABLE, check_opset
from multilstm.conversion.target import Target
from multilstm.spec import Graph
from multilstm.spec.arrays import Array

__all__ = ["ONNX", "onnx_target"]


def _files(spec: Graph, weights: Mapping[str, Array], training: object = None, opset: int = OPSET) -> dict[str, bytes]:
    """Return the file, in the dtype of the weights."""
    from multilstm.conversion.onnx.model import onnx_model

    return {".onnx": onnx_model(spec, weights, opset).model.SerializeToString()}


def _notes(spec: Graph, training: object = None) -> Iterator[str]:
    """Yield the further inputs and outputs of stateful layers."""
    passed = {call.layer for call in spec.calls if call.initial_state}
    for name, layer in spec.recurrent.items():
        if layer.stateful and name.split("/")[0] not in passed:
            states = " and ".join(layer.state_names)
            yield (
                f"{name} is stateful: the file takes its {states} as inputs and returns them as outputs; begin with "
                f"zeros"
            )


ONNX = Target("onnx", "ONNX", (".onnx",), "onnx-file", _files, _notes, stateful_calls="any")


def onnx_target(opset: int) -> Target:
    """Return the target with another version of the operators.

    Raises:
        UsageError: for another one than 14 to 22.
    """
    files = functools.partial(_files, opset=check_opset(opset))
    return dataclasses.replace(ONNX, files=files, settings={OPSET_VARIABLE: str(opset)})
