"""Keras on PyTorch: eager execution and autograd, as Keras's own trainer runs it."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, final

import keras
import torch

from multilstm.engines.keras.base import AbstractKerasEngine, AbstractKerasProgram
from multilstm.engines.keras.layout import Inputs
from multilstm.frameworks import kernels
from multilstm.frameworks import torch as torch_platform
from multilstm.jobs.job import Job


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
        """Return the function itself: PyTorch computes eagerly."""
        return function


class AbstractTorchProgram(AbstractKerasProgram):
    """An eager program. Keras's fused path is cuDNN on a GPU, and a loop on a CPU or where cuDNN fails."""

    platform = torch_platform

    def compute(self, kind: str, inputs: Inputs) -> tuple[Any, list[Any], list[Any]]:
        """See `AbstractKerasProgram.compute`."""
        tensors = [keras.ops.convert_to_tensor(array) for array in inputs.values]
        masks = [None if mask is None else keras.ops.convert_to_tensor(mask) for mask in inputs.masks]
        targets = [keras.ops.convert_to_tensor(array) for array in inputs.targets]
        if kind in ("forward", "evaluate"):
            with torch.no_grad():
                outputs = keras.tree.flatten(self.model(tensors, training=False, mask=masks))
                loss = None if kind == "forward" else self.total_loss(targets, outputs, self.model.losses)
                return loss, outputs, []
        sources = [tensors[index].requires_grad_() for index in self.sources]
        for variable in self.model.trainable_variables:  # zero_grad misses some: gradients_of_one_path_add_up
            variable.value.grad = None
        outputs = keras.tree.flatten(self.model(tensors, training=True, mask=masks))
        loss = self.total_loss(targets, outputs, self.model.losses)
        if self.model.trainable_variables or sources:  # PyTorch raises where nothing is differentiated
            loss.backward()
        weights = [variable.value for variable in self.model.trainable_variables]
        return loss, outputs, [tensor.grad for tensor in weights + sources]

    def fused(self, path: Callable[[], Any], operator: str) -> tuple[Any, str]:
        """Read the kernel from the dispatched operators."""
        return torch_platform.recurrent_kernel(path, operator)

    def kernels(self, entered: Set[str]) -> set[str]:
        """Return the paths, which `fused` has already resolved to kernels."""
        return {"python loop (Keras)" if path == kernels.LOOP else path for path in entered}

    def place(self, tensor: Any) -> str:
        """See `AbstractKerasProgram.place`."""
        return torch_platform.place(tensor)

    def apply(self, gradients: list[Any]) -> None:
        """See `AbstractKerasProgram.apply`."""
        with torch.no_grad():
            self.optimizer.apply(gradients, self.model.trainable_variables)


@final
class KerasTorchProgram(AbstractTorchProgram):
    """A model that is built from its spec."""
