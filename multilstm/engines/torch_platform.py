"""PyTorch as its two engines see it: versions, devices, switches, and the operations of the self-test."""

from __future__ import annotations

from typing import Any

import torch

from multilstm.engines.self_test import Operations


def versions() -> dict[str, str]:
    """PyTorch."""
    return {"torch": torch.__version__}


def devices() -> list[str]:
    """Every device, the default of a GPU job first, as `gpu:0 NVIDIA H200` or `cpu`."""
    count = torch.cuda.device_count()
    return [*(f"gpu:{index} {torch.cuda.get_device_name(index)}" for index in range(count)), "cpu"]


def switches() -> dict[str, str]:
    """Precision, determinism and threads."""
    found = {
        "threads": str(torch.get_num_threads()),
        "deterministic": "on" if torch.are_deterministic_algorithms_enabled() else "off",
    }
    if torch.cuda.is_available():
        tf32 = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
        return {"TF32": "on" if tf32 else "off", "cuDNN": str(torch.backends.cudnn.version()), **found}
    return found


def operations() -> Operations:
    """Eager PyTorch, on the GPU where this process sees one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def array(tensor: Any) -> Any:
        return tensor.detach().cpu().numpy()

    return Operations(
        tensor=lambda values: torch.as_tensor(values, device=device),
        array=array,
        compiled=lambda function: function,
        sum=torch.sum,
        matmul=torch.matmul,
        transpose=torch.t,
        tanh=torch.tanh,
        sigmoid=torch.sigmoid,
    )
