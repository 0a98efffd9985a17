"""Numerical self-test of a framework: sums, products and one step of an LSTM, compared with NumPy.

It is written once, with the few `Operations` of an engine, which are compiled as the engine's programs are. Sums and
products of small whole numbers are exact in every order of computation. They are compared for equality, so a
tolerance cannot hide a miscompiled loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Axis = int | tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Operations:
    """Functions of an engine for its self-test. Tensors are opaque here, but have `+`, `*` and slices.

    Attributes:
        tensor: makes a tensor of the same dtype, on the engine's device, from a NumPy array.
        array: makes a NumPy array from a tensor.
        compiled: compiles a function of tensors, as the engine's programs are compiled.
        sum: sums over an axis or several axes.
        matmul: multiplies two matrices, at the precision of the engine's programs.
        transpose: transposes a matrix.
        tanh: elementwise.
        sigmoid: elementwise.
    """

    tensor: Callable[[Array], Any]
    array: Callable[[Any], Array]
    compiled: Callable[[Callable[..., Any]], Callable[..., Any]]
    sum: Callable[[Any, Axis], Any]
    matmul: Callable[[Any, Any], Any]
    transpose: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class SelfTest:
    """One test of the self-test.

    Attributes:
        name: the computation and its dtype.
        ok: whether it agrees with NumPy.
        detail: the largest distance, or the fault.
    """

    name: str
    ok: bool
    detail: str


class MismatchError(Exception):
    """A result that does not agree; the message is the detail."""


DTYPES = ("float32", "float64")

# At about 32768 rows, jaxlib changes the way in which it divides a loop, and miscomputed (jax#39103). The other shapes
# are those of an LSTM's sums: a bias gradient sums over batch and time, for 4 * units columns.
SUMS: tuple[tuple[tuple[int, ...], Axis], ...] = (
    ((31,), 0), ((4097,), 0), ((32769,), 0), ((65537,), 0),
    ((3, 32769), 0), ((32769, 3), 1), ((40000, 3), 0), ((1000, 132), 0), ((7, 33, 44), (0, 1)),
)  # fmt: skip
ROWS = {"float32": (32769, 40000), "float64": (16385, 20000)}

# The largest absolute error. In float64, of values up to one: a few roundings of 1.1e-16, where a single step in
# float32 would be 1e-8. In float32 matrix products, relative to the sum of absolute products: TF32 would be 1e-4.
ELEMENTWISE = {"float32": 5e-7, "float64": 1e-15}
PRODUCT = {"float32": 1e-6, "float64": 1e-15}


def self_test(operations: Operations) -> list[SelfTest]:
    """All tests, in order; one that raises has failed, and the next is made."""
    tests: tuple[tuple[str, Callable[[Operations, str], str]], ...] = (
        ("sums", _sums),
        ("sums of products", _sums_of_products),
        ("tanh and sigmoid", _elementwise),
        ("matrix product", _matrix_product),
        ("LSTM step", _lstm_step),
    )
    found = []
    for what, test in tests:
        for dtype in DTYPES:
            try:
                ok, detail = True, test(operations, dtype)
            except MismatchError as error:
                ok, detail = False, str(error)
            except Exception as error:  # a framework may raise anything, and the other tests are still worth having
                ok, detail = False, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
            found.append(SelfTest(f"{what}, {dtype}", ok, detail))
    return found


def denormals(operations: Operations) -> str:
    """Return whether float32 numbers below 1.2e-38 are `kept` or `flushed` to zero; neither is an error."""
    tiny = np.full(16, 1e-40, np.float32)
    doubled = operations.array(operations.compiled(lambda x: x + x)(operations.tensor(tiny)))
    return "kept" if doubled.all() else "flushed"


def _sums(operations: Operations, dtype: str) -> str:
    for shape, axis in SUMS:
        values = _whole(shape, dtype)
        actual = _computed(operations, lambda x, axis=axis: operations.sum(x, axis), values)
        _same(f"a sum of shape {shape} over axis {axis}", actual, values.sum(axis))
    return f"{len(SUMS)} shapes, exact"


def _sums_of_products(operations: Operations, dtype: str) -> str:
    """Compute `sum(M @ x.T, axis=0)` and the sum of its squares: the shape of jax#39103."""

    def plain(matrix: Any, rows: Any) -> Any:
        return operations.sum(operations.matmul(matrix, operations.transpose(rows)), 0)

    def squares(matrix: Any, rows: Any) -> Any:
        product = operations.matmul(matrix, operations.transpose(rows))
        return operations.sum(product * product, 0)

    matrix = _whole((3, 3), dtype)
    for count in ROWS[dtype]:
        rows = _whole((count, 3), dtype)
        product = matrix @ rows.T
        for what, function, desired in (
            ("products", plain, product.sum(0)),
            ("squared products", squares, (product * product).sum(0)),
        ):
            actual = _computed(operations, function, matrix, rows)
            _same(f"the sums of {what} of shape (3, {count})", actual, desired)
    return f"{2 * len(ROWS[dtype])} shapes, exact"


