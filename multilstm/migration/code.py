"""A migrated model as Keras 3's source code, with its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from multilstm.files import LoadedModel
from multilstm.migration.migrate import old_model
from multilstm.report.words import printable
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.schedules import Schedule
from multilstm.spec.source import Expression, keras_source, lacks_an_activation, listed_source
from multilstm.spec.training import Training

__all__ = ["migrated_source"]

_OURS = "keras_layers"


def migrated_source(loaded: LoadedModel) -> str:
    """Return a program that builds and compiles a model of Keras 1 or 2 with Keras 3, with the name `model`.

    The weights are not in the program. Notes on what the program lacks are comments at its end.

    Args:
        loaded: the result of `load`.

    Raises:
        UsageError: for a model of Keras 3 or of another program, and for a file that does not state its version.
    """
    old, given = old_model(loaded)
    source = keras_source(old.spec)
    if old.training is not None:
        if old.training.own_classes and not lacks_an_activation(old.spec):
            source = source.replace("import layers\n", f"import layers\n\nfrom multilstm import {_OURS}\n", 1)
        source += "\n".join(_compiled(old.training)) + "\n"
    return source + "".join(f"# {' '.join(printable(note).split())}\n" for note in given.notes)


def _compiled(training: Training) -> Iterator[str]:
    losses = [_loss(name, training.counts_padding) for name in training.losses]
    loss = losses[0] if len(losses) == 1 else listed_source(losses)
    arguments = (("optimizer", _optimizer(training.optimizer)), ("loss", loss))
    yield from Expression("model.compile", arguments).lines()


def _loss(name: str, counts_padding: bool) -> Expression:
    loss = Expression(f"keras.losses.{name}", ())
    return Expression(f"{_OURS}.MeanOverAllTimesteps", (("", loss),)) if counts_padding else loss


def _optimizer(optimizer: Optimizer) -> Expression:
    name = type(optimizer).__name__
    module = _OURS if name == "RMSpropKeras2" else "keras.optimizers"
    return Expression(f"{module}.{name}", tuple(_arguments(optimizer)))


def _arguments(owner: Optimizer | Schedule) -> Iterator[tuple[str, Expression | str]]:
    """Yield the arguments that differ from the defaults, and the learning rate."""
    for field in dataclasses.fields(owner):
        value = getattr(owner, field.name)
        if isinstance(value, Schedule):
            schedule = f"keras.optimizers.schedules.{type(value).__name__}"
            yield field.name, Expression(schedule, tuple(_arguments(value)))
        elif field.name == "learning_rate" or value != field.default:
            yield field.name, repr(list(value) if isinstance(value, tuple) else value)
