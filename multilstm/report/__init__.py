"""The report: the outcome of a run as data, as text on a terminal, and as a file.

Comparisons enter; text and JSON leave. The room may import `compare`, `cases` and the rooms below them.
"""

from multilstm.report.data import Cell, Report, counted, json_text, weakest

__all__ = ["Cell", "Report", "counted", "json_text", "weakest"]