def _elementwise(operations: Operations, dtype: str) -> str:
    values = np.linspace(-9.0, 9.0, 4001).astype(dtype)
    exact = values.astype(np.float64)
    errors = [
        _close(f"{what} is off", _computed(operations, function, values), desired, ELEMENTWISE[dtype])
        for what, function, desired in (
            ("tanh", operations.tanh, np.tanh(exact)),
            ("sigmoid", operations.sigmoid, _sigmoid(exact)),
        )
    ]
    return f"off by at most {max(errors):.0e}"


def _matrix_product(operations: Operations, dtype: str) -> str:
    left, right = _normal((65, 130), dtype), _normal((130, 33), dtype)
    scale = np.abs(left).astype(np.float64) @ np.abs(right)
    desired = left.astype(np.float64) @ right
    actual = _computed(operations, operations.matmul, left, right)
    error = _close("a product, relative to its terms, is off", actual / scale, desired / scale, PRODUCT[dtype])
    return f"off by at most {error:.0e} of its terms"


def _lstm_step(operations: Operations, dtype: str) -> str:
    """Compute one step by the formula of Keras's LSTM, gates in the order i, f, c, o."""
    units = 8

    def step(x: Any, hidden: Any, cell: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        z = operations.matmul(x, kernel) + operations.matmul(hidden, recurrent) + bias
        i, f, c, o = (z[:, gate * units : (gate + 1) * units] for gate in range(4))
        after = operations.sigmoid(f) * cell + operations.sigmoid(i) * operations.tanh(c)
        return operations.sigmoid(o) * operations.tanh(after)

    shapes = ((5, 7), (5, units), (5, units), (7, 4 * units), (units, 4 * units), (1, 4 * units))
    arrays = [0.5 * _normal(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    x, hidden, cell, kernel, recurrent, bias = (array.astype(np.float64) for array in arrays)
    i, f, c, o = np.split(x @ kernel + hidden @ recurrent + bias, 4, axis=1)
    after = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(c)
    desired = _sigmoid(o) * np.tanh(after)
    return (
        f"off by at most {_close('it is off', _computed(operations, step, *arrays), desired, ELEMENTWISE[dtype]):.0e}"
    )


def _computed(operations: Operations, function: Callable[..., Any], *arrays: Array) -> Array:
    """Return the compiled function's value for the arrays, which must have their dtype."""
    result = operations.array(operations.compiled(function)(*map(operations.tensor, arrays)))
    if result.dtype != arrays[0].dtype:
        raise MismatchError(f"came back as {result.dtype}, expected {arrays[0].dtype}")
    return result


def _same(what: str, actual: Array, desired: Array) -> None:
    if actual.shape != desired.shape:
        raise MismatchError(f"{what}: shape {actual.shape}, expected {desired.shape}")
    wrong = np.atleast_1d(actual != desired)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise MismatchError(
            f"{what}: {int(wrong.sum())} of {wrong.size} wrong, the first {float(np.ravel(actual)[first]):g}, "
            f"expected {float(np.ravel(desired)[first]):g}"
        )


def _close(what: str, actual: Array, desired: Array, allowed: float) -> float:
    error = float(np.abs(actual.astype(np.float64) - desired).max())
    if not error <= allowed:  # not >: NaN is wrong too
        raise MismatchError(f"{what} by {error:.1e}, allowed {allowed:.0e}")
    return error


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _whole(shape: tuple[int, ...], dtype: str) -> Array:
    return np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)


def _normal(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)
