"""PyTorch: the functions of `Platform`, the operators that it dispatches, and operations for the self-test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from multilstm.frameworks import kernels, private_torch
from multilstm.frameworks.self_test import Operations

NAMES = {"cpu": "cpu", "gpu": "cuda"}  # our names of devices, and PyTorch's


def versions() -> dict[str, str]:
    """Return the version of PyTorch."""
    return {"torch": torch.__version__}


def devices() -> list[str]:
    """Return all devices, the default of a GPU job first, as `gpu:0 NVIDIA H200` or `cpu`."""
    count = torch.cuda.device_count()
    return [*(f"gpu:{index} {torch.cuda.get_device_name(index)}" for index in range(count)), "cpu"]


def no_gpu() -> str:
    """Return why PyTorch cannot compute on a GPU; see `Platform`."""
    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA; install a CUDA build as pytorch.org says"
    return (
        f"torch {torch.__version__}, built for CUDA {torch.version.cuda}, finds none; see whether nvidia-smi and "
        f"CUDA_VISIBLE_DEVICES name one, and whether the driver is new enough"
    )


def set_tf32(allowed: bool) -> None:
    """Let cuBLAS and cuDNN round float32 to TF32, or not.

    PyTorch 2.9 has two interfaces for this, whose settings must agree.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    for backend in _fp32():
        backend.fp32_precision = "tf32" if allowed else "ieee"


def _fp32() -> list[Any]:
    """Return the backends that have the attribute `fp32_precision` of newer PyTorch."""
    cudnn = torch.backends.cudnn
    found = (torch.backends.cuda.matmul, getattr(cudnn, "conv", None), getattr(cudnn, "rnn", None))
    return [backend for backend in found if hasattr(backend, "fp32_precision")]


def make_deterministic() -> None:
    """Select kernels that give the same bits every time; operations without one raise.

    cuBLAS reads its variable when it starts, so `process_environment` sets it.
    """
    torch.use_deterministic_algorithms(True)


def ready(value: Any) -> Any:
    """Return the value after its computation: a GPU computes while Python continues."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return value


def watch(function: Callable[[], Any]) -> tuple[Any, set[str]]:
    """Call the function; return its value and the operators that it dispatched, such as `aten::mm`."""
    with private_torch.record_torch_operators() as operators:
        return function(), operators


def implementation(function: Callable[[], Any]) -> str:
    """Call the function; return the kernel of its LSTMs, by the operators that it dispatched."""
    return kernels.of_aten(watch(function)[1])


def recurrent_kernel(path: Callable[[], Any], operator: str) -> tuple[Any, str]:
    """Call a recurrent path of Keras; return its result and its kernel. Keras gives no sign where cuDNN fails.

    Args:
        path: calls it.
        operator: the operator of `torch_recurrent`; empty for a path of Keras.
    """
    result, operators = watch(path)
    kernel = kernels.of_aten(operators)
    if kernel == kernels.CUDNN:
        return result, kernel
    return result, f"{operator} ({kernel})" if operator else "python loop (Keras, fused cell)"


def launched(function: Callable[[], Any], device: DeviceType = DeviceType.CUDA) -> tuple[Any, set[str]]:
    """Call the function; return its value, and the names of the kernels that PyTorch's profiler saw on the device."""
    profiler = profile(activities=[getattr(ProfilerActivity, device.name)])
    value, profiled = kernels.traced(lambda: ready(function()), profiler.start, profiler.stop)
    return value, {event.name for event in profiler.events() if event.device_type == device} if profiled else set()


def place(tensor: Any) -> str:
    """Return the device of a tensor: `cpu` or `gpu`."""
    return "gpu" if tensor.device.type == "cuda" else str(tensor.device.type)


def switches() -> dict[str, str]:
    """Return precision, determinism and threads."""
    legacy = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
    found = {
        "TF32": "on" if legacy or any(backend.fp32_precision == "tf32" for backend in _fp32()) else "off",
        "threads": str(torch.get_num_threads()),
        "deterministic": "on" if torch.are_deterministic_algorithms_enabled() else "off",
    }
    return {**found, "cuDNN": str(torch.backends.cudnn.version())} if torch.cuda.is_available() else found


def operations() -> Operations:
    """Return the operations of eager PyTorch, on the GPU if this process sees one."""
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
