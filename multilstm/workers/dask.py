"""Engines behind a Dask scheduler: a worker offers an engine as a resource, as in `--resources "keras-jax=1"`.

Dask never answers a job whose resource no worker has (dask#9587). So labels are checked before anything starts, and
watched while jobs wait.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from multilstm.engines.registry import ENGINES, base_name
from multilstm.errors import EngineUnavailableError, listed
from multilstm.workers.executor_pool import GO_ON, ExecutorPool

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["dask_pool"]

CONNECT_S = 10.0
LOOK_S = 2.0  # between two looks at the scheduler
GRACE_S = 30.0  # in which a worker that died may come back


@contextlib.contextmanager
def dask_pool(
    address: str, engines: Sequence[str], timeout_s: float, memory_gb: float | None = None
) -> Iterator[tuple[ExecutorPool, tuple[str, ...]]]:
    """Connect to a scheduler, and yield a pool of its workers with the names of its engines.

    Args:
        address: of the scheduler, such as `tcp://host:8786`.
        engines: the engines to use; empty: all that a worker offers.
        timeout_s: see `ExecutorPool`.
        memory_gb: see `ExecutorPool`.

    Raises:
        EngineUnavailableError: without the package distributed or a scheduler, or for an engine that no worker offers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise EngineUnavailableError(
            "--dask needs the package distributed, which is not installed here; install it with: "
            "pip install 'multilstm[dask]'"
        ) from None
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise EngineUnavailableError(
            f"--dask {address}: no scheduler answers ({' '.join(str(error).split())[:200]}); start one with: "
            f"dask scheduler"
        ) from None
    with client:
        labels = _labels(client)
        names = tuple(engines) or tuple(labels)
        missing = [name for name in names if name not in labels]
        if missing or not names:
            offered = listed(labels) or "none"
            raise EngineUnavailableError(
                f"--dask {address}: no worker offers {listed(missing) or 'an engine'}; the engines of its workers: "
                f'{offered}; start one with: dask worker {address} --resources "{(missing or ["keras-jax"])[0]}=1"'
            )
        executors = {name: client.get_executor(resources={name: 1}, pure=False) for name in names}
        watch = _Watch(client, address)
        with ExecutorPool(executors, labels, timeout_s, memory_gb, watch) as pool:
            yield pool, names


def _labels(client: Client) -> dict[str, int]:
    """Return the number of jobs that the workers execute at the same time, by engine."""
    labels: dict[str, int] = {}
    for worker in _workers(client).values():
        for label, amount in worker.get("resources", {}).items():
            if base_name(label) in ENGINES:
                labels[label] = labels.get(label, 0) + max(1, int(amount))
    return labels


def _workers(client: Client) -> dict[str, Any]:
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return workers


class _Watch:
    """Looks at the scheduler while jobs wait, and ends the waiting for an engine that no worker offers any more."""

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._address = address
        self._lock = threading.Lock()
        self._looked = 0.0
        self._seen: dict[str, float] = {}

    def __call__(self, engine: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._looked > LOOK_S:
                self._looked = now
                self._seen |= dict.fromkeys(self._offered(), now)
            last = self._seen.setdefault(engine, now)
        if now - last > GRACE_S:
            raise EngineUnavailableError(
                f"--dask {self._address}: no worker offers {engine} any more, for {GRACE_S:g} s; {GO_ON}"
            )

    def _offered(self) -> dict[str, int]:
        if self._client.status == "running":
            with contextlib.suppress(OSError):
                return _labels(self._client)
        return {}
