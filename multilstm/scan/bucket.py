"""A model that is compiled once for many lengths: arrays are given room, and told how much of it is real.

    >>> bucketed = BucketedModel(model(spec))
    >>> weights, slots, loss, evaluation = bucketed.train_step(
    ...     weights, slots, adam.coefficients(0), {"input_layer": x}, [y], optimizer=adam, loss="mean_squared_error")

The number of timesteps that the spec leaves open is rounded up to a power of two. The loops over time end where the
real timesteps do, so that the room costs memory and hardly any time, and results are those without it, up to the
order in which gradients are summed up.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from multilstm.errors import InputError
from multilstm.scan.forward import Arrays, is_open
from multilstm.scan.loops.plan import platform
from multilstm.scan.model import Evaluation, ScanModel
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import Optimizer

SMALLEST = 16


def bucket(timesteps: int) -> int:
    """The smallest power of two that has room for so many timesteps, and at least `SMALLEST`; 0 for none."""
    return max(SMALLEST, 1 << (timesteps - 1).bit_length()) if timesteps else 0


@functools.cache
def _quick_to_compile() -> dict[str, bool] | None:
    """What makes XLA compile for a CPU in three fifths of the time, and loops no slower (see performance.md).

    None elsewhere, and where this version of XLA does not know it.
    """
    options = {"xla_cpu_use_fusion_emitters": False}
    if platform() != "cpu":
        return None
    try:
        jax.jit(lambda x: x, compiler_options=options)(0.0)
    except jax.errors.JaxRuntimeError:
        return None
    return options


@dataclasses.dataclass(frozen=True)
class BucketedModel:
    """The functions of a `ScanModel`, compiled, for arrays of any length.

    Arguments and results are those of `ScanModel`, without `timesteps`. Arrays that come back have their real length,
    as views of NumPy arrays, where that number is open; to cut them means to wait for them.

    Attributes:
        model: what `multilstm.scan.model` returned.
    """

    model: ScanModel

    def apply(
        self,
        weights: Arrays,
        inputs: Arrays,
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
    ) -> Evaluation:
        """As `ScanModel.apply`.

        Raises:
            InputError: for arrays with different numbers of timesteps.
        """
        batch, timesteps = self._widen(inputs, (), masks, states, dropout)
        return self._cut(self._apply(weights, batch[0], *batch[2:], timesteps), timesteps)

    def gradient(
        self,
        weights: Arrays,
        inputs: Arrays,
        targets: Sequence[jax.Array],
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
        *,
        loss: str,
    ) -> tuple[jax.Array, Evaluation, dict[str, jax.Array]]:
        """As `ScanModel.gradient`.

        Raises:
            InputError: for arrays with different numbers of timesteps.
        """
        batch, timesteps = self._widen(inputs, targets, masks, states, dropout)
        value, evaluation, gradients = self._gradient(weights, *batch, timesteps, loss=loss)
        return value, self._cut(evaluation, timesteps), gradients

    def train_step(
        self,
        weights: Arrays,
        slots: Arrays,
        coefficients: Mapping[str, Any],
        inputs: Arrays,
        targets: Sequence[jax.Array],
        masks: Arrays | None = None,
        states: Mapping[str, State] | None = None,
        dropout: Arrays | None = None,
        *,
        optimizer: Optimizer,
        loss: str,
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array], jax.Array, Evaluation]:
        """As `ScanModel.train_step`.

        Raises:
            InputError: for arrays with different numbers of timesteps.
        """
        batch, timesteps = self._widen(inputs, targets, masks, states, dropout)
        # To where they come back from a step, so that the second one compiles nothing.
        mesh = self.model.mesh
        weights, slots = jax.device_put(
            (weights, slots), None if mesh is None else NamedSharding(mesh, PartitionSpec())
        )
        *stepped, evaluation = self._train_step(
            weights, slots, coefficients, *batch, timesteps, optimizer=optimizer, loss=loss
        )
        return *stepped, self._cut(evaluation, timesteps)

    @functools.cached_property
    def _apply(self) -> Any:
        return jax.jit(self.model.apply, compiler_options=_quick_to_compile())

    @functools.cached_property
    def _gradient(self) -> Any:
        return jax.jit(self.model.gradient, static_argnames="loss", compiler_options=_quick_to_compile())

    @functools.cached_property
    def _train_step(self) -> Any:
        names = ("optimizer", "loss")
        return jax.jit(self.model.train_step, static_argnames=names, compiler_options=_quick_to_compile())

    def _widen(
        self,
        inputs: Arrays,
        targets: Sequence[Any],
        masks: Arrays | None,
        states: Mapping[str, State] | None,
        dropout: Arrays | None,
    ) -> tuple[tuple[Any, ...], int | None]:
        """The batch with room, and the real number of timesteps; None, and nothing changed, where the spec fixes it."""
        spec = self.model.spec
        found: dict[str, int] = {}

        def widen(name: str, array: Any, open_: bool, fill: Any = 0) -> Any:
            if not open_:
                return array
            found[name] = np.shape(array)[1]
            room = [(0, 0)] * np.ndim(array)
            room[1] = (0, bucket(found[name]) - found[name])
            return np.pad(np.asarray(array), room, constant_values=fill)

        open_inputs = {name: bool(layer.shape) and layer.shape[0] is None for name, layer in spec.inputs.items()}
        wide = (
            {name: widen(name, array, open_inputs[name]) for name, array in inputs.items()},
            [
                widen(f"target {index}", target, is_open(spec.output_shapes[index]))
                for index, target in enumerate(targets)
            ],
            {name: widen(f"mask of {name}", array, open_inputs[name], False) for name, array in (masks or {}).items()},
            states,
            {
                name: widen(f"dropout of {name}", array, "/" not in name and is_open(spec.layer_inputs[name]))
                for name, array in (dropout or {}).items()
            },
        )
        if len(set(found.values())) > 1:
            given = ", ".join(f"{name} {count}" for name, count in found.items())
            raise InputError(f"BucketedModel: expected the same number of timesteps everywhere, given {given}")
        return wide, next(iter(found.values()), None)

    def _cut(self, evaluation: Evaluation, timesteps: int | None) -> Evaluation:
        if timesteps is None:
            return evaluation
        spec = self.model.spec

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
