"""`multilstm identify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilstm.cli.console import result_console
from multilstm.errors import InputError

if TYPE_CHECKING:
    from multilstm.spec.arrays import Array


def identify(arrays: str, /, *, inputs: str, outputs: str) -> int:
    """Find the convention of the arrays of one LSTM: gate order, axes, biases, forget constant, hard sigmoid.

    All conventions are executed on the inputs; those that give the outputs are shown. The exit code is 1 if none does.

    Parameters
    ----------
    arrays
        A file of arrays (.npz or safetensors) with the weights of one LSTM in one direction, by any names.
    inputs
        A file with one array `[batch, timesteps, features]`; the initial states are zero.
    outputs
        A file with one array: `[batch, timesteps, units]`, or `[batch, units]` of the last timestep.
    """
    from multilstm.conversion.identify import identify as find
    from multilstm.files.arrays import read_arrays
    from multilstm.report.words import printable

    x, y = (_one(path, read_arrays(path)) for path in (inputs, outputs))
    fits, tried = find(read_arrays(arrays), x, y)
    lines = [f"{len(fits)} of {tried} conventions {'gives' if len(fits) == 1 else 'give'} the recorded outputs."]
    for convention, distance, _ in fits:
        names = ", ".join(convention.dialects)
        lines.append(f"  to {distance:.1e}: {convention.words}{f' (as in {names})' if names else ''}")
    if len(fits) > 1:
        lines.append("These inputs do not separate them: give random ones, over several timesteps.")
    if not fits:
        lines.append("Are these the arrays of one layer in one direction, with its own inputs and outputs?")
    console = result_console(None)
    for line in lines:
        console.print(printable(line), markup=False)
    return 0 if fits else 1


def _one(path: str, arrays: dict[str, Array]) -> Array:
    if len(arrays) != 1:
        raise InputError(f"{path!r} holds {len(arrays)} arrays; expected one")
    return next(iter(arrays.values()))
