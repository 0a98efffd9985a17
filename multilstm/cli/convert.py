"""`multilstm convert`."""

from __future__ import annotations

import pathlib

from multilstm.cli.console import result_console
from multilstm.cli.types import Path
from multilstm.errors import UsageError, choice


def convert(
    model: str,
    out: str,
    /,
    *,
    to: str | None = None,
    weights: Path = None,
    architecture: Path = None,
) -> int:
    """Convert a model into another framework, and prove that the result gives the same answers.

    For PyTorch, three files are written: OUT.py with an `nn.Module`, OUT.safetensors with its state dict, and
    OUT.proof.json with the comparison. The module is executed first, and compared with the reference. If it does not
    agree, nothing is written.

    Parameters
    ----------
    model
        A model file, or `module:function`. Without weights, it gets random ones.
    out
        The file of the source, such as `port.py`.
    to
        The framework: `torch`. Default: by the suffix of OUT.
    weights
        The file of the weights, where the model's file holds none.
    architecture
        The file of the architecture, where the model's file holds weights alone.
    """
    from multilstm.cli.progress import ProgressLines
    from multilstm.files import load_model
    from multilstm.files.atomic import check_replaceable
    from multilstm.report.words import printable
    from multilstm.suite.conversion import SUFFIXES, TARGETS, convert_model

    suffix = pathlib.Path(out).suffix
    if suffix not in SUFFIXES:
        raise UsageError(f"OUT {out!r} has the suffix {suffix!r}; expected .py, for --to {' or '.join(TARGETS)}")
    target = SUFFIXES[suffix] if to is None else to
    if target not in TARGETS:
        raise UsageError(choice("target", target, TARGETS))
    check_replaceable(out)
    loaded = load_model(model, weights, architecture)
    console = result_console(None)
    with ProgressLines(console) as progress:
        conversion = convert_model(loaded.spec, loaded.weights, target, progress)
    lines = [conversion.report.sentence]
    lines += [] if loaded.weights is not None else ["The model has no weights: those of the file are random."]
    lines += [f"Note: {note}." for note in conversion.notes]
    lines.append(f"Written: {', '.join(map(str, conversion.save(out)))}")
    for line in lines:
        console.print(printable(line), markup=False)
    return 0
