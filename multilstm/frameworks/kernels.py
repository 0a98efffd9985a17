"""Kernels that computed LSTMs, found in programs that a framework compiled or operators that it dispatched.

The path of Keras that was entered is not yet the kernel that ran. The kernel is found in XLA's compiled program, in
TensorFlow's graph, or among the operators that PyTorch dispatched. This module imports no framework.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Set
from typing import Any

CUDNN, LOOP = "cuDNN", "loop"
FUSED, UNROLLED = "fused", "unrolled"  # with LOOP, the paths of Keras
# Parts of the names of cuDNN's kernels: one launch for all timesteps, or one launch for each timestep.
_ALGORITHMS = {
    "persistent": re.compile(r"RNN_\w*[Pp]ersist"),  # RNN_blockPersist_fp_LSTM
    "standard": re.compile(r"elemWiseRNNcell|(?:RNN|LSTM)_elementWise"),
}
_WHILE = re.compile(r"\bwhile\(|stablehlo\.while")  # the text of XLA, and the text that JAX gives to XLA


def of_hlo(text: str) -> set[str]:
    """Return `cuDNN` and `loop` as far as an XLA program has them (`jax.experimental.rnn` calls `cudnn_rnn_ffi`)."""
    return ({CUDNN} if "cudnn_rnn" in text else set()) | ({LOOP} if _WHILE.search(text) else set())


def of_graph(operations: Iterable[str]) -> set[str]:
    """Return the same for the operations in a TensorFlow graph and in the functions that it calls."""
    kinds = set(operations)
    cudnn = any(kind.startswith("CudnnRNN") for kind in kinds)
    return ({CUDNN} if cudnn else set()) | ({LOOP} if kinds & {"While", "StatelessWhile"} else set())


def named(found: Set[str], loop: str) -> str:
    """Describe the kernels that `of_hlo` or `of_graph` found, and call a loop `loop`."""
    return ", ".join(sorted(loop if kind == LOOP else kind for kind in found)) or "neither cuDNN nor a loop"


def of_aten(operators: Iterable[str]) -> str:
    """Return the kernel of an LSTM in PyTorch, by the operators that were dispatched, such as `aten::_cudnn_rnn`."""
    dispatched = set(operators)
    for operator, kernel in (
        ("aten::_cudnn_rnn", CUDNN),
        ("aten::mkldnn_rnn_layer", "mkldnn"),
        ("aten::_thnn_fused_lstm_cell", "ATen, fused cell"),
    ):
        if operator in dispatched:
            return kernel
    return "ATen"


def traced(function: Callable[[], Any], start: Callable[[], Any], stop: Callable[[], Any]) -> tuple[Any, bool]:
    """Call the function while a profiler runs; return its value, and whether the profiler could start."""
    try:
        start()
    except Exception:  # of any kind: no permission, a library is missing, or another profiler runs
        return function(), False
    try:
        return function(), True
    finally:
        stop()


def with_algorithm(kernel: str, launched: Iterable[str]) -> str:
    """Return `kernel` with the algorithm of cuDNN, read from the names of the GPU kernels that were launched.

    The algorithm that a framework requests does not decide: cuDNN may take persistent kernels in place of its
    standard algorithm. A forward pass may have one algorithm and its gradient the other. Nothing is added where no
    name is cuDNN's.
    """
    names = set(launched)
    algorithms = [algorithm for algorithm, pattern in _ALGORITHMS.items() if any(map(pattern.search, names))]
    if not algorithms:
        return kernel
    return f"{kernel}, {CUDNN}'s {' and '.join(algorithms)} kernels"


def confirmed(entered: Set[str], found: Set[str], loop: str) -> set[str]:
    """Return the entered paths of Keras, named by the kernels that the compiled program really contains.

    Args:
        entered: `fused`, `loop`, `unrolled`, or a sentence with the reason why cuDNN failed.
        found: the kernels that `of_hlo` or `of_graph` found.
        loop: the name of the backend's loop.
    """
    names = {
        FUSED: CUDNN if CUDNN in found else "Keras's fused path, without cuDNN",
        LOOP: loop if LOOP in found else f"{loop}, of which the compiler left no loop",
    }
    return {names.get(path, path) for path in entered}
