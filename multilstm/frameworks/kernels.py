"""Which kernel computed the LSTMs, read from what a framework compiled or dispatched; imports no framework.

Keras's Python says which of its paths was entered; that is not yet what ran. XLA's compiled program, TensorFlow's graph
and the operators that PyTorch dispatched do say it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Set
from typing import Any

CUDNN, LOOP = "cuDNN", "loop"
FUSED, UNROLLED = "fused", "unrolled"  # beside LOOP, the paths of Keras
# In the names of cuDNN's kernels: one launch for all timesteps, or a launch of its own for the gates of each.
_ALGORITHMS = {
    "persistent": re.compile(r"RNN_\w*[Pp]ersist"),  # RNN_blockPersist_fp_LSTM
    "standard": re.compile(r"elemWiseRNNcell|(?:RNN|LSTM)_elementWise"),
}
_WHILE = re.compile(r"\bwhile\(|stablehlo\.while")  # XLA's own text, and what JAX gives to it


def of_hlo(text: str) -> set[str]:
    """What an XLA program holds of `cuDNN` (`jax.experimental.rnn` calls `cudnn_rnn_ffi`) and `loop`."""
    return ({CUDNN} if "cudnn_rnn" in text else set()) | ({LOOP} if _WHILE.search(text) else set())


def of_graph(operations: Iterable[str]) -> set[str]:
    """The same of a TensorFlow graph, by the operations in it and in the functions that it calls."""
    kinds = set(operations)
    cudnn = any(kind.startswith("CudnnRNN") for kind in kinds)
    return ({CUDNN} if cudnn else set()) | ({LOOP} if kinds & {"While", "StatelessWhile"} else set())


def named(found: Set[str], loop: str) -> str:
    """What `of_hlo` or `of_graph` found, in words, the loop under the name that is given."""
    return ", ".join(sorted(loop if kind == LOOP else kind for kind in found)) or "neither cuDNN nor a loop"


def of_aten(operators: Iterable[str]) -> str:
    """The kernel of an LSTM in PyTorch by the operators that were dispatched: `aten::_cudnn_rnn` and its like."""
    seen = set(operators)
    for operator, kernel in (
        ("aten::_cudnn_rnn", CUDNN),
        ("aten::mkldnn_rnn_layer", "mkldnn"),
        ("aten::_thnn_fused_lstm_cell", "ATen, fused cell"),
    ):
        if operator in seen:
            return kernel
    return "ATen"


def traced(function: Callable[[], Any], start: Callable[[], Any], stop: Callable[[], Any]) -> tuple[Any, bool]:
    """Calls it while a profiler runs: what it gave, and whether there was one, since some cannot start everywhere."""
    try:
        start()
    except Exception:  # of many kinds: without permission, without a library, or with another profiler at work
        return function(), False
    try:
        return function(), True
    finally:
        stop()


def with_algorithm(kernel: str, launched: Iterable[str]) -> str:
    """Return `kernel` with the algorithm of cuDNN, read from the names of the GPU kernels that were launched.

    The algorithm that a framework asks for does not decide: asked for its standard algorithm, cuDNN may take
    persistent kernels. A forward pass may have one algorithm and its gradient the other. Nothing is added where no
    name is cuDNN's.
    """
    names = set(launched)
    seen = [algorithm for algorithm, pattern in _ALGORITHMS.items() if any(map(pattern.search, names))]
    if not seen:
        return kernel
    return f"{kernel}, {CUDNN}'s {' and '.join(seen)} kernels"


def confirmed(entered: Set[str], found: Set[str], loop: str) -> set[str]:
    """What a compiled program holds of the paths of Keras that were entered when it was traced.

    Args:
        entered: `fused`, `loop`, `unrolled`, or in words why cuDNN was tried in vain.
        found: what `of_hlo` or `of_graph` found.
        loop: the name of the backend's loop.
    """
    names = {
        FUSED: CUDNN if CUDNN in found else "Keras's fused path, without cuDNN",
        LOOP: loop if LOOP in found else f"{loop}, of which the compiler left no loop",
    }
    return {names.get(path, path) for path in entered}
