"""`multilstm`, and `python -m multilstm`: the command line as a process of its own, which leaves nothing behind.

Ctrl-C ends the process quietly, also during its imports. SIGTERM and SIGHUP (a terminal that closes) end it in the same
way: its workers end and their files are removed.
"""

import signal
import sys


def main() -> None:
    """Run the command line and exit."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # under nohup it stays ignored
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        from multilstm.cli.app import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()


if __name__ == "__main__":
    main()
