"""`multilstm migrate`."""

from __future__ import annotations

import sys

from multilstm.cli.console import result_console
from multilstm.cli.model_files import read_files
from multilstm.cli.types import Flag, Path, WholeNumber
from multilstm.errors import UsageError


def migrate(
    old: str,
    new: str | None = None,
    /,
    *,
    weights: Path = None,
    keras_version: str | None = None,
    updates: WholeNumber = 20,
    as_code: Flag = False,
) -> int:
    """Write a model of Keras 1 or 2 as a `.keras` file of Keras 3 that means the same, with proof.

    Every change of meaning between the two versions that touches the model is listed, with its size on this model. The
    new file is loaded and executed by Keras 3 before it is written. Two files are written: NEW.keras, and
    NEW.proof.json with the comparison.

    Parameters
    ----------
    old
        The model: HDF5, or the JSON of `model.to_json()`.
    new
        The new file, such as `new.keras`.
    weights
        The file of the weights, where the model's file holds none.
    keras_version
        The version of Keras that wrote the model, where the file does not state it.
    updates
        Updates with the optimizer of the file that are compared, if it has one.
    as_code
        Print the Keras 3 source that builds the model, and write nothing.
    """
    from multilstm.cli.progress import ProgressLines
    from multilstm.files import PROOF, check_outputs, load, outputs_beside
    from multilstm.migration import migrate_model, migrated_source
    from multilstm.report.words import printable

    if (new is None) != as_code:
        raise UsageError("give either NEW, such as new.keras, or --as-code")
    if updates < 1:
        raise UsageError(f"--updates must be at least 1, given {updates}")
    if new is not None:
        if not new.endswith(".keras"):
            raise UsageError(f"NEW {new!r}: expected a name that ends in .keras")
        check_outputs(outputs_beside(new, [PROOF], "NEW"), read_files(old, weights=weights))
    loaded = load(old, weights, keras_version=keras_version)
    if new is None:
        sys.stdout.write(migrated_source(loaded))
        return 0
    console = result_console(None)
    with ProgressLines(console) as progress:
        migration = migrate_model(loaded, updates, progress)
    lines = [*migration.lines, f"Written: {', '.join(map(str, migration.save(new)))}"]
    for line in lines:
        console.print(printable(line), markup=False)
    return 0
