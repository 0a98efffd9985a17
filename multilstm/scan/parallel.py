"""Data parallel: the rows of a batch over the devices of one process or of several, with the same results as on one.

    >>> mesh = data_parallel_mesh()                      # all devices of all processes
    >>> parallel = ParallelModel(model(spec), mesh)
    >>> weights, slots = replicate(mesh, (weights, slots))
    >>> batch = shard_batch(mesh, ({"input_layer": x}, [target], {"input_layer": mask}))
    >>> weights, slots, loss, evaluation = parallel.train_step(
    ...     weights, slots, adam.coefficients(0), *batch, optimizer=adam, loss="mean_squared_error")

Every device holds all weights and optimizer slots, and an equal share of the rows of inputs, targets, masks, states
and dropout masks. Each function is that of `ScanModel` over the whole batch. XLA splits it over the devices, except for
the loops over time: each device runs these by itself over its own rows. No value is averaged over devices.
So a mean over the timesteps that count remains that mean, also if a mask leaves the devices unequal numbers of them.
Results differ from those on one device only in the order in which gradients are summed.

Devices communicate twice in a training step: for the loss, and for all gradients. If XLA split the loops too, plain
differentiation would sum the weights' gradients over the devices at every timestep.

The same program runs over several processes: `python -m multilstm.scan.launch --processes 2 program.py`.
Each process then passes its own rows to `shard_batch`, `x[local_slice(mesh, rows)]`, and `local_rows` returns its rows
of a result.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from multilstm.errors import InputError, UsageError
from multilstm.scan.arguments import as_numbers, narrowed
from multilstm.scan.batch import Arrays, Batch, Evaluation
from multilstm.scan.compiled import AbstractCompiledModel
from multilstm.scan.loops.split import AXIS
from multilstm.scan.model import ScanModel
from multilstm.scan.validation import check_batch


def data_parallel_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Return a mesh with one axis, `batch`, over which rows are split.

    Args:
        devices: None: `jax.devices()`, in every process the devices of all of them.

    Raises:
        UsageError: for no device or a repeated one, and for processes with different numbers of devices. Devices of
            one process must be next to one another.
    """
    given = list(jax.devices() if devices is None else devices)
    if not given or len(set(given)) != len(given):
        raise UsageError(f"data_parallel_mesh: expected at least one device and none of them twice, given {given}")
    processes = [device.process_index for device in given]
    blocks = [sum(other == process for other in processes) for process in range(jax.process_count())]
    changes = sum(before != after for before, after in itertools.pairwise(processes))
    if len(set(blocks)) != 1 or changes != len(blocks) - 1:
        raise UsageError(
            f"data_parallel_mesh: expected equally many devices of each of the {len(blocks)} processes, those of one "
            f"process next to one another, given devices of the processes {processes}"
        )
    return Mesh(np.array(given), (AXIS,))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Return the tree with every array whole on each device of the mesh: for weights and optimizer slots.

    Args:
        mesh: of `data_parallel_mesh`.
        tree: of arrays, the same ones in every process; JAX refuses different ones.
    """
    return jax.device_put(tree, _whole(mesh))


def shard_batch(mesh: Mesh, tree: Any, check: bool = True, axis: int = 0) -> Any:
    """Return the tree with one axis of every array split over the mesh: for arrays with a row for each sequence.

    Args:
        mesh: of `data_parallel_mesh`.
        tree: of arrays `[rows, ...]`, such as inputs, targets, masks, states and dropout masks. With several
            processes, the rows of this one, `local_slice(mesh, rows)` of all, in the same shapes in each process. An
            array that is already split over the mesh, such as a state that a step returned, stays as it is.
        check: with several processes, compare their shapes. It takes about a millisecond and waits for running
            computations. Without it, different shapes in one process give wrong results without an error.
        axis: of the rows; 1 for an LSTM's dropout masks for each gate, `[4, rows, size]`.

    Raises:
        InputError: for an array without rows, or with a number of rows that is no multiple of the devices. Numbers of
            rows must be the same in all arrays, and shapes the same in all processes. Also for integers beyond JAX's
            dtype.
    """
    sharding, own = _rows(mesh, axis), len(mesh.local_devices)
    rows: dict[str, int] = {}
    arrays: dict[str, str] = {}

    def read(path: Any, leaf: Any) -> Any:
        name = jax.tree_util.keystr(path) or "the array"
        if _is_placed(leaf, sharding):
            rows[name], arrays[name] = leaf.shape[axis] * own // mesh.size, "split"
            return leaf
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            raise InputError(
                f"shard_batch: {name} lies on {leaf.sharding}, expected this process's rows, or {sharding}"
            )
        array = np.asarray(as_numbers(f"shard_batch: {name}", leaf))
        if array.ndim <= axis:
            given = f"the scalar {array}" if array.ndim == 0 else f"of shape {array.shape}"
            expected = "[rows, ...]" if axis == 0 else f"with its rows along axis {axis}"
            raise InputError(f"shard_batch: {name} is {given}, expected an array {expected}")
        rows[name] = _divisible("shard_batch", f"{name} has", array.shape[axis], own, "devices of this process")
        array = narrowed(f"shard_batch: {name}", array)
        arrays[name] = f"{array.dtype}{list(array.shape)}"
        return array

    tree = jax.tree_util.tree_map_with_path(read, tree)
    if len(set(rows.values())) > 1:
        given = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise InputError(f"shard_batch: expected the same number of rows everywhere, given {given}")
    if check and jax.process_count() > 1:
        _check_equal_in_processes(", ".join(f"{name} {array}" for name, array in arrays.items()))
    return jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, jax.Array) else jax.make_array_from_process_local_data(sharding, leaf),
        tree,
    )


def local_slice(mesh: Mesh, rows: int) -> slice:
    """Return the slice of the `rows` of a whole batch that this process passes to `shard_batch`.

    Raises:
        InputError: for a number of rows that is no multiple of the devices.
    """
    each = _divisible("local_slice", "a batch has", rows, mesh.size, "devices of the mesh") // mesh.size
    start = [device.process_index for device in mesh.devices.flat].index(jax.process_index())
    return slice(start * each, (start + len(mesh.local_devices)) * each)


def local_rows(tree: Any) -> Any:
    """Return the tree as NumPy arrays: the rows of this process of an array that is split, else the whole array."""

    def fetch(array: Any) -> Any:
        if not isinstance(array, jax.Array) or array.is_fully_addressable or array.is_fully_replicated:
            return np.asarray(array)
        sizes = zip(array.addressable_shards[0].data.shape, array.shape, strict=True)
        axis = next((axis for axis, (own, whole) in enumerate(sizes) if own != whole), 0)
        shards = sorted(array.addressable_shards, key=lambda shard: shard.index[axis].start or 0)
        return np.concatenate([np.asarray(shard.data) for shard in shards], axis)

    return jax.tree.map(fetch, tree)


@dataclasses.dataclass(frozen=True)
class ParallelModel(AbstractCompiledModel):
    """The functions of a `ScanModel` over the devices of a mesh, compiled.

    Arguments and results are those of `ScanModel`. Weights and slots must come from `replicate`, all other arrays from
    `shard_batch`: dropout masks for each gate, `[4, rows, size]`, along axis 1. An optimizer's coefficients are plain
    numbers. Weights, slots, losses, gradients, statistics and penalties are returned whole on each device. Outputs,
    sequences and states are returned split, ready for the next step.

    Attributes:
        model: as `multilstm.scan.model` returned it.
        mesh: as `data_parallel_mesh` returned it.
    """

    model: ScanModel
    mesh: Mesh

    @functools.cached_property
    def inner(self) -> ScanModel:
        """The model over the mesh."""
        return dataclasses.replace(self.model, mesh=self.mesh)

    def compile(self, function: Callable[..., Any], static: Sequence[str], outputs: Sequence[str]) -> Any:
        """Return `jax.jit` of a method of `inner`, with the sharding of each output."""
        whole, rows = _whole(self.mesh), _rows(self.mesh)
        evaluation = Evaluation(*[rows] * len(Evaluation._fields))._replace(statistics=whole, activity=whole)
        shardings = {"whole": whole, "evaluation": evaluation}
        out = tuple(shardings[output] for output in outputs)
        return jax.jit(function, static_argnames=tuple(static), out_shardings=out if len(out) > 1 else out[0])

    def enter(self, weights: Arrays, slots: Arrays, batch: Batch) -> tuple[Arrays, Arrays, Batch]:
        """Return the arguments unchanged.

        Raises:
            InputError: for arrays that do not fit the spec, and for an array whose sharding over the mesh is another
                one than expected.
        """
        check_batch(self.model.spec, weights, batch)
        if batch.timesteps is not None:
            raise InputError("ParallelModel: timesteps is given, expected None; it takes arrays without padding")
        masks = dict(batch.dropout)
        by_gate = {name: masks.pop(name) for name in list(masks) if "/" in name and np.ndim(masks[name]) == 3}
        arrays = {**batch._asdict(), "dropout": masks, "step": None}  # a step belongs to no row
        for function, sharding, tree in (
            ("replicate(mesh, ...)", _whole(self.mesh), {"weights": weights, "slots": slots}),
            ("shard_batch(mesh, ...)", _rows(self.mesh), arrays),
            ("shard_batch(mesh, ..., axis=1)", _rows(self.mesh, 1), {"dropout": by_gate}),
        ):
            for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
                if not (isinstance(leaf, jax.core.Tracer) or _is_placed(leaf, sharding)):
                    place = leaf.sharding if isinstance(leaf, jax.Array) else f"the host, as {type(leaf).__name__}"
                    raise InputError(
                        f"ParallelModel: {jax.tree_util.keystr(path)} lies on {place}, expected {sharding}; "
                        f"{function} puts it there"
                    )
        return weights, slots, batch

    def leave(self, evaluation: Evaluation, batch: Batch) -> Evaluation:
        """Return the evaluation unchanged: split over the mesh."""
        return evaluation


def _whole(mesh: Mesh) -> NamedSharding:
    return NamedSharding(_check_mesh(mesh), PartitionSpec())


def _rows(mesh: Mesh, axis: int = 0) -> NamedSharding:
    return NamedSharding(_check_mesh(mesh), PartitionSpec(*[None] * axis, AXIS))


def _check_mesh(mesh: Mesh) -> Mesh:
    if mesh.axis_names != (AXIS,):
        raise UsageError(
            f"expected a mesh of the one axis {AXIS!r}, given one of {mesh.axis_names}; data_parallel_mesh makes it"
        )
    return mesh


def _is_placed(leaf: Any, sharding: NamedSharding) -> bool:
    has_axes = isinstance(leaf, jax.Array) and leaf.ndim >= len(sharding.spec)  # a weight may be one number
    return has_axes and leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


def _check_equal_in_processes(shapes: str) -> None:
    digests = multihost_utils.process_allgather(np.uint32(zlib.crc32(shapes.encode())))
    others = [str(process) for process, digest in enumerate(digests) if digest != digests[jax.process_index()]]
    if others:
        raise InputError(
            f"shard_batch: expected the same shapes and dtypes in every process, given in process "
            f"{jax.process_index()} {shapes}, and others in process {', '.join(others)}"
        )


def _divisible(function: str, subject: str, rows: int, devices: int, which: str) -> int:
    if rows % devices:
        raise InputError(
            f"{function}: {subject} {rows} rows, expected a multiple of {devices}, the number of {which}; "
            f"leave the last {rows % devices} out, or take another batch size or fewer devices"
        )
    return rows
