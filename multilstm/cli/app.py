"""The command line: parses, calls, prints, exits.

Exit codes: 0 everything that was compared agrees; 1 something diverges or is an error (with --strict, skipped,
unsupported and known cells too); 2 usage, unknown names included; 3 nothing could run; 4 bad input; 130 interrupted;
143 terminated.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError
from rich.console import Console

from multilstm.cli.doctor import doctor
from multilstm.cli.fuzz import fuzz
from multilstm.cli.parity import parity
from multilstm.cli.summary import summary
from multilstm.errors import MultilstmError
from multilstm.version import __version__

app = App(
    name="multilstm",
    version=__version__,
    help="Does my LSTM give the same answers on every framework?\n\n"
    "Start with `multilstm doctor`, then `multilstm parity`.",
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)
for command in (doctor, summary, parity, fuzz):
    app.command(command)


def _fail(error: MultilstmError) -> NoReturn:
    from multilstm.report.terminal import printable

    Console(stderr=True, highlight=False).print(f"multilstm: {printable(str(error))}", markup=False, soft_wrap=True)
    sys.exit(error.exit_code)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits."""
    run(app, arguments)


def run(app: App, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs an application and exits, every expected error as one line on stderr and its exit code."""
    try:
        code = app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        sys.exit(2)
    except MultilstmError as error:
        _fail(error)
    except KeyboardInterrupt:
        Console(stderr=True).print("multilstm: interrupted; all workers were ended")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:  # such as no space left behind standard output
        Console(stderr=True, highlight=False).print(f"multilstm: {error}", markup=False, soft_wrap=True)
        sys.exit(MultilstmError.exit_code)
    sys.exit(code or 0)
