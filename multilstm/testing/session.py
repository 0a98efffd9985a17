"""The work of the plugin: checks of names, engines that can run, workers, and the assertion with a test's settings."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from multilstm.engines.registry import ENGINES, JUDGE, engine_row
from multilstm.errors import EngineUnavailableError, MultilstmError, UsageError, choice
from multilstm.execution.availability import available
from multilstm.execution.options import Options
from multilstm.frameworks.machine import cores
from multilstm.report.report import Report
from multilstm.testing.assertion import assert_parity, listening
from multilstm.testing.recorder import Recorder
from multilstm.testing.settings import DEFAULTS, ENGINE, SKIP, settings_of
from multilstm.workers import WorkerPool

if TYPE_CHECKING:
    from multilstm.testing.settings import Settings

__all__ = [
    "Workers",
    "bound_assertion",
    "check_markers",
    "engine_names",
    "engine_of",
    "parametrized",
    "prepare",
    "require",
]

MARKER_ARGUMENTS = ("dtype", "atol", "rtol")


def prepare(config: pytest.Config, settings: Settings) -> None:
    """Check the options of a session, and register the writer of its report.

    Raises:
        pytest.UsageError: for an unknown name, an engine that is not installed, and a report that cannot be written.
    """
    try:
        for engine in settings.engines:
            engine_row(engine).require()
        Options(settings.engines, settings.dtypes or Options.dtypes, device=settings.device)
        if settings.report:
            recorder = Recorder(os.path.join(config.invocation_params.dir, settings.report))
            if not hasattr(config, "workerinput"):  # in a process of xdist, the controller writes
                recorder.check()
            config.pluginmanager.register(recorder, "multilstm-report")
    except MultilstmError as error:
        raise pytest.UsageError(f"multilstm: {error}") from None


def engine_names(settings: Settings) -> list[str]:
    """Return the engines of `multilstm_engine`; without the option, those that are not installed are skipped later."""
    return list(settings.engines) or [name for name, row in ENGINES.items() if name != JUDGE and row.is_default(None)]


def parametrized(metafunc: pytest.Metafunc, name: str) -> bool:
    """Whether a test has a mark `parametrize` for an argument."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.kwargs.get("argnames", mark.args[0] if mark.args else ())
        if name in ([part.strip() for part in names.split(",")] if isinstance(names, str) else names):
            return True
    return False


def engine_of(item: Any) -> str:
    """Return the engine of a test with `multilstm_engine`."""
    name: str = item.callspec.params[ENGINE]
    return name


def check_markers(items: Iterable[pytest.Item]) -> None:
    """Refuse markers with unknown engines or arguments.

    Raises:
        pytest.UsageError: with the test, and the names that exist.
    """
    for item in items:
        try:
            for mark in item.iter_markers(SKIP):
                _skipped_engine(mark)
            for mark in item.iter_markers(DEFAULTS):
                _of_marker(mark)
        except UsageError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from None


def require(item: pytest.Item, engine: str, settings: Settings) -> None:
    """Skip a test of an engine that a marker leaves out, or that cannot run and was not named.

    Raises:
        EngineUnavailableError: for an engine of `--multilstm-engine` that finds no such device.
        UsageError: for an unknown engine.
    """
    __tracebackhide__ = True
    skipped = _skipped(item)
    if engine in skipped:
        pytest.skip(skipped[engine])
    try:
        _require_gpu(engine) if settings.device == "gpu" else engine_row(engine).require()
    except EngineUnavailableError as error:
        if engine in settings.engines:
            raise
        pytest.skip(str(error))


@functools.cache
def _require_gpu(engine: str) -> None:
    """Raise EngineUnavailableError if an engine finds no GPU; its own process looks for it, once in a session."""
    available((engine,), "gpu")


