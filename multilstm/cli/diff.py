"""`multilstm diff`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from multilstm.cli.console import result_console
from multilstm.cli.types import OptionalWholeNumber, Path

if TYPE_CHECKING:
    from multilstm.files import LoadedModel
    from multilstm.suite.difference import ModelDifference

BATCH = 3


def diff(
    first: str,
    second: str,
    /,
    *,
    inputs: Path = None,
    batch: OptionalWholeNumber = None,
    timesteps: OptionalWholeNumber = None,
) -> int:
    """Show how two models differ: options of layers, weights, and answers to the same inputs.

    The reference computes the answers in float64. The exit code is 0 for equal models and 1 for different ones.

    Parameters
    ----------
    first
        A model file, or `module:function`. Without weights, it gets random ones, which a second model without weights
        shares.
    second
        The other model.
    inputs
        A file of arrays with the inputs of the first model, as for `multilstm parity`. Default: random inputs.
    batch
        The number of random sequences, where the first model leaves it open. Default: 3.
    timesteps
        The length of the random sequences, where the first model leaves it open. Default: 7, or enough for its windows.
    """
    from multilstm.cli.model_files import ModelFiles
    from multilstm.files import load_model
    from multilstm.suite.difference import compare_models, with_inputs_of
    from multilstm.suite.hidden_masks import exercising_case
    from multilstm.weights import discriminating_weights

    files = ModelFiles(first, inputs=inputs)
    files.check(sized=batch is not None or timesteps is not None)
    one, two = load_model(first), load_model(second)
    sizes = BATCH if batch is None else batch, timesteps
    if inputs is not None:
        case = files.case(one)
    else:
        cases = [exercising_case(model.spec, *sizes, model.weights) for model in (one, two)]
        case = with_inputs_of(*cases)
    weights = discriminating_weights(two.spec) if two.weights is None else two.weights
    difference = compare_models(case, two.spec, weights)
    console = result_console(None)
    for line in _lines((one, two), difference):
        console.print(line, markup=False)
    return 0 if difference.same else 1


def _lines(models: tuple[LoadedModel, LoadedModel], difference: ModelDifference) -> Iterator[str]:
    """Yield the difference as text."""
    from multilstm.files.compiled import compiled_alike
    from multilstm.report.words import printable

    yield difference.sentence
    for label, model, other in zip(("First", "Second"), models, models[::-1], strict=True):
        random = "" if model.weights is not None else " Its weights are random."
        yield printable(f"{label}: {model.provenance.sentence}{random}")
        for note in model.provenance.notes:
            if note not in other.provenance.notes:
                yield printable(f"{label} alone: {note}.")
    trained = [model.training is not None for model in models]
    if trained[0] != trained[1]:
        yield f"Only the {'first' if trained[0] else 'second'} has an optimizer and a loss, which are not compared."
    elif not compiled_alike(*models):
        yield "They were compiled with other optimizers, losses or metrics, which are not compared."
    for text in (*_layers(difference), *_weights(difference), *_answers(difference)):
        yield printable(text)


def _layers(difference: ModelDifference) -> Iterator[str]:
    if difference.only_first or difference.only_second or difference.options or difference.renamed:
        yield "\nLayers"
    for label in difference.only_first:
        yield f"  only in the first: {label}"
    for label in difference.only_second:
        yield f"  only in the second: {label}"
    for change in difference.options:
        effect = "no output to compare" if change.effect is None else f"alone changes outputs by {change.effect:.2g}"
        yield f"  {change.layer}: {change.option} is {change.first!r}, then {change.second!r} ({effect})"
    if difference.renamed:
        yield f"  renamed: {', '.join(f'{one} to {two}' for one, two in difference.renamed)}"
    if difference.parameters[0] != difference.parameters[1]:
        yield f"  parameters: {difference.parameters[0]:,}, then {difference.parameters[1]:,}"


def _weights(difference: ModelDifference) -> Iterator[str]:
    if difference.weights:
        yield "\nWeights, by their largest difference"
    for change in sorted(difference.weights, key=lambda change: -(change.largest or float("inf"))):
        shapes = f"shape {change.shapes[0]}, then {change.shapes[1]}"
        yield f"  {change.name}: {shapes if change.largest is None else f'{change.largest:.2g}'}"


def _answers(difference: ModelDifference) -> Iterator[str]:
    changed = {quantity: value for quantity, value in difference.answers.items() if value != 0}
    if changed:
        yield "\nAnswers to the same inputs, by their largest difference"
    for quantity, value in changed.items():
        yield f"  {quantity}: {'other shapes' if value is None else f'{value:.2g}'}"
