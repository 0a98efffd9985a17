"""`torch.nn.LSTM`, without Keras: oneDNN on a CPU, cuDNN on a GPU."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch

from multilstm.bench.contestants.base import FORWARD, GRADIENT, AbstractContestant, Run, weight_names
from multilstm.bench.shapes import Problem
from multilstm.frameworks import torch as torch_platform
from multilstm.spec.arrays import Array


@final
class TorchLSTMContestant(AbstractContestant):
    """One module for all layers and directions; a ragged batch is a packed sequence."""

    platform = torch_platform

    def prepare(self, problem: Problem) -> dict[str, Run]:
        shape = problem.shape
        device = torch_platform.NAMES[self.device]
        x, cotangent = (torch.from_numpy(array).to(device) for array in (problem.x, problem.cotangent))
        module = torch.nn.LSTM(
            shape.features,
            shape.units,
            shape.layers,
            batch_first=True,
            bidirectional=shape.bidirectional,
            dtype=x.dtype,
            device=x.device,
        )
        suffixes = {prefix: f"_l{layer}" + "_reverse" * way for layer, way, prefix in weight_names(shape)}
        with torch.no_grad():
            for layer, way, prefix in weight_names(shape):
                kernel, recurrent, bias = problem.weights[layer][way]
                for name, array in (("weight_ih", kernel.T), ("weight_hh", recurrent.T), ("bias_ih", bias)):
                    getattr(module, name + suffixes[prefix]).copy_(torch.from_numpy(np.ascontiguousarray(array)))
                getattr(module, "bias_hh" + suffixes[prefix]).zero_()
        lengths = (
            None if problem.lengths is None else torch.from_numpy(problem.lengths)
        )  # PyTorch requires lengths on the CPU
        pack, unpack = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence

        def forward() -> Any:
            if lengths is None:
                return module(x)[0]
            return unpack(module(pack(x, lengths, True, enforce_sorted=False))[0], True, 0.0, shape.timesteps)[0]

        def only_forward() -> Any:
            module.eval()  # in training mode cuDNN also stores the values for a gradient
            with torch.no_grad():
                return torch_platform.ready(forward())

        def gradient() -> Any:
            module.train()
            module.zero_grad(set_to_none=True)
            (forward() * cotangent).sum().backward()
            torch_platform.ready(cotangent)

        def arrays(_: Any) -> dict[str, Array]:
            names = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih"}
            return {
                prefix + key: getattr(module, name + suffix).grad.cpu().numpy().T
                for prefix, suffix in suffixes.items()
                for key, name in names.items()
            }

        return {
            FORWARD: Run(
                only_forward,
                lambda y: {"sequence": y.cpu().numpy()},
                lambda: torch_platform.implementation(only_forward),
            ),
            GRADIENT: Run(gradient, arrays, lambda: torch_platform.implementation(gradient)),
        }

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__, "threads": str(torch.get_num_threads())}
