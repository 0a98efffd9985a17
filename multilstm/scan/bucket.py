"""A model that is compiled once for many lengths: arrays are padded, and their real length is an argument.

    >>> bucketed = BucketedModel(model(spec))
    >>> weights, slots, loss, evaluation = bucketed.train_step(
    ...     weights, slots, adam.coefficients(0), {"input_layer": x}, [y], optimizer=adam, loss="mean_squared_error")

The number of timesteps that the spec leaves open is rounded up to a power of two. The loops over time end with the
real timesteps, so that padding costs memory and hardly any time. Results equal those without padding, up to the order
in which gradients are summed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from multilstm.errors import InputError, shown
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.scan.batch import Arrays, Batch, Evaluation
from multilstm.scan.compiled import AbstractCompiledModel
from multilstm.scan.forward import is_open
from multilstm.scan.loops.plan import platform
from multilstm.scan.loops.split import Split
from multilstm.scan.model import ScanModel
from multilstm.scan.validation import as_arrays, check_batch

SMALLEST = 16


def bucket(timesteps: int) -> int:
    """Return the smallest power of two not below `timesteps`, and at least `SMALLEST`; 0 for no timesteps."""
    return max(SMALLEST, 1 << (timesteps - 1).bit_length()) if timesteps else 0


@functools.cache
def quick_to_compile() -> dict[str, bool] | None:
    """Return the options with which XLA compiles faster for a CPU, with loops no slower (docs/explanation/speed.md).

    None on another device, and if this version of XLA refuses them.
    """
    options = {"xla_cpu_use_fusion_emitters": False}
    if platform() != "cpu":
        return None
    try:
        jax.jit(lambda x: x, compiler_options=options)(0.0)
    except jax.errors.JaxRuntimeError:
        return None
    return options


def _together(tree: Any, mesh: Mesh | None) -> Any:
    """Return the tree with all arrays on the devices of one batch: some may come from a batch of other devices.

    Args:
        tree: of arrays, the first ones the weights.
        mesh: the devices that share the batch; None: one device, that of the weights if they are on one.
    """
    leaves = jax.tree.leaves(tree)
    committed = [leaf for leaf in leaves if isinstance(leaf, jax.Array) and leaf.committed]
    if not committed:
        return tree
    first = committed[0].devices() if len(committed[0].devices()) == 1 else jax.local_devices()
    place = SingleDeviceSharding(next(iter(first))) if mesh is None else NamedSharding(mesh, PartitionSpec())

    def put(leaf: Any) -> Any:
        elsewhere = isinstance(leaf, jax.Array) and leaf.committed and leaf.devices() != place.device_set
        return jax.device_put(leaf, place) if elsewhere else leaf

    return jax.tree.map(put, tree)


@dataclasses.dataclass(frozen=True)
class BucketedModel(AbstractCompiledModel):
    """The functions of a `ScanModel`, compiled, for arrays of any length.

    Arguments and results are those of `ScanModel`, without `timesteps`. Returned arrays have their real length, as
    views of NumPy arrays, where the spec leaves that number open. Cutting them to it waits for the computation.
    With `mesh="auto"` of the model, arrays are put on the devices that compute a batch.

    Attributes:
        model: as `multilstm.scan.model` returned it.
    """

    model: ScanModel

    def __post_init__(self) -> None:
        if not isinstance(self.model, ScanModel):
            raise InputError(f"BucketedModel: given {shown(self.model)}, expected the result of multilstm.scan.model")

    @property
    def inner(self) -> ScanModel:
        """The model that is compiled."""
        return self.model

    def compile(self, function: Callable[..., Any], static: Sequence[str], outputs: Sequence[str]) -> Any:
        """Return `jax.jit` of a method of `inner`, with the options of `quick_to_compile`."""
        return jax.jit(function, static_argnames=tuple(static), compiler_options=quick_to_compile())

    def enter(self, weights: Arrays, slots: Arrays, batch: Batch) -> tuple[Arrays, Arrays, Batch]:
        """Return the batch with padding, and its real number of timesteps; unchanged if the spec fixes that number.

        The batch is checked here, with the values that the compiled program has no more.

        Raises:
            InputError: for arrays that do not fit the spec, or with different numbers of timesteps.
        """
        weights, batch = check_batch(self.model.spec, weights, batch)
        slots, batch = as_arrays(slots), self._padded(batch)
        mesh = self._mesh(weights, batch)
        if self.model.mesh == "auto":
            weights, slots, batch = _together((weights, slots, batch), mesh)
        if slots:  # to the place to which a step returns them, so that the second step compiles nothing
            place = None if mesh is None else NamedSharding(mesh, PartitionSpec())
            weights, slots = jax.device_put((weights, slots), place)
        return weights, slots, batch if mesh is not None else jax.device_put(batch)

    def _mesh(self, weights: Arrays, batch: Batch) -> Mesh | None:
        """Return the devices that share a batch, or None."""
        shared = self.model.shared(weights, batch, by_place=False)
        return shared.mesh if isinstance(shared, Split) else shared

    def _padded(self, batch: Batch) -> Batch:
        spec = self.model.spec
        if batch.timesteps is not None:
            raise InputError("BucketedModel: timesteps is given, expected None; it counts the timesteps of the arrays")
        lengths: dict[str, int] = {}

        def pad(name: str, array: Any, open_: bool, fill: Any = 0) -> Any:
            if not open_:
                return array
            lengths[name] = np.shape(array)[1]
            padding = [(0, 0)] * np.ndim(array)
            padding[1] = (0, bucket(lengths[name]) - lengths[name])
            return np.pad(np.asarray(array), padding, constant_values=fill)

        opens_of_dropout = {mask.name: is_open(mask.shape) and not mask.gates for mask in dropout_masks(spec)}
        opens = {name: bool(layer.shape) and layer.shape[0] is None for name, layer in spec.inputs.items()}
        padded = batch._replace(
            inputs={name: pad(name, array, opens[name]) for name, array in batch.inputs.items()},
            targets=[
                pad(f"target {index}", target, is_open(spec.output_shapes[index]))
                for index, target in enumerate(batch.targets)
            ],
            masks={name: pad(f"mask of {name}", array, opens[name], False) for name, array in batch.masks.items()},
            dropout={
                name: pad(f"dropout of {name}", array, opens_of_dropout[name]) for name, array in batch.dropout.items()
            },
        )
        if len(set(lengths.values())) > 1:
            text = ", ".join(f"{name} {count}" for name, count in lengths.items())
            raise InputError(f"BucketedModel: expected the same number of timesteps in all arrays, given {text}")
        return padded._replace(timesteps=next(map(np.int32, lengths.values()), None))

    def leave(self, evaluation: Evaluation, batch: Batch) -> Evaluation:
        """Return the evaluation without padding."""
        timesteps, spec = batch.timesteps, self.model.spec
        if timesteps is None:
            return evaluation

        def cut(array: Any, open_: bool) -> Any:
            return array if array is None or not open_ else np.asarray(array)[:, :timesteps]

        opens = [is_open(shape) for shape in spec.output_shapes]
        return evaluation._replace(
            outputs=tuple(map(cut, evaluation.outputs, opens)),
            output_masks=tuple(map(cut, evaluation.output_masks, opens)),
            sequences={
                name: cut(array, is_open(spec.layer_inputs[name.split("/")[0]]))
                for name, array in evaluation.sequences.items()
            },
        )
