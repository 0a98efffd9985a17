"""Keras on PyTorch, eager or through `torch.compile`, and Keras's trainer with the same setting."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, final

import keras
import torch

from multilstm.bench.contestants.base import Run
from multilstm.bench.contestants.keras_base import AbstractKerasContestant, AbstractKerasProgram
from multilstm.frameworks import kernels
from multilstm.frameworks import torch as torch_platform
from multilstm.jobs.job import Job


@final
class KerasTorchContestant(AbstractKerasContestant):
    """Keras's PyTorch backend.

    Args:
        options: with `compile`, Keras and PyTorch compile the model; otherwise the model runs eagerly, which is
            Keras's default.
    """

    platform = torch_platform

    def __init__(self, *options: str) -> None:
        self._compile = "compile" in options

    def program(self, job: Job) -> AbstractKerasProgram:
        return _Program(job, self._compile)

    def switches(self) -> dict[str, str]:
        return {**torch_platform.switches(), "jit_compile": str(self._compile)}


@final
class _Program(AbstractKerasProgram):
    def forward(self) -> Run:
        x, model = self._tensors(0), self._model()

        def forward() -> Any:
            with torch.no_grad():
                return torch_platform.ready(model(x, training=False))

        return Run(forward, self.outputs, self.kernels, first=self.first(forward))

    def gradient(self) -> Run:
        x, targets, model = self._tensors(0), keras.tree.flatten(self._tensors(1)), self._model()
        weights = [variable.value for variable in self.model.trainable_variables]

        def gradient() -> Any:
            loss = self.total_loss(targets, keras.tree.flatten(model(x, training=True)))
            return torch_platform.ready(torch.autograd.grad(loss, weights, materialize_grads=True))

        return Run(gradient, self.gradients, self.kernels, first=self.first(gradient))

    def kernels(self, found: Set[str] | None = None) -> str:
        names = {"python loop (Keras)" if path == kernels.LOOP else path for path in self.entered}
        return ", ".join(sorted(names)) + (", through torch.compile" if self.model.jit_compile else "")

    def fused(self, path: Callable[[], Any], operator: str) -> tuple[Any, str]:
        if self.model.jit_compile:
            return path(), "Keras's fused path"
        return torch_platform.recurrent_kernel(path, operator)

    def _model(self) -> Any:
        return torch.compile(self.model) if self.model.jit_compile else self.model

    def _tensors(self, part: int) -> Any:
        """Return the inputs (0) or the targets (1) of the first batch on the device."""
        return keras.tree.map_structure(keras.ops.convert_to_tensor, self.batches[0][part])
