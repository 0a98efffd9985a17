"""`multilstm.scan`, jitted."""

from __future__ import annotations

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from multilstm.bench.contestants.base import FORWARD, GRADIENT, AbstractContestant, Run, weight_names
from multilstm.bench.contestants.jax_base import jitted_run
from multilstm.bench.shapes import Problem
from multilstm.frameworks import jax as jax_platform
from multilstm.scan import LSTMParams, stack, tune_cpu
from multilstm.scan.loops.plan import Sizes, worth_splitting
from multilstm.scan.parallel import data_parallel_mesh
from multilstm.spec.arrays import Array


@final
class ScanContestant(AbstractContestant):
    """A stack of layers, each forward or bidirectional.

    If `multilstm.scan.loops.plan.worth_splitting` recommends it, the batch is split over all devices.

    Args:
        options: `tuned` calls `tune_cpu` first; `mask` describes ragged sequences with a mask instead of lengths.
    """

    platform = jax_platform

    def __init__(self, *options: str) -> None:
        self._masked = "mask" in options
        self._tuned = tune_cpu() if "tuned" in options else {}

    def prepare(self, problem: Problem) -> dict[str, Run]:
        params: Any = [
            tuple(LSTMParams(*map(jnp.asarray, direction)) for direction in layer)
            if problem.shape.bidirectional
            else LSTMParams(*map(jnp.asarray, layer[0]))
            for layer in problem.weights
        ]
        shape, devices = problem.shape, jax.devices()
        sizes = Sizes(shape.batch, shape.timesteps, shape.features, shape.units, problem.x.itemsize)
        mesh = data_parallel_mesh(devices) if worth_splitting(sizes, len(devices)) else None
        replicated = None if mesh is None else NamedSharding(mesh, PartitionSpec())
        by_row = None if mesh is None else NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
        params = jax.device_put(params, replicated)
        x, cotangent = jax.device_put((problem.x, problem.cotangent), by_row)

        lengths: Any = None if problem.lengths is None else jnp.asarray(problem.lengths)
        padding = {"mask": problem.mask} if self._masked else {"lengths": lengths}

        def forward(params: Any, x: Any) -> Any:
            return stack(params, x, mesh=mesh, **padding)[0]

        def loss(params: Any, x: Any, cotangent: Any) -> Any:
            return (forward(params, x) * cotangent).sum()

        compiled, gradient = jax.jit(forward), jax.jit(jax.grad(loss))

        def arrays(value: Any) -> dict[str, Array]:
            gradients = {}
            for layer, direction, prefix in weight_names(problem.shape):
                weights = value[layer][direction] if problem.shape.bidirectional else value[layer]
                gradients.update({prefix + key: np.asarray(array) for key, array in weights._asdict().items()})
            return gradients

        return {
            FORWARD: jitted_run(compiled, (params, x), lambda y: {"sequence": np.asarray(y)}),
            GRADIENT: jitted_run(gradient, (params, x, cotangent), arrays),
        }

    def versions(self) -> dict[str, str]:
        return {**jax_platform.versions(), **self._tuned}
