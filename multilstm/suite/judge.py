"""The judge: the reference's quantities, computed once for all engines."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Sequence

from multilstm.cases.case import Case
from multilstm.engines.registry import JUDGE
from multilstm.errors import MultilstmError
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part, due_parts
from multilstm.execution.quantities import Quantities
from multilstm.workers import Pool


class Judge:
    """The desired quantities of every part of every case: computed in one thread, awaited by the threads of engines."""

    def __init__(self, pool: Pool, options: Options) -> None:
        self._pool = pool
        self._options = options
        self._answers: dict[tuple[str, Part, str], concurrent.futures.Future[Quantities]] = {}
        self._lock = threading.Lock()
        self._abandoned = False

    def compute(self, cases: Sequence[Case], stop: threading.Event) -> None:
        """Compute the quantities of all cases, until `stop` is set."""
        for case in cases:
            for dtype in self._options.dtypes:
                for part in due_parts(case, dtype, self._options, JUDGE):
                    if not stop.is_set():
                        self._fill(case, dtype, part)

    def desired(self, case: Case, dtype: str, part: Part) -> Quantities:
        """Wait for the quantities of one part.

        Raises:
            WorkerError: if the reference itself failed.
        """
        return self._future(case, dtype, part).result()

    def abandon(self) -> None:
        """Close the workers, and end the waiting of all engines: nothing more will be computed."""
        self._pool.close()
        with self._lock:
            self._abandoned = True
            for future in self._answers.values():
                future.cancel()

    def _fill(self, case: Case, dtype: str, part: Part) -> None:
        future = self._future(case, dtype, part)
        if future.done():
            return
        try:
            desired = Execution(self._pool, JUDGE, case, dtype, self._options).quantities(part)
        except BaseException as error:
            if not future.done():
                future.set_exception(error)
            if not isinstance(error, MultilstmError):
                raise
        else:
            if not future.done():
                future.set_result(desired)

    def _future(self, case: Case, dtype: str, part: Part) -> concurrent.futures.Future[Quantities]:
        key = (case.name, part, "any" if case.exact_in_float32 else dtype)
        with self._lock:
            future = self._answers.setdefault(key, concurrent.futures.Future())
            if self._abandoned:
                future.cancel()
            return future
