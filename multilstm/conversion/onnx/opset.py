"""The versions of ONNX's operators that a file can have."""

from __future__ import annotations

from multilstm.errors import UsageError

__all__ = ["OPSET", "OPSETS", "OPSET_VARIABLE", "check_opset"]

OPSETS = range(14, 23)
OPSET = 17  # the first with LayerNormalization
OPSET_VARIABLE = "MULTILSTM_ONNX_OPSET"  # of the engine's process; without it, the default


def check_opset(opset: object) -> int:
    """Return a version of ONNX's operators.

    Raises:
        UsageError: for another one than 14 to 22.
    """
    if not isinstance(opset, int) or isinstance(opset, bool) or opset not in OPSETS:
        raise UsageError(f"opset is {opset!r}; expected {OPSETS[0]} to {OPSETS[-1]}")
    return opset
