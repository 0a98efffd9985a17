"""`multilstm`, and `python -m multilstm`: the command line, from which Ctrl-C leaves quietly while it still imports."""

import sys


def main() -> None:
    """Runs the command line and exits."""
    try:
        from multilstm.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()


if __name__ == "__main__":
    main()
