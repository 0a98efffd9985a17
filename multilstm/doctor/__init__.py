"""`multilstm doctor`: what can run here and why not, whether it computes correctly, and what is known to be wrong.

    >>> from multilstm.doctor import examine, render
    >>> diagnosis = examine()
    >>> render(diagnosis, rich.console.Console())
    >>> sys.exit(diagnosis.exit_code)

No framework is imported: every engine is examined in a worker of its own.
"""

from multilstm.doctor.examination import Diagnosis, EngineDiagnosis, KerasBackend, examine, keras_backend
from multilstm.doctor.rendering import render
from multilstm.ledger.known_issues import KNOWN_ISSUES, known_issues

__all__ = [
    "KNOWN_ISSUES", "Diagnosis", "EngineDiagnosis", "KerasBackend", "examine", "keras_backend",
    "known_issues", "render",
]  # fmt: skip
