"""A loop over time on one device or several, each over its own rows of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec

from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.filling import with_full_vectors
from multilstm.scan.loops.problem import LoopOptions, Problem


def over_devices(options: LoopOptions, loop: Callable[..., Any], problem: Problem) -> Any:
    """Run the loop on every device over its own rows; the weights' gradients of all devices are summed."""
    if options.split is None:
        return with_full_vectors(options, loop, problem)
    mesh, batch = options.split.mesh, problem.x.shape[0]
    if batch % mesh.size:
        problem = problem.with_equal_shares(mesh.size)
    rows, whole = PartitionSpec(*mesh.axis_names), PartitionSpec()
    by_gate = PartitionSpec(None, *mesh.axis_names)
    split = Problem(
        params=whole,
        x=rows,
        state=rows,
        mask=rows,
        lengths=rows if problem.lengths is not None and problem.lengths.ndim else whole,
        dropout=Dropout(*(by_gate if mask is not None and mask.ndim == 3 else rows for mask in problem.dropout)),
    )

    def on_device(problem: Problem) -> Any:
        return with_full_vectors(options, loop, problem)

    result = jax.shard_map(on_device, mesh=mesh, in_specs=(split,), out_specs=rows, check_vma=False)(problem)
    return result if problem.x.shape[0] == batch else jax.tree.map(lambda array: array[:batch], result)
