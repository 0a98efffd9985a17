"""The command line: it parses, calls, prints and exits with one of `multilstm.cli.exit_codes`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from multilstm.cli.bench import bench
from multilstm.cli.console import print_error
from multilstm.cli.convert import convert
from multilstm.cli.diff import diff
from multilstm.cli.doctor import doctor
from multilstm.cli.exit_codes import CLOSED_OUTPUT, INTERRUPTED, exit_codes_help
from multilstm.cli.fuzz import fuzz
from multilstm.cli.identify import identify
from multilstm.cli.migrate import migrate
from multilstm.cli.parity import parity
from multilstm.cli.report import report
from multilstm.cli.streams import discard_output, prepare_streams
from multilstm.cli.summary import summary
from multilstm.errors import MultilstmError, UsageError
from multilstm.version import __version__

app = App(
    name="multilstm",
    version=__version__,
    help="Does my LSTM give the same answers on every framework?\n\n"
    "Start with `multilstm doctor`, then `multilstm parity`. `multilstm COMMAND --help` explains a command.\n\n"
    + exit_codes_help(),
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)
for command in (doctor, summary, diff, convert, migrate, identify, parity, bench, report, fuzz):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    run(app, arguments)


def run(app: App, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run an application and exit. Every expected error is a message on standard error and an exit code.

    Args:
        app: the application.
        arguments: its arguments; None: those of the process.
    """
    prepare_streams()
    try:
        code = app(arguments, exit_on_error=False, print_error=True)
        sys.stdout.flush()
    except CycloptsError as error:
        if example := _example(error):
            print_error(example)
        sys.exit(UsageError.exit_code)
    except MultilstmError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print_error("interrupted; all workers were ended")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        discard_output()
        sys.exit(CLOSED_OUTPUT)
    except OSError as error:  # such as a full disk behind standard output
        print_error(_named(error))
        discard_output()
        sys.exit(MultilstmError.exit_code)
    sys.exit(code or 0)


_EXAMPLES = {
    "parity": "parity model.keras; diff compares two models: multilstm diff old.h5 new.keras",
    "bench": "bench model.keras",
    "summary": "summary model.keras",
    "diff": "diff old.h5 new.keras",
    "convert": "convert model.keras port.onnx",
    "migrate": "migrate old.h5 new.keras",
    "identify": "identify arrays.npz",
}


def _example(error: CycloptsError) -> str:
    """Return an example of a command that was given too few or too many arguments; empty for another error."""
    command = " ".join(error.command_chain or ())
    is_count = isinstance(error, (MissingArgumentError, UnusedCliTokensError))
    return f"an example: multilstm {_EXAMPLES[command]}" if is_count and command in _EXAMPLES else ""


def _named(error: OSError) -> str:
    """Return an error of the operating system with the name of the place that could not be read or written."""
    if error.filename is not None:
        return str(error)
    try:
        os.getcwd()
    except FileNotFoundError:
        return f"the current folder was removed ({error.strerror or error}); change to another one"
    return f"cannot write standard output: {error.strerror or error}"
