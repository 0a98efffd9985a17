"""`multilstm`, and `python -m multilstm`: the command line as a process of its own, which leaves nothing behind.

Ctrl-C ends it quietly while it still imports, and a SIGTERM ends it as Ctrl-C does: workers and their files go with it.
"""

import signal
import sys


def main() -> None:
    """Runs the command line and exits."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        from multilstm.cli.app import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()


if __name__ == "__main__":
    main()
