"""What a worker answers for an engine: `{"call": "execute", "job": ...}`; `facts` or `doctor`, with the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from multilstm.engines.base import Executor
from multilstm.engines.registry import load
from multilstm.job import job_from_tree, result_to_tree


def serve(target: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The service of the engine `module:Class`, for `multilstm.workers.worker`."""
    executor = Executor(load(target))

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        if message["call"] in ("facts", "doctor"):
            executor.engine.use(message["device"])
            return getattr(executor.engine, message["call"])()  # type: ignore[no-any-return]
        return result_to_tree(executor.execute(job_from_tree(message["job"])))

    return answer
