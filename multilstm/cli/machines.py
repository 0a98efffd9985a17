"""The environments and machines in which the engines of a run compute: `--python` and `--dask`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from multilstm.errors import UsageError, listed

if TYPE_CHECKING:
    from multilstm.workers import Pool

__all__ = ["Machines"]


@dataclasses.dataclass(frozen=True)
class Machines:
    """The values of the options with these names.

    Attributes:
        engines: the values of `--engine`; empty: all.
        python: the values of `--python`, such as `keras-jax@old=/path/to/python`.
        dask: the address of a scheduler; None: none.
        shrink: the folder of `--shrink`; None: not given.
    """

    engines: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    dask: str | None = None
    shrink: str | None = None

    def __post_init__(self) -> None:
        """Refuse unknown engines, before a model is read or the module of its function is imported."""
        from multilstm.engines.registry import engine_row

        for name in self.engines:
            engine_row(name)

    @contextlib.contextmanager
    def ready(self, timeout_s: float, memory_gb: float | None) -> Iterator[tuple[Pool | None, tuple[str, ...]]]:
        """Have the engines registered inside of a `with` block, and yield the pool and the names for the run.

        Args:
            timeout_s: seconds after which a job is abandoned.
            memory_gb: memory of a worker, in 1e9 bytes; None: a fair share.

        Raises:
            UsageError: for options that exclude each other, and for a value of `--python` of another form.
            EngineUnavailableError: for an interpreter or a scheduler that cannot run an engine.
        """
        from multilstm.engines.elsewhere import row_with
        from multilstm.engines.registry import registered

        if self.dask is not None and self.python:
            raise UsageError("--dask and --python: start a Dask worker in that environment, and label it; give one")
        if self.shrink is not None and (self.dask is not None or self.python):
            raise UsageError("--shrink writes scripts for this environment, so --python and --dask exclude it")
        if self.dask is None:
            with registered([row_with(label, path) for label, path in self._paths().items()]):
                yield None, self.engines
            return
        from multilstm.workers.dask import dask_pool

        with (
            dask_pool(self.dask, self.engines, timeout_s, memory_gb) as (pool, engines),
            registered(pool.rows()),
        ):
            yield pool, engines

    def _paths(self) -> dict[str, str]:
        """Return the path of the interpreter of each engine."""
        from multilstm.engines.registry import engine_row

        paths: dict[str, str] = {}
        for value in self.python:
            label, equals, path = value.partition("=")
            if not equals or not path:
                raise UsageError(f"--python {value!r}: expected ENGINE=PATH, such as keras-jax@old=/path/to/python")
            if label in paths:
                raise UsageError(f"--python gives {label!r} twice; give each engine once, or labels: {label}@old")
            engine_row(label)
            paths[label] = path
        unused = [label for label in paths if self.engines and label not in self.engines]
        if unused:
            raise UsageError(f"--python names {listed(unused)}, which --engine leaves out; name them there too")
        return paths
