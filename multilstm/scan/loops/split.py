"""The split of a batch over the devices of this process, chosen by size for `mesh="auto"`; `SPLITS` is the table.

The first row that applies decides, as in `plan.py`. No split changes an answer beyond rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from multilstm.scan.loops.plan import Sizes, platform

AXIS = "batch"
MeshOption: TypeAlias = Mesh | Literal["auto"] | bool | None


@dataclasses.dataclass(frozen=True)
class Split:
    """The devices that share a batch.

    Attributes:
        mesh: one axis of devices.
        padded: whether rows are added to a batch that the devices do not divide; otherwise such a batch is refused.
    """

    mesh: Mesh
    padded: bool = False


class SplitRequest(NamedTuple):
    """All that a split depends on.

    Attributes:
        sizes: of the whole batch.
        devices: the number of devices of this process.
        platform: as `plan.platform` returns it.
        is_placed: whether an array has been put on some of the devices, but not on all of them.
        is_split: whether an array has been put on all of them.
        has_own_mesh: whether the user's program has shared the devices out: inside of `jax.shard_map`, `jax.pmap` or
            `jax.set_mesh`, or with an array of explicit sharding.
    """

    sizes: Sizes
    devices: int
    platform: str
    is_placed: bool = False
    is_split: bool = False
    has_own_mesh: bool = False


class Row(NamedTuple):
    """One row of the table.

    Attributes:
        name: of the row.
        applies: the condition.
        splits: whether the batch is split where the row applies.
        measured: the reason, and where it was measured: (batch, timesteps, features, units). The numbers are the time
            on one device divided by that on two, forward and gradient.
    """

    name: str
    applies: Callable[[SplitRequest], bool]
    splits: bool
    measured: str


_NEAR_BYTES = 2 << 20  # of a recurrent kernel that each core keeps in its own cache
_WORTH_SHARING = 6  # rows of each device: below, forward is slower
_WORTH_SPLITTING = 70_000  # outputs: below, starting the loops on two devices takes longer than the loop


SPLITS = (
    Row("one_device", lambda request: request.devices < 2, False, "there is nothing to share"),
    Row("several_processes", lambda request: jax.process_count() > 1, False, "a mesh of all processes is the user's"),
    Row("own_mesh", lambda request: request.has_own_mesh, False, "the user's program has shared the devices out"),
    Row("few_rows", lambda request: request.sizes.batch < 2 * request.devices, False, "each device needs two rows"),
    Row("split_before", lambda request: request.is_split, True, "the arrays are on all devices already"),
    Row("placed", lambda request: request.is_placed, False, "the user has chosen a device"),
    Row("unmeasured_device", lambda request: request.platform != "cpu", False, "not measured outside of CPUs"),
    Row(
        "wide_kernel", lambda request: request.sizes.kernel_bytes > _NEAR_BYTES, False,
        "each device fetches the whole kernel: (28,117,8,387): 0.99 and 0.94; (16,128,768,768): forward 0.41",
    ),
    Row(
        "few_rows_each", lambda request: request.sizes.batch < _WORTH_SHARING * request.devices, False,
        "(9,196,7,57): 0.77 and 1.11; (7,254,2,190): 0.88 and 1.51; (13,447,49,160): 1.35 and 1.76",
    ),
    Row(
        "little_work", lambda request: request.sizes.outputs < _WORTH_SPLITTING, False,
        "(13,11,49,11): 0.52 and 0.60; (18,16,7,44): 1.07 and 0.85; (48,79,41,15): 1.01 and 0.95",
    ),
    Row(
        "otherwise", lambda request: True, True,
        "(134,55,18,11): 1.49 and 1.29; (62,78,42,81): 1.76 and 1.26; (525,27,23,338): 1.02 and 1.03",
    ),
)  # fmt: skip
BY_SIZE = SPLITS[-4:]  # the rows in whose place a measurement may decide


def split_over(
    mesh: MeshOption | Split,
    problems: Sequence[Sizes],
    measured: Callable[[Sizes, Split], bool | None],
    arrays: Any = (),
) -> Split | None:
    """Return the split of a batch: that of the user's mesh, or for `auto` that of the table.

    Args:
        mesh: as in `lstm`, or a split that was chosen before.
        problems: the sizes of every LSTM over the same batch. If one of them gains by a split, all are split.
        measured: returns whether a split is faster by measurement; None without one, so that the table decides.
        arrays: a tree of arrays; those with values show whether the user has chosen devices. An array that `jax.grad`
            traces has a value; one that `jax.jit` traces has none.
    """
    if isinstance(mesh, Split):
        return mesh
    if isinstance(mesh, Mesh):
        return Split(mesh)
    if not mesh:
        return None
    devices, leaves = jax.local_devices(), jax.tree.leaves(arrays)
    placed = {device for leaf in leaves for device in _committed(leaf)}
    own_mesh = not jax.sharding.get_abstract_mesh().empty or any(map(_is_explicit, leaves))
    is_split, is_placed = placed == set(devices), bool(placed) or jax.config.jax_default_device is not None
    for sizes in problems:
        request = SplitRequest(sizes, len(devices), platform(), is_placed and not is_split, is_split, own_mesh)
        row, split = row_for(request), Split(Mesh(np.array(devices), (AXIS,)), padded=True)
        faster = measured(sizes, split) if row in BY_SIZE else None
        if row.splits if faster is None else faster:
            return split
    return None


def _committed(array: Any) -> set[jax.Device]:
    """Return the devices on which the user has put an array; none for one that has no value here."""
    if isinstance(array, jax.core.Tracer):
        array = array.to_concrete_value()
    return array.devices() if isinstance(array, jax.Array) and array.committed else set()


def _is_explicit(array: Any) -> bool:
    """Return whether the type of an array names axes of a mesh (JAX's explicit sharding)."""
    return isinstance(array, jax.Array) and AxisType.Explicit in jax.typeof(array).sharding.mesh.axis_types


def row_for(request: SplitRequest) -> Row:
    """Return the first row of `SPLITS` that applies."""
    return next(row for row in SPLITS if row.applies(request))
