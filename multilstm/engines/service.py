"""Service of an engine in its worker process.

Messages are `{"call": "execute", "job": ...}` and `{"call": "facts" or "doctor", "device": ...}`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from multilstm.engines.executor import Executor
from multilstm.engines.registry import load
from multilstm.engines.repeatability import trial
from multilstm.jobs.wire import job_from_tree, result_to_tree


def serve(target: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the service of the engine `module:Class`, for `multilstm.workers.child`."""
    executor = Executor(load(target))

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        if message["call"] in ("facts", "doctor"):
            executor.engine.use(message["device"])
        if message["call"] == "facts":
            return executor.engine.facts()
        if message["call"] == "doctor":
            facts = executor.engine.doctor()
            test, implementation = trial(executor, message["device"])
            return {
                **facts,
                "self_test": [*facts["self_test"], dataclasses.asdict(test)],
                "implementation": dataclasses.asdict(implementation),
            }
        return result_to_tree(executor.execute(job_from_tree(message["job"])))

    return answer
