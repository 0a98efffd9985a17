"""What is known to be wrong with the installed packages: the severe rows of the ledger that an engine shows."""

from __future__ import annotations

from collections.abc import Mapping

from multilstm.ledger.rows import Divergence, ledger

KNOWN_ISSUES: tuple[Divergence, ...] = tuple(row for row in ledger() if row.severity == "high")


def known_issues(
    engine: str, device: str, versions: Mapping[str, str], switches: Mapping[str, str]
) -> tuple[Divergence, ...]:
    """The rows of KNOWN_ISSUES that an engine shows with these versions and switches."""
    return tuple(issue for issue in KNOWN_ISSUES if issue.affects(engine, device, versions, switches))
