"""`multilstm`, and `python -m multilstm`: the command line as a process of its own.

Ctrl-C ends the process quietly, also during its imports. SIGTERM and SIGHUP (a terminal that closes) end it in the same
way: its workers end and their files are removed.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as in `typing`, whose import takes time
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """End the process at once, while there is nothing to clean up."""
    os._exit(128 + number)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    """Interrupt the command once: a second signal must not stop the workers from being ended."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def _handle(handler: Callable[[int, FrameType | None], NoReturn]) -> None:
    """Handle Ctrl-C, SIGTERM and SIGHUP, unless the caller has them ignored, as a shell's background and nohup do."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _lost(exception: sys.UnraisableHookArgs) -> None:
    """End the process for an interruption in a place from which Python raises none, such as a callback of an import."""
    if isinstance(exception.exc_value, KeyboardInterrupt):
        os._exit(128 + signal.SIGINT)
    if isinstance(exception.exc_value, SystemExit):
        os._exit(128 + signal.SIGTERM)
    sys.__unraisablehook__(exception)


def _end_interrupted() -> NoReturn:
    """End the process with 130: `sys.exit` ends it by the signal itself if Ctrl-C came while a string was executed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # a stream that is closed
            continue
    os._exit(128 + signal.SIGINT)


def main() -> NoReturn:
    """Run the command line and exit."""
    _handle(_leave)
    from multilstm.cli.app import main as run_command_line

    sys.unraisablehook = _lost
    try:
        _handle(_interrupt)
        run_command_line()
    except KeyboardInterrupt:
        _end_interrupted()
    except SystemExit as end:
        if end.code == 128 + signal.SIGINT:
            _end_interrupted()
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interpreter ends its threads; nothing is left to interrupt


if __name__ == "__main__":
    main()
