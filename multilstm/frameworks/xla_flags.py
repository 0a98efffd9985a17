"""Flags of XLA that multilstm sets, each with the versions of jaxlib that accept it.

XLA ends a process that starts with an unknown flag. A flag is therefore set only for versions of jaxlib
with which it was tried.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata

_TRIED = ("0.9.0", "0.9.1", "0.9.2", "0.10.0", "0.10.1", "0.10.2")


@dataclasses.dataclass(frozen=True)
class XlaFlag:
    """One flag of XLA and its value.

    Attributes:
        name: without the leading dashes.
        value: as it follows the equals sign.
        jaxlibs: the versions of jaxlib with which the flag is set.
    """

    name: str
    value: str
    jaxlibs: tuple[str, ...] = _TRIED

    def __str__(self) -> str:
        return f"--{self.name}={self.value}"

    @property
    def is_known(self) -> bool:
        """Whether the jaxlib that is installed here is one of `jaxlibs`."""
        try:
            return importlib.metadata.version("jaxlib") in self.jaxlibs
        except importlib.metadata.PackageNotFoundError:
            return False


# jaxlib from 0.9.1 to 0.10.2 miscomputes some sums of products on CPU (jax#39103) without this flag. Newer versions
# are left to `multilstm doctor`, which tests for the fault.
EXACT_SUMS = XlaFlag("xla_cpu_experimental_ynn_fusion_type", "-reduce", _TRIED[1:])

WIDE_VECTORS = XlaFlag("xla_cpu_prefer_vector_width", "512")

# LLVM starts once for a program instead of once for each of its parts. The machine code is the same.
ONE_CODEGEN_PART = XlaFlag("xla_cpu_parallel_codegen_split_count", "1")

# Programs compile in less time. Their results differ by rounding.
NO_FUSION_EMITTERS = XlaFlag("xla_cpu_use_fusion_emitters", "false")

# Kernels of a GPU that give the same bits every time. Every jaxlib accepts this flag.
DETERMINISTIC_ON_GPU = "--xla_gpu_deterministic_ops=true"


def variables(*flags: XlaFlag) -> dict[str, str]:
    """Return `XLA_FLAGS` with the flags that are known to the installed jaxlib; empty where none is."""
    known = " ".join(str(flag) for flag in flags if flag.is_known)
    return {"XLA_FLAGS": known} if known else {}


def names(text: str) -> set[str]:
    """Return the names of the flags in a value of `XLA_FLAGS`, without dashes and values."""
    return {flag.split("=", 1)[0].lstrip("-") for flag in text.split()}


def merge(first: str, second: str) -> str:
    """Return `first`, followed by those flags of `second` whose name does not occur in `first`."""
    present = names(first)
    return " ".join([*first.split(), *(flag for flag in second.split() if not names(flag) & present)])
