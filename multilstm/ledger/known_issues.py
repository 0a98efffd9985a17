"""The severe known problems of the installed packages."""

from __future__ import annotations

from collections.abc import Mapping

from multilstm.ledger.rows import Divergence, ledger

KNOWN_ISSUES: tuple[Divergence, ...] = tuple(row for row in ledger() if row.severity == "high")


def known_issues(
    engine: str, device: str, versions: Mapping[str, str], switches: Mapping[str, str]
) -> tuple[Divergence, ...]:
    """Return the rows of `KNOWN_ISSUES` that an engine shows.

    Args:
        engine: the engine's name.
        device: `cpu` or `gpu`.
        versions: the installed versions by package.
        switches: the variables of the engine's process, such as `XLA_FLAGS`.
    """
    return tuple(issue for issue in KNOWN_ISSUES if issue.affects(engine, device, versions, switches))
