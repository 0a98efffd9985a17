"""The gradient of an embedding as a list of rows, as TensorFlow computes it: one row for each token of a batch.

Keras's optimizers square the rows one by one. If a token is repeated, the sum of the squares is not the square of the
sum. The operators below do the same, so that the update rules of `multilstm.spec.optimizers` take such a gradient.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from multilstm.spec.arrays import Array


@dataclasses.dataclass(frozen=True, eq=False)
class RowGradient:
    """A sparse array: `values[k]` is a term of row `rows[k]`.

    Attributes:
        rows: the numbers of the rows, `[n]`.
        values: their terms, `[n, size]`.
        count: the number of rows of the dense array.
    """

    __array_ufunc__ = None  # NumPy's operators leave the operation to this class

    rows: Array
    values: Array
    count: int

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        dense = np.zeros((self.count, self.values.shape[-1]))
        np.add.at(dense, self.rows, self.values)
        return dense if dtype is None else dense.astype(dtype)

    def __mul__(self, other: Any) -> RowGradient:
        """Multiply term by term, by a number or by a gradient of the same rows."""
        return dataclasses.replace(self, values=self.values * getattr(other, "values", other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> RowGradient:
        """Divide by a number, or by the rows of a dense array."""
        return dataclasses.replace(self, values=self.values / (other if np.ndim(other) == 0 else other[self.rows]))

    def __add__(self, other: Any) -> Any:
        """Append the terms of another such gradient; the sum with an array is dense."""
        if not isinstance(other, RowGradient):
            return np.asarray(self) + other
        rows, values = ((self.rows, other.rows), (self.values, other.values))
        return dataclasses.replace(self, rows=np.concatenate(rows), values=np.concatenate(values))

    def __radd__(self, other: Any) -> Array:
        dense: Array = other + np.asarray(self)
        return dense

    def __sub__(self, other: Any) -> Array:
        dense: Array = np.asarray(self) - other
        return dense

    def __rsub__(self, other: Any) -> Array:
        dense: Array = other - np.asarray(self)
        return dense

    def sum(self) -> Any:
        """Return the sum of all terms."""
        return self.values.sum()

    def clip(self, smallest: float, largest: float) -> RowGradient:
        """Clip term by term."""
        return dataclasses.replace(self, values=self.values.clip(smallest, largest))
