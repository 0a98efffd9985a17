"""`multilstm`, and `python -m multilstm`: the command line as a process of its own.

Ctrl-C ends the process quietly, also during its imports. SIGTERM and SIGHUP (a terminal that closes) end it in the same
way: its workers end and their files are removed.
"""

import signal
import sys
from typing import NoReturn


def _interrupt(*_: object) -> NoReturn:
    """Interrupt the command once: a second Ctrl-C must not stop the workers from being ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _terminate(number: int, _: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> NoReturn:
    """Run the command line and exit."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in a shell's background it is ignored
        signal.signal(signal.SIGINT, _interrupt)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # under nohup it stays ignored
            signal.signal(number, _terminate)
    try:
        from multilstm.cli.app import main as run_command_line

        run_command_line()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interpreter ends its threads; nothing is left to interrupt


if __name__ == "__main__":
    main()
