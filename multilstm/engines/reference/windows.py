"""Windows of an array `[batch, ..., channels]`: their elements as an array, and the gradient on the way back.

Padding `same` is split as in Keras: the end gets one more than the start where the number is odd.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from multilstm.spec.arrays import Array


class Windows(NamedTuple):
    """The windows of one array, along each axis between the batch and the channels.

    Attributes:
        sizes: the number of elements of a window.
        strides: the distance between windows.
        dilation: the distance between the elements of a window.
        padding: the numbers of zeros before and after.
        counts: the number of windows.
        shape: the shape of the array.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    counts: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        sizes: Sequence[int],
        strides: Sequence[int],
        padding: str,
        dilation: Sequence[int] = (),
    ) -> Windows:
        """Return the windows of an array of `shape`; `padding` is `valid`, `same` or `causal`."""
        dilation = dilation or (1,) * len(sizes)
        pads, counts = [], []
        for length, size, stride, step in zip(shape[1:-1], sizes, strides, dilation, strict=True):
            width = (size - 1) * step + 1
            count = (length - width) // stride + 1 if padding == "valid" else -(-length // stride)
            if padding == "causal":
                before, total = width - 1, width - 1
            else:
                total = 0 if padding == "valid" else max((count - 1) * stride + width - length, 0)
                before = total // 2
            pads.append((before, total - before))
            counts.append((length + total - width) // stride + 1 if padding == "causal" else count)
        return cls(tuple(sizes), tuple(strides), tuple(dilation), tuple(pads), tuple(counts), tuple(shape))

    def gather(self, x: Array, fill: float = 0.0) -> Array:
        """Return the elements of all windows, `[elements, batch, *counts, channels]`; padding holds `fill`."""
        padded = np.pad(x, self._pads(), constant_values=fill)
        return np.stack([padded[place] for place in self._places()])

    def scatter(self, elements: Array) -> Array:
        """Return the gradient of the array, from that of the result of `gather`."""
        pads = self._pads()
        padded = np.zeros([size + sum(pad) for size, pad in zip(self.shape, pads, strict=True)])
        for place, element in zip(self._places(), elements, strict=True):
            padded[place] += element
        return padded[tuple(slice(pad[0], pad[0] + size) for size, pad in zip(self.shape, pads, strict=True))]

    def _pads(self) -> list[tuple[int, int]]:
        return [(0, 0), *self.padding, (0, 0)]

    def _places(self) -> Iterator[tuple[slice, ...]]:
        """Yield the slices of the padded array that hold one element of every window."""
        for offsets in itertools.product(*map(range, self.sizes)):
            starts = [offset * step for offset, step in zip(offsets, self.dilation, strict=True)]
            spans = zip(starts, self.strides, self.counts, strict=True)
            yield (
                slice(None),
                *(slice(start, start + (count - 1) * stride + 1, stride) for start, stride, count in spans),
            )
