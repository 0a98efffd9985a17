"""The assertion that a model gives the same answers on every engine: a plain function, with or without pytest."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from multilstm.api import Inputs, parity
from multilstm.engines.registry import JUDGE
from multilstm.errors import EngineUnavailableError, MultilstmError, ParityError
from multilstm.files import AnyModel
from multilstm.report.arguments import Arguments
from multilstm.report.report import Report
from multilstm.spec.arrays import Array
from multilstm.testing.message import failure_message

__all__ = ["assert_parity", "listening"]

Listener = Callable[[Report], None]
_listeners: list[Listener] = []


def assert_parity(
    model: AnyModel,
    inputs: Inputs | None = None,
    *,
    engines: Sequence[str] | None = None,
    dtype: str | Sequence[str] = ("float32", "float64"),
    atol: float | None = None,
    rtol: float | None = None,
    against: Array | Mapping[str, Array] | None = None,
    **more: Any,
) -> Report:
    """Assert that engines, or the answers of another program, agree with the float64 reference.

    Args:
        model: a spec, a loaded model, the path of a file, or a `keras.Model`; see `multilstm.run`.
        inputs: `[batch, ...]`, or one array by name for every input of the model. None: random inputs that exercise the
            model, with a loss, gradients, and a short training.
        engines: the names of the engines. None: all that are installed; with `against`, none but the reference.
        dtype: the dtype of the computation, or several.
        atol: an absolute tolerance. `atol` and `rtol` together replace the table of tolerances.
        rtol: a tolerance relative to each desired value.
        against: answers of another program to the same inputs: the output, or arrays by quantity; see
            `multilstm.parity`.
        more: other arguments of `multilstm.parity`: `without`, `targets`, `loss`, `optimizer`, `weights`, `states`,
            `mask`, `dropout`, `layers`, `device` and `workers`.

    Returns:
        The report. Differences that the ledger explains pass.

    Raises:
        ParityError: if a quantity differs, nothing was compared, or an engine of `engines` executed nothing. The
            message has both values, statistics, the first divergence, and the command that repeats the test.
        EngineUnavailableError: if an engine of `engines` cannot run here. Without `engines`, if none can run: inside a
            test of pytest, this is a skip with its reason.
        InputError: if arrays do not fit the model, or a file or a Keras model cannot be read.
        UsageError: if a name is unknown.
    """
    __tracebackhide__ = True
    if engines is None and against is not None:
        engines = (JUDGE,)
    dtypes = (dtype,) if isinstance(dtype, str) else dtype
    try:
        report = parity(model, inputs, engines=engines, dtypes=dtypes, atol=atol, rtol=rtol, against=against, **more)
    except MultilstmError as error:  # its message is complete; the traceback ends at the test's own line
        raise error.with_traceback(None) from None
    if isinstance(model, (str, os.PathLike)) and inputs is None and more.get("weights") is None:
        report = dataclasses.replace(report, arguments=Arguments(model=os.fspath(model)))
    for listener in tuple(_listeners):
        listener(report)
    if not report.cells and report.skipped:
        _skip(report.skipped)
    message = failure_message(report)
    if message:
        raise ParityError(message)
    return report


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call a function with each report of `assert_parity` inside of this context."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _skip(reasons: Mapping[str, str]) -> None:
    """Skip the test under way, or raise outside of a test: no engine can run here."""
    __tracebackhide__ = True
    name, reason = next(iter(reasons.items()))
    others = f"; nor can {', '.join(list(reasons)[1:])}" if len(reasons) > 1 else ""
    text = f"no engine can run here: {reason if repr(name) in reason else f'{name}: {reason}'}{others}"
    if "PYTEST_CURRENT_TEST" in os.environ and "pytest" in sys.modules:
        sys.modules["pytest"].skip(text)
    raise EngineUnavailableError(text)
