"""The exit codes of all commands. The errors of `multilstm.errors` carry the same numbers."""

from __future__ import annotations

import signal

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
CLOSED_OUTPUT = 128 + 13  # SIGPIPE, which Windows lacks

EXIT_CODES = {
    0: "All answers that were compared agree, also without a judge, or known divergences of the frameworks explain "
    "their differences.",
    1: "An answer differs, or an engine failed. With `--strict` also: a difference is known, answers agree without a "
    "judge, an engine was skipped, or a case was not executed.",
    2: "The command line is wrong, for example an unknown name.",
    3: "Nothing was compared, or an engine that `--engine` names cannot run or executed nothing. Also for an "
    "interpreter of `--python`, or a scheduler of `--dask`, that cannot be used.",
    4: "An input or output is unusable: a model, an array, or a file.",
    INTERRUPTED: "The run was interrupted (Ctrl-C).",
    CLOSED_OUTPUT: "Standard output was closed before the end.",
    TERMINATED: "The run was terminated (SIGTERM).",
}


def exit_codes_help() -> str:
    """Return the exit codes as Markdown for the help text."""
    return "Exit codes:\n\n" + "\n".join(f"- {code}: {meaning}" for code, meaning in EXIT_CODES.items())
