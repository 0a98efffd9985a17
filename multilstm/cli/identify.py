"""`multilstm identify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilstm.cli.console import result_console
from multilstm.errors import InputError, UsageError

if TYPE_CHECKING:
    from multilstm.spec.arrays import Array


def identify(arrays: str, /, *, inputs: str | None = None, outputs: str | None = None) -> int:
    """Find the convention of the arrays of one LSTM: gate order, axes, biases, forget constant, hard sigmoid.

    All conventions are executed on the inputs; those that give the outputs are shown. The exit code is 1 if none does.
    Without inputs and outputs, the sizes and layouts are shown that shapes and names allow.

    Parameters
    ----------
    arrays
        A file of arrays (.npz or safetensors) with the weights of one LSTM in one direction, by any names.
    inputs
        A file with one array `[batch, timesteps, features]`; the initial states are zero.
    outputs
        A file with one array: `[batch, timesteps, units]`, or `[batch, units]` of the last timestep.
    """
    from multilstm.report.words import printable

    if (inputs is None) != (outputs is None):
        given, missing = ("--inputs", "--outputs") if outputs is None else ("--outputs", "--inputs")
        raise UsageError(f"{given} is given without {missing}; give both, or neither for shapes and names alone")
    if inputs is None or outputs is None:
        lines, found = _by_shapes(arrays), True
    else:
        lines, found = _by_outputs(arrays, inputs, outputs)
    console = result_console(None)
    for line in lines:
        console.print(printable(line), markup=False)
    return 0 if found else 1


def _by_outputs(arrays: str, inputs: str, outputs: str) -> tuple[list[str], bool]:
    """Return the lines to print, and whether a convention gives the outputs."""
    from multilstm.explain.identify import identify as find
    from multilstm.files.arrays import read_arrays

    x, y = (_one(path, read_arrays(path)) for path in (inputs, outputs))
    fits, tried = find(read_arrays(arrays), x, y)
    lines = [f"{len(fits)} of {tried} conventions {'gives' if len(fits) == 1 else 'give'} the recorded outputs."]
    for convention, distance, _ in fits:
        lines.append(f"  within {distance:.1e}: {convention.words}{_as_in(convention.dialects)}")
    if len(fits) > 1:
        lines.append("These inputs do not separate them: give random ones, over several timesteps.")
    if not fits:
        lines.append("Are these the arrays of one layer in one direction, with its own inputs and outputs?")
    return lines, bool(fits)


def _by_shapes(arrays: str) -> list[str]:
    """Return the lines to print without outputs."""
    from multilstm.explain.identify import readings
    from multilstm.files.arrays import read_arrays

    shaped, named = readings(read_arrays(arrays))
    lines = [f"The shapes allow {len(shaped)} {'reading' if len(shaped) == 1 else 'readings'}."] if shaped else []
    lines += [f"  {reading.words}{_as_in(reading.dialects)}" for reading in shaped]
    lines += [f"The names are those of: {', '.join(named)}."] if named else ["The names are those of no known layout."]
    lines += ["Give --inputs and --outputs to find the order of the gates, their function, and added constants."]
    return lines


def _as_in(dialects: tuple[str, ...]) -> str:
    return f" (as in {', '.join(dialects)})" if dialects else ""


def _one(path: str, arrays: dict[str, Array]) -> Array:
    if len(arrays) != 1:
        raise InputError(f"{path!r} holds {len(arrays)} arrays; expected one")
    return next(iter(arrays.values()))
