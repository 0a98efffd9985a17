"""Padding for windows over an array `[batch, channels, ...]`, PyTorch's order of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F  # noqa: N812 - torch's custom


def channels_first(x: Any) -> Any:
    """Return `[batch, ..., channels]` as `[batch, channels, ...]`."""
    return x.movedim(-1, 1)


def channels_last(x: Any) -> Any:
    """Return `[batch, channels, ...]` as `[batch, ..., channels]`."""
    return x.movedim(1, -1)


def padded(
    x: Any, window: Sequence[int], strides: Sequence[int], padding: str, dilation: Sequence[int], fill: float = 0.0
) -> Any:
    """Return `x [batch, channels, ...]` with the padding of Keras; the end gets one more where the number is odd."""
    if padding == "valid":
        return x
    pads: list[int] = []
    for size, width, stride, step in zip(x.shape[2:], window, strides, dilation, strict=True):
        reach = (width - 1) * step
        total = reach if padding == "causal" else max(reach + 1 - (size - 1) % stride - 1, 0)
        before = total if padding == "causal" else total // 2
        pads = [before, total - before, *pads]  # PyTorch takes the last axis first
    return F.pad(x, pads, value=fill)
