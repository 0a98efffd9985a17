"""`multilstm doctor`."""

from __future__ import annotations

from typing import Literal

from multilstm.cli.console import result_console
from multilstm.cli.types import Names, Path


def doctor(*, engine: Names = (), device: Literal["cpu", "gpu"] = "cpu", json: Path = None) -> int:
    """Show which engines can run here, with which switches, and test their arithmetic.

    Parameters
    ----------
    engine
        Examine only these engines, for example `--engine jax-scan keras-torch`.
    device
        Where they are to run.
    json
        Write the diagnosis to this file; `-` is standard output.
    """
    from multilstm.doctor import examine, render
    from multilstm.engines.registry import engine_row
    from multilstm.report.data import json_text
    from multilstm.report.files import check_writable, write_text

    if engine:
        for name in engine:
            engine_row(name).require()
    if json is not None:
        check_writable(json)
    diagnosis = examine(engine or None, device)
    if json is not None:
        write_text(json, json_text(diagnosis.to_dict()))
    if json != "-":
        render(diagnosis, result_console())
    return diagnosis.exit_code
