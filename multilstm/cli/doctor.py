"""`multilstm doctor`."""

from __future__ import annotations

from multilstm.cli.console import result_console
from multilstm.cli.types import Device, Flag, OptionalNames, Path, names


def doctor(*, engine: OptionalNames = None, device: Device = "cpu", verbose: Flag = False, json: Path = None) -> int:
    """Show which engines can run here, and test their arithmetic.

    Parameters
    ----------
    engine
        Engines to examine, for example `--engine jax-scan keras-torch`. Default: all.
    device
        The device of the engines.
    verbose
        Show the settings of each engine, and the consequence and remedy of each known problem.
    json
        Write the diagnosis to this file; `-` is standard output.
    """
    from multilstm.doctor import examine, render
    from multilstm.engines.registry import engine_row
    from multilstm.report.files import check_writable, write_text
    from multilstm.report.text import json_text

    engines = names("--engine", engine)
    for name in engines:
        engine_row(name).require()
    if json is not None:
        check_writable(json)
    diagnosis = examine(engines or None, device)
    try:
        if json != "-":
            render(diagnosis, result_console(), verbose)
    finally:
        if json is not None:
            write_text(json, json_text(diagnosis.to_dict()))
    return diagnosis.exit_code
