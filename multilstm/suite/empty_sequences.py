"""Sequences whose timesteps are all masked, for which plain Keras computes what the reference does not."""

from __future__ import annotations

from collections.abc import Iterator

from multilstm.cases.case import Case
from multilstm.cases.model_case import EMPTY, ROWS
from multilstm.ledger.facts import certain_facts, where
from multilstm.ledger.rows import ledger

__all__ = ["FILLED", "notes_on_empty_sequences"]

FILLED = tuple(row for row in ROWS if row != EMPTY)


def notes_on_empty_sequences(case: Case) -> Iterator[str]:
    """Yield a sentence for each layer of a model that differs in plain Keras for the empty sequences of a case.

    Without them, with rows of the kinds `FILLED`, the layers agree.
    """
    facts = certain_facts(case, "float64")
    for row in ledger():
        if "fully_masked" in row.when and not row.prediction and (layers := where(row.when, facts)):
            yield (
                f"compared without sequences whose timesteps are all masked, because of {', '.join(layers)}: "
                f"{row.title} ({row.id}); remedy: {row.advice.rstrip('.')}"
            )
