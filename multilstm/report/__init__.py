"""The report: the outcome of a run as data, as text on a terminal, and as a file.

Comparisons enter; text and JSON leave. The room may import `compare`, `cases` and the rooms below them.
"""

from multilstm.report.cells import Cell, weakest
from multilstm.report.report import Report
from multilstm.report.text import counted, json_text

__all__ = ["Cell", "Report", "counted", "json_text", "weakest"]
