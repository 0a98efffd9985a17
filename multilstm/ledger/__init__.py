"""The ledger of known divergences of plain Keras, and its rules of matching.

A case or the cells of a run enter; the rows that explain them leave. The room may import `execution`, `report` and the
rooms below them.
"""

from multilstm.ledger.facts import FACTS, Fact, certain_facts, possible_facts
from multilstm.ledger.known_issues import KNOWN_ISSUES, known_issues
from multilstm.ledger.matching import Touch, mark_known, touches
from multilstm.ledger.rows import Divergence, ledger

__all__ = [
    "FACTS",
    "KNOWN_ISSUES",
    "Divergence",
    "Fact",
    "Touch",
    "certain_facts",
    "known_issues",
    "ledger",
    "mark_known",
    "possible_facts",
    "touches",
]
