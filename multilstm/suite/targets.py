"""Table of conversion targets, and the choice of one by its name or by the suffix of a file."""

from __future__ import annotations

import os
import pathlib

from multilstm.conversion.equinox.target import EQUINOX
from multilstm.conversion.flax.target import FLAX_LINEN, FLAX_NNX
from multilstm.conversion.haiku.target import HAIKU
from multilstm.conversion.onnx.target import ONNX, onnx_target
from multilstm.conversion.scan.target import SCAN
from multilstm.conversion.target import Target
from multilstm.conversion.tf1.target import TF1
from multilstm.conversion.torch.target import TORCH
from multilstm.errors import UsageError, choice, listed
from multilstm.suite.keras2_file import KERAS2
from multilstm.suite.keras_file import KERAS

__all__ = ["TARGETS", "target_for", "target_named", "with_opset"]

TARGETS: dict[str, Target] = {
    target.name: target for target in (TORCH, FLAX_NNX, FLAX_LINEN, EQUINOX, HAIKU, SCAN, ONNX, KERAS, KERAS2, TF1)
}
"""All targets by name. A suffix of several targets means the first of them."""


def target_named(name: str) -> Target:
    """Return a target.

    Raises:
        UsageError: for an unknown name.
    """
    if not isinstance(name, str) or name not in TARGETS:
        is_path = isinstance(name, str) and "." in name
        advice = "; a path belongs to `save` of the result, or to OUT" if is_path else ""
        raise UsageError(f"{choice('target', name, TARGETS)}{advice}")
    return TARGETS[name]


def target_for(path: str | os.PathLike[str], name: str | None = None) -> Target:
    """Return the target of a file.

    Args:
        path: the main file.
        name: of the target; None: the first target with the suffix of `path`.

    Raises:
        UsageError: for an unknown name, and for a suffix that the target lacks.
    """
    targets = list(TARGETS.values()) if name is None else [target_named(name)]
    by_suffix: dict[str, list[Target]] = {}
    for target in targets:
        for suffix in target.suffixes:
            by_suffix.setdefault(suffix, []).append(target)
    suffix = pathlib.Path(path).suffix
    if suffix not in by_suffix:
        expected = [f"{known} ({', '.join(target.name for target in by_suffix[known])})" for known in by_suffix]
        raise UsageError(f"the file {str(path)!r} has the suffix {suffix!r}; expected {listed(expected)}")
    return by_suffix[suffix][0]


def with_opset(target: Target, opset: int | None) -> Target:
    """Return a target that writes another version of ONNX's operators; None: the same target.

    Raises:
        UsageError: for another target than ONNX, and for another version than 14 to 22.
    """
    if opset is None:
        return target
    if target is not ONNX:
        raise UsageError(
            f"opset is {opset!r}, and the target {target.name}; expected the target {ONNX.name}; leave it out"
        )
    return onnx_target(opset)
