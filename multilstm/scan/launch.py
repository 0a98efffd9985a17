"""Starts a JAX program in several processes that share one training: `python -m multilstm.scan.launch`.

    python -m multilstm.scan.launch --processes 2 docs/examples/data_parallel.py
    python -m multilstm.scan.launch --processes 2 train.py --epochs 3  # a program with arguments of its own

All processes run the same program, on this machine, over loopback. `jax.distributed` is initialized before the program
begins. So `jax.devices()` and `multilstm.scan.parallel.data_parallel_mesh()` list the devices of all processes.
A process that fails ends the others, and the command returns its exit code. No process outlives the command. When the
program ends in one process and not in another, the command reports it. It ends the others after `--grace` seconds.

The program sees the modules that `python PROGRAM` sees: those of its own folder, not those of the current folder.

On several machines, run the command on each, with its own `--index` and the address of the first machine:

    python -m multilstm.scan.launch --processes 2 --index 0 --coordinator first-machine:1234 train.py
    python -m multilstm.scan.launch --processes 2 --index 1 --coordinator first-machine:1234 train.py

That port accepts every connection without a password, so use it on a trusted network only. GPUs of one machine need
no processes of their own: one process drives all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence

import jax

GRACE_S = 60.0
NOTICE_S = 2.0  # after which the end of one process alone is worth a line
_OVER = b"."  # the program of a process has ended
_LOOPBACK = ("127.0.0.1", "localhost")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parse(arguments)
    if options.index is not None:
        return _take_part(options)
    try:
        return _start_all(options, sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 130


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m multilstm.scan.launch",
        description="Run a JAX program in several processes that share its devices.",
    )
    parser.add_argument("--processes", type=int, required=True, metavar="N", help="number of processes in all")
    parser.add_argument("--devices", type=int, metavar="N", help="CPU devices in each process (default: 1)")
    parser.add_argument("--index", type=int, metavar="I", help="start process I alone, from 0; needs --coordinator")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="address at which process 0 listens; needs --index")
    parser.add_argument(
        "--grace",
        type=float,
        default=GRACE_S,
        metavar="SECONDS",
        help="time for the other processes to end after the first (default: %(default)g)",
    )
    parser.add_argument("--launched", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("program", metavar="PROGRAM", help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the program's own arguments")
    options = parser.parse_args(arguments)
    for name in ("processes", "devices"):
        number = getattr(options, name)
        if number is not None and number < 1:
            parser.error(f"--{name} must be at least 1, given {number}")
    if not 0 <= options.grace < math.inf:
        parser.error(f"--grace must be a finite number of seconds, 0 or above, given {options.grace:g}")
    if (options.index is None) != (options.coordinator is None):
        parser.error("--index and --coordinator belong together; without them all processes start here")
    if options.index is not None and not 0 <= options.index < options.processes:
        parser.error(f"--index must be from 0 to {options.processes - 1}, given {options.index}")
    if options.coordinator is not None and not options.coordinator.rpartition(":")[2].isdecimal():
        parser.error(f"--coordinator must be HOST:PORT, given {options.coordinator!r}")
    if not pathlib.Path(options.program).is_file():
        parser.error(f"no such program: {options.program}")
    return options


def _start_all(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    coordinator = f"127.0.0.1:{_free_port()}"
    children: list[_Child] = []
    try:
        for index in range(options.processes):
            place = ["--launched", "--index", str(index), "--coordinator", coordinator]
            children.append(_Child([*place, *arguments]))
        return _wait(children, options.grace)
    finally:
        for child in children:
            child.process.kill()
        for child in children:
            child.process.wait()
            child.channel.close()


class _Child:
    """One of the processes, with a channel that closes with the launcher, and on which the end of the program is read.

    After the program, `jax.distributed` keeps a process for up to five minutes, until all processes have ended theirs.

    Attributes:
        process: the process.
        channel: the launcher's side of the channel.
        is_over: whether the program has ended.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        self.is_over = False
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "multilstm.scan.launch", *arguments],
                stdin=theirs.fileno(),
                env={**os.environ, "PYTHONPATH": _python_path(os.environ.get("PYTHONPATH", ""))},
            )

    def poll(self) -> int | None:
        """Return the exit code, None while the process lives; keep `is_over` up to date."""
        code = self.process.poll()
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self.is_over = self.is_over or self.channel.recv(1) == _OVER
        self.is_over = self.is_over or code is not None
        return code


def _python_path(inherited: str) -> str:
    """Return the entries of `PYTHONPATH` as `python PROGRAM` understands them, and at the end multilstm's folder."""
    entries = [os.path.abspath(entry) for entry in inherited.split(os.pathsep) if entry]
    return os.pathsep.join([*entries, str(pathlib.Path(__file__).parents[2])])


def _wait(children: Sequence[_Child], grace_s: float) -> int:
    first: float | None = None  # the time at which the program ended in the first process
    is_said = False
    while True:
        codes = [child.poll() for child in children]
        for index, code in enumerate(codes):
            if code:
                _say(f"process {index} ended with exit code {code}; the others are ended")
                return code if code > 0 else 128 - code
        if None not in codes:
            return 0
        others = ", ".join(str(index) for index, child in enumerate(children) if not child.is_over)
        if others and any(child.is_over for child in children):
            first = time.monotonic() if first is None else first
            waited_s = time.monotonic() - first
            if not is_said and waited_s >= min(NOTICE_S, grace_s):
                is_said = True
                index = [child.is_over for child in children].index(True)
                _say(
                    f"the program has ended in process {index} with exit code 0, and still runs in {others}; if it "
                    f"waits there for process {index}, it waits in vain: it is ended after {grace_s:g} s (--grace)"
                )
            if waited_s > grace_s:
                _say(f"the program still runs in {others} after {grace_s:g} s; all processes are ended")
                return 1
        time.sleep(0.05)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _take_part(options: argparse.Namespace) -> int:
    """Run the program as one of the processes; exit at once if it fails, since the others cannot continue."""
    launcher = _end_with_launcher() if options.launched else None
    try:
        if options.devices is not None:
            jax.config.update("jax_num_cpu_devices", options.devices)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        host = options.coordinator.rpartition(":")[0]
        jax.distributed.initialize(
            options.coordinator,
            options.processes,
            options.index,
            coordinator_bind_address=options.coordinator if host in _LOOPBACK else None,
        )
        sys.argv = [options.program, *options.arguments]
        sys.path.insert(0, str(pathlib.Path(options.program).resolve().parent))
        runpy.run_path(options.program, run_name="__main__")
    except SystemExit as leaving:
        if leaving.code in (None, 0):
            return _over(launcher)
        if not isinstance(leaving.code, int):
            sys.stderr.write(f"{leaving.code}\n")
        _leave(leaving.code if isinstance(leaving.code, int) else 1)
    except BaseException as error:
        traceback.print_exc()
        _leave(130 if isinstance(error, KeyboardInterrupt) else 1)
    return _over(launcher)


def _over(launcher: int | None) -> int:
    """Report the end of the program to the launcher, if there is one, and return the exit code."""
    if launcher is not None:
        sys.stdout.flush()
        os.write(launcher, _OVER)
    return 0


def _leave(code: int) -> None:
    """End this process without the shutdown of `jax.distributed`, which waits for the other processes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with_launcher() -> int:
    """End this process when standard input closes, as it does when the launcher ends; leave Ctrl-C to the launcher.

    Returns:
        The descriptor of the channel to the launcher.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)

    def watch() -> None:
        os.read(source, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return source


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
