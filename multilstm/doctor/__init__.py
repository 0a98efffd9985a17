"""`multilstm doctor`: which engines can run here, whether they compute correctly, and their known problems.

    >>> from multilstm.doctor import examine, render
    >>> diagnosis = examine()
    >>> render(diagnosis, rich.console.Console())
    >>> sys.exit(diagnosis.exit_code)

Names of engines enter; a diagnosis leaves, as data and as text. No framework is imported: every engine is examined in
a worker of its own. This room imports the rooms `workers`, `execution` and `ledger`, and rooms below them.
"""

from multilstm.doctor.diagnosis import Diagnosis, EngineDiagnosis
from multilstm.doctor.examination import examine
from multilstm.doctor.keras_backend import KerasBackend, keras_backend
from multilstm.doctor.rendering import render
from multilstm.ledger.known_issues import KNOWN_ISSUES, known_issues

__all__ = [
    "KNOWN_ISSUES",
    "Diagnosis",
    "EngineDiagnosis",
    "KerasBackend",
    "examine",
    "keras_backend",
    "known_issues",
    "render",
]
