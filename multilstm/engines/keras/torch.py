"""Keras on PyTorch: eager execution and autograd, as Keras's own trainer runs it."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, final

import keras
import torch

from multilstm.engines.keras.base import AbstractKerasEngine, AbstractKerasProgram
from multilstm.frameworks import kernels
from multilstm.frameworks import torch as torch_platform
from multilstm.jobs.job import Job
from multilstm.spec.arrays import Array


@final
class KerasTorchEngine(AbstractKerasEngine):
    """Keras's PyTorch backend, without TF32."""

    platform = torch_platform
    backend = "torch"

    def __init__(self) -> None:
        super().__init__()
        torch_platform.set_tf32(False)

    def prepare(self, job: Job) -> KerasTorchProgram:
        """See `AbstractEngine.prepare`."""
        return KerasTorchProgram(job)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing is compiled."""
        return function


@final
class KerasTorchProgram(AbstractKerasProgram):
    """Nothing is compiled; Keras's fused path is cuDNN on a GPU, or, on a CPU and wherever that fails, a loop."""

    platform = torch_platform

    def run(
        self, kind: str, inputs: list[Array], masks: list[Array | None], targets: list[Array]
    ) -> tuple[Any, list[Any], list[Any]]:
        """See `AbstractKerasProgram.run`."""
        tensors = [keras.ops.convert_to_tensor(array) for array in inputs]
        given = [None if mask is None else keras.ops.convert_to_tensor(mask) for mask in masks]
        wanted = [keras.ops.convert_to_tensor(array) for array in targets]
        if kind in ("forward", "evaluate"):
            with torch.no_grad():
                outputs = keras.tree.flatten(self.model(tensors, training=False, mask=given))
                loss = None if kind == "forward" else self.total_loss(wanted, outputs, self.model.losses)
                return loss, outputs, []
        others = [tensors[index].requires_grad_() for index in self.sources]
        self.model.zero_grad()
        outputs = keras.tree.flatten(self.model(tensors, training=True, mask=given))
        loss = self.total_loss(wanted, outputs, self.model.losses)
        if self.model.trainable_variables or others:  # PyTorch refuses to differentiate by nothing
            loss.backward()
        weights = [variable.value for variable in self.model.trainable_variables]
        return loss, outputs, [each.grad for each in weights + others]

    def fused(self, path: Callable[[], Any]) -> tuple[Any, str]:
        """What it dispatches tells the kernel: Keras says nothing where cuDNN fails."""
        result, operators = torch_platform.watch(path)
        kernel = kernels.of_aten(operators)
        return result, kernel if kernel == kernels.CUDNN else "python loop (Keras, fused cell)"

    def kernels(self, entered: Set[str]) -> set[str]:
        """As they were dispatched."""
        return {"python loop (Keras)" if path == kernels.LOOP else path for path in entered}

    def place(self, tensor: Any) -> str:
        """See `AbstractKerasProgram.place`."""
        return torch_platform.place(tensor)

    def apply(self, gradients: list[Any]) -> None:
        """See `AbstractKerasProgram.apply`."""
        with torch.no_grad():
            self.optimizer.apply(gradients, self.model.trainable_variables)
