"""Keras's LSTM on PyTorch, in eager mode, as Keras runs it."""

from __future__ import annotations

from typing import Any, final

import keras
import torch

from multilstm.bench.contestants.base import FORWARD, GRADIENT, AbstractContestant, Run
from multilstm.bench.contestants.keras_base import named, sequential
from multilstm.bench.shapes import Problem
from multilstm.frameworks import torch as torch_platform


@final
class KerasTorchContestant(AbstractContestant):
    """The model called as a module, with gradients by autograd."""

    platform = torch_platform

    def prepare(self, problem: Problem) -> dict[str, Run]:
        model = sequential(problem)
        weights = [variable.value for variable in model.trainable_variables]
        device = torch_platform.NAMES[self.device]
        x, cotangent = (torch.from_numpy(array).to(device) for array in (problem.x, problem.cotangent))
        mask = None if problem.mask is None else torch.from_numpy(problem.mask).to(device)

        def forward() -> Any:
            with torch.no_grad():
                return torch_platform.ready(model(x, mask=mask))

        def gradient() -> Any:
            return torch_platform.ready(torch.autograd.grad((model(x, mask=mask) * cotangent).sum(), weights))

        return {
            FORWARD: Run(
                forward, lambda y: {"sequence": y.cpu().numpy()}, lambda: torch_platform.implementation(forward)
            ),
            GRADIENT: Run(
                gradient,
                lambda tensors: named(problem, [tensor.cpu().numpy() for tensor in tensors]),
                lambda: torch_platform.implementation(gradient),
            ),
        }

    def versions(self) -> dict[str, str]:
        return {
            "keras": keras.__version__,
            "torch": torch.__version__,
            "threads": str(torch.get_num_threads()),
        }