class Workers:
    """The processes of the engines: one pool for all tests, and a new one after an error that closed it."""

    def __init__(self) -> None:
        self._pool: WorkerPool | None = None

    def pool(self) -> WorkerPool:
        """Return a pool that is open; the processes of xdist share the cores."""
        if self._pool is None or self._pool.closed:
            processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
            self._pool = WorkerPool(threads=1, parallel=max(1, cores() // processes))
        return self._pool

    def close(self) -> None:
        """End all processes."""
        if self._pool is not None:
            self._pool.close()


def bound_assertion(request: pytest.FixtureRequest, workers: Workers) -> Callable[..., Report]:
    """Return `assert_parity` with the settings of a test; arguments of a call replace them."""
    defaults = _defaults(request.node, settings_of(request.config))

    def record(report: Report) -> None:  # as `record_property`, which warns in pytest's default family of JUnit XML
        request.node.user_properties.extend((f"multilstm_{name}", value) for name, value in _properties(report).items())

    def multilstm_parity(*arguments: Any, **more: Any) -> Report:
        __tracebackhide__ = True
        settings = {**defaults, "workers": workers.pool(), **more}
        if more.get("against") is not None and "engines" not in more and ENGINE not in request.fixturenames:
            settings.pop("engines", None)
        if settings.get("engines") is not None or settings.get("against") is not None:
            settings.pop("without", None)
        with listening(record):
            return assert_parity(*arguments, **settings)

    multilstm_parity.__qualname__ = multilstm_parity.__name__  # pytest shows the fixtures of a test that fails
    return multilstm_parity


def _defaults(item: pytest.Item, settings: Settings) -> dict[str, Any]:
    """Return the arguments of `assert_parity` that options and markers give to a test."""
    skipped = _skipped(item)
    defaults: dict[str, Any] = {"device": settings.device}
    if ENGINE in getattr(item, "fixturenames", ()):
        defaults["engines"] = (engine_of(item),)
    elif settings.engines:
        chosen = tuple(name for name in settings.engines if name not in skipped)
        if not chosen:
            pytest.skip("; ".join(skipped.values()))
        defaults["engines"] = chosen
    elif skipped:
        defaults["without"] = tuple(skipped)
    if settings.dtypes:
        defaults["dtype"] = settings.dtypes
    for mark in reversed(list(item.iter_markers(DEFAULTS))):  # the closest one last
        defaults |= _of_marker(mark)
    return defaults


def _properties(report: Report) -> Mapping[str, object]:
    """Return the outcome as properties of a test, as JUnit XML shows them."""
    distances = [cell.comparison.max_abs for cell in report.cells if cell.comparison.max_abs is not None]
    return {
        "verdict": report.sentence,
        "engines": ", ".join(report.engines),
        "quantities": len(report.cells),
        "max_abs": max(distances, default=0.0),
    }


def _skipped(item: pytest.Item) -> dict[str, str]:
    """Return the reasons of the engines that the markers of a test leave out."""
    return dict(map(_skipped_engine, item.iter_markers(SKIP)))


def _skipped_engine(mark: pytest.Mark) -> tuple[str, str]:
    """Return the engine and the reason of a marker.

    Raises:
        UsageError: for an unknown engine, and a marker without a reason.
    """
    if len(mark.args) != 1 or set(mark.kwargs) != {"reason"} or not mark.kwargs["reason"]:
        raise UsageError(f"the marker {SKIP} has the arguments {mark.args} and {mark.kwargs}; expected (name, reason=)")
    return engine_row(mark.args[0]).name, str(mark.kwargs["reason"])


def _of_marker(mark: pytest.Mark) -> dict[str, Any]:
    """Return the arguments of a marker.

    Raises:
        UsageError: for an unknown argument, dtype or tolerance.
    """
    for name in mark.kwargs:
        if name not in MARKER_ARGUMENTS:
            raise UsageError(choice(f"argument of the marker {DEFAULTS}", name, MARKER_ARGUMENTS))
    if mark.args:
        raise UsageError(
            f"the marker {DEFAULTS} has the arguments {mark.args}; name each: {', '.join(MARKER_ARGUMENTS)}"
        )
    dtype = mark.kwargs.get("dtype", Options.dtypes)
    dtypes = (dtype,) if isinstance(dtype, str) else dtype
    Options((), dtypes, atol=mark.kwargs.get("atol"), rtol=mark.kwargs.get("rtol"))
    return dict(mark.kwargs)
