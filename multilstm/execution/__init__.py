"""The execution of one case on one engine: its jobs, and the quantities of its results.

A case and options enter; the parts of the case leave as arrays by quantity. The room may import `cases`, `engines`,
`workers` and the rooms below them.
"""

from multilstm.execution.availability import Availability, available
from multilstm.execution.digest import digest
from multilstm.execution.environment import environment
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part, due_parts
from multilstm.execution.quantities import Quantities, quantities_of

__all__ = [
    "Availability",
    "Execution",
    "Options",
    "Part",
    "Quantities",
    "available",
    "digest",
    "due_parts",
    "environment",
    "quantities_of",
]
