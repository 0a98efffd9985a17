"""Parsing of a stranger's file in a process of its own, so that a fault of a parser's C code stays there."""

from __future__ import annotations

import json
import math
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

from multilstm.errors import InputError
from multilstm.files.parsers.parsed import DTYPES, Parsed
from multilstm.files.sandbox_child import seconds_for
from multilstm.frameworks.process_environment import python_path

__all__ = ["WAITING", "parse_in_process", "received"]

_ROOT = pathlib.Path(__file__).parents[2]
WAITING = 6  # seconds on the clock for each second of CPU time, since other processes compute too
COMMAND = (sys.executable, "-P", "-m", "multilstm.files.sandbox_child")
_ENVIRONMENT = {
    "HDF5_PLUGIN_PATH": os.devnull,
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV")


def parse_in_process(parser: str, content: bytes) -> Parsed:
    """Return the plain data of a file.

    Args:
        parser: a name of `sandbox_child.PARSERS`.
        content: the bytes of the file.

    Raises:
        InputError: for a file that is broken, that needs too much memory or time, or that the parser refuses.
    """
    environment = {name: value for name in _INHERITED if (value := os.environ.get(name)) is not None}
    environment |= {**_ENVIRONMENT, "PYTHONPATH": python_path(_ROOT, os.environ.get("PYTHONPATH", ""))}
    seconds = seconds_for(len(content))
    try:
        done = subprocess.run(
            [*COMMAND, parser],
            input=content,
            capture_output=True,
            env=environment,
            timeout=WAITING * seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _endless(WAITING * seconds) from None
    if done.returncode == -getattr(signal, "SIGXCPU", 0) != 0:
        raise _endless(seconds)
    if done.returncode:
        raise InputError(f"the process that parses it {_ending(done)}; the file is broken")
    return received(done.stdout)


def _endless(seconds: int) -> InputError:
    return InputError(f"reading it took more than {seconds} seconds; it is broken, or made to never end")


def _ending(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"was ended by {signal.Signals(-done.returncode).name}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return f"ended with exit code {done.returncode}" + (f" ({lines[-1]})" if lines else "")


def received(output: bytes) -> Parsed:
    """Return the plain data in an answer of `sandbox_child.respond`.

    Raises:
        InputError: for a refusal, and for an answer of another form.
    """
    line, _, rest = output.partition(b"\n")
    answer = json.loads(line)
    if "error" in answer:
        raise InputError(answer["error"])
    arrays, start = [], 0
    for name, shape in answer["arrays"]:
        if name[1:] not in DTYPES:
            raise InputError(f"the process that parses it answered with the dtype {name!r}; the file is broken")
        dtype = np.dtype(name)
        size = math.prod(shape) * dtype.itemsize
        arrays.append(np.frombuffer(rest, dtype, math.prod(shape), start).reshape(shape))
        start += size
    if start != len(rest):
        raise InputError(f"the process that parses it answered {len(rest):,} bytes instead of {start:,}; read it again")
    return Parsed(answer["document"], tuple(arrays))
