"""How all tests compute, in their own process and in those that they start: in long slices, and JAX compiles quickly.

XLA's compiling was most of their time, and three quarters of it optimize loops of a few units; of the rest, a third was
LLVM's, which begins anew for each part of a program. What the optimizations do to the answers is seen where
`as_users_compile` is used, and by `multilstm parity --full`.
"""

import contextlib
import os
import signal

import pytest

from multilstm.frameworks import xla_flags
from multilstm.frameworks.process_environment import merge
from multilstm.frameworks.xla_flags import NO_FUSION_EMITTERS, ONE_CODEGEN_PART

_OPTIMIZATIONS = "JAX_DISABLE_MOST_OPTIMIZATIONS"
_ONE_PART = xla_flags.variables(ONE_CODEGEN_PART)
USUAL = {_OPTIMIZATIONS: os.environ.get(_OPTIMIZATIONS), "XLA_FLAGS": merge(os.environ, _ONE_PART).get("XLA_FLAGS")}
QUICKLY = {_OPTIMIZATIONS: "1", **xla_flags.variables(ONE_CODEGEN_PART, NO_FUSION_EMITTERS)}
os.environ.update(merge(os.environ, QUICKLY))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # in this process; the environment of a worker names its device

if hasattr(os, "SCHED_BATCH"):  # there are more processes than cores, and each turn finds the caches cold
    with contextlib.suppress(OSError):  # it is about time alone
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background job has it, and all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def one_part():
    """The variables with which JAX compiles what it compiles for users, in less time."""
    return _ONE_PART


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
