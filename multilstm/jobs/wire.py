"""Jobs and results as trees of dicts, lists, strings, numbers and arrays, for the process border."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job, Result, Step
from multilstm.spec import from_json, to_json
from multilstm.spec.arrays import AnyState, as_state
from multilstm.spec.optimizers import optimizer_from_dict, optimizer_to_dict

__all__ = ["job_from_tree", "job_to_tree", "result_from_tree", "result_to_tree"]


def job_to_tree(job: Job) -> dict[str, Any]:
    """Return the job as dicts, lists, strings, numbers and arrays."""
    tree = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    tree["spec"] = to_json(job.spec)
    tree["optimizer"] = optimizer_to_dict(job.optimizer) if job.optimizer is not None else None
    tree["steps"] = [{**_shallow(step), "batch": _shallow(step.batch)} for step in job.steps]
    return tree


def job_from_tree(tree: dict[str, Any]) -> Job:
    """Return the job that `job_to_tree` wrote."""
    steps = []
    for step in tree["steps"]:
        batch = dict(step["batch"])
        batch["targets"] = tuple(batch["targets"])
        batch["states"] = _states(batch["states"])
        steps.append(Step(step["kind"], Batch(**batch), step["reset"], tuple(step["keep"])))
    optimizer = tree["optimizer"]
    return Job(
        **{
            **tree,
            "spec": from_json(tree["spec"]),
            "steps": tuple(steps),
            "optimizer": optimizer_from_dict(optimizer) if optimizer is not None else None,
            "carried": _states(tree["carried"]),
            "faults": tuple(tree["faults"]),
        }
    )


def result_to_tree(result: Result) -> dict[str, Any]:
    """Return the result as dicts, lists, strings, numbers and arrays."""
    return {
        **_shallow(result),
        "answers": [_shallow(answer) for answer in result.answers],
        "implementation": dataclasses.asdict(result.implementation),
    }


def result_from_tree(tree: dict[str, Any]) -> Result:
    """Return the result that `result_to_tree` wrote."""
    answers = tuple(
        Answer(
            **{
                **answer,
                "outputs": tuple(answer["outputs"]),
                "states": _states(answer["states"]),
                "state_gradients": _states(answer["state_gradients"]),
            }
        )
        for answer in tree["answers"]
    )
    return Result(
        **{
            **tree,
            "answers": answers,
            "carried": _states(tree["carried"]),
            "implementation": Implementation(**tree["implementation"]),
        }
    )


def _shallow(data: Any) -> dict[str, Any]:
    return {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}


def _states(tree: Mapping[str, Any]) -> dict[str, AnyState]:
    return {name: as_state(*arrays) for name, arrays in tree.items()}
