"""Starts a JAX program in several processes that share one training: `python -m multilstm.scan.launch`.

    python -m multilstm.scan.launch --processes 2 docs/examples/data_parallel.py
    python -m multilstm.scan.launch --processes 2 train.py --epochs 3  # a program with arguments of its own

All processes run the same program, on this machine, over loopback. `jax.distributed` is initialized before the program
begins. So `jax.devices()` and `multilstm.scan.parallel.data_parallel_mesh()` list the devices of all processes.
A process that fails ends the others, and the command returns its exit code. No process outlives the command.

On several machines, run the command on each, with its own `--index` and the address of the first machine:

    python -m multilstm.scan.launch --processes 2 --index 0 --coordinator first-machine:1234 train.py
    python -m multilstm.scan.launch --processes 2 --index 1 --coordinator first-machine:1234 train.py

That port accepts every connection without a password, so use it on a trusted network only. GPUs of one machine need
no processes of their own: one process drives all of them.
"""

from __future__ import annotations

import argparse
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
    parser.add_argument("--launched", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("program", metavar="PROGRAM", help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the program's own arguments")
    options = parser.parse_args(arguments)
    for name in ("processes", "devices"):
        number = getattr(options, name)
        if number is not None and number < 1:
            parser.error(f"--{name} must be at least 1, given {number}")
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
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for index in range(options.processes):
            place = ["--launched", "--index", str(index), "--coordinator", coordinator]
            command = [sys.executable, "-m", "multilstm.scan.launch", *place, *arguments]
            processes.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        return _wait(processes)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    while True:
        codes = [process.poll() for process in processes]
        for index, code in enumerate(codes):
            if code:
                print(f"process {index} ended with exit code {code}; the others are ended", file=sys.stderr)  # noqa: T201
                return code if code > 0 else 128 - code
        if None not in codes:
            return 0
        time.sleep(0.05)


def _take_part(options: argparse.Namespace) -> int:
    """Run the program as one of the processes; exit at once if it fails, since the others cannot continue."""
    if options.launched:
        _end_with_launcher()
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
        sys.path[0] = str(pathlib.Path(options.program).resolve().parent)
        runpy.run_path(options.program, run_name="__main__")
    except SystemExit as leaving:
        if leaving.code in (None, 0):
            return 0
        if not isinstance(leaving.code, int):
            sys.stderr.write(f"{leaving.code}\n")
        _leave(leaving.code if isinstance(leaving.code, int) else 1)
    except BaseException as error:
        traceback.print_exc()
        _leave(130 if isinstance(error, KeyboardInterrupt) else 1)
    return 0


def _leave(code: int) -> None:
    """End this process without the shutdown of `jax.distributed`, which waits for the other processes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with_launcher() -> None:
    """End this process when standard input closes, as it does when the launcher ends; leave Ctrl-C to the launcher."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)

    def watch() -> None:
        os.read(source, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
