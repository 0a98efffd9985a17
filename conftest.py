"""How all tests compute, in their own process and in those that they start: in long slices, and JAX compiles quickly.

XLA's compiling was most of their time, and three quarters of it optimize loops of a few units; of the rest, a third was
LLVM's, which begins anew for each part of a program. What the optimizations do to the answers is seen where
`as_users_compile` is used, and by `multilstm parity --full`.
"""

import contextlib
import importlib.metadata
import os
import signal

import pytest

from multilstm.engines.registry import joined

# Older and newer jaxlibs may not know the flags, and refuse to start with a flag that they do not know.
_KNOWN = ("0.9.0", "0.9.1", "0.9.2", "0.10.0", "0.10.1", "0.10.2")
_ONE_PART = "--xla_cpu_parallel_codegen_split_count=1"  # LLVM begins once; what it makes is the same
_QUICK = "--xla_cpu_use_fusion_emitters=false"


def _flags(*flags):
    """XLA's flags as a variable, by its name."""
    try:
        known = importlib.metadata.version("jaxlib") in _KNOWN
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {"XLA_FLAGS": " ".join(flags)} if known else {}


USUAL = {name: os.environ.get(name) for name in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")}
USUAL |= joined(USUAL, _flags(_ONE_PART))
QUICKLY = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **_flags(_ONE_PART, _QUICK)}
os.environ.update(joined(os.environ, QUICKLY))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # in this process; workers are told of their device

if hasattr(os, "SCHED_BATCH"):  # there are more processes than cores, and each turn finds the caches cold
    with contextlib.suppress(OSError):  # it is about time alone
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background job has it, and all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def one_part():
    """The variables with which JAX compiles what it compiles for users, in less time."""
    return _flags(_ONE_PART)


@pytest.fixture(scope="session")
def quickly():
    """The variables with which JAX compiles in all tests but those that ask for something else."""
    return QUICKLY


@pytest.fixture(scope="session")
def as_users_compile():
    """A context in which processes start that compile in JAX as they do outside of the tests, in one part."""

    @contextlib.contextmanager
    def context():
        with pytest.MonkeyPatch.context() as patch:
            for name, value in USUAL.items():
                patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
            yield

    return context
