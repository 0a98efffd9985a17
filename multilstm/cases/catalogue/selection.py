"""Names that are chosen by name or glob, as `--case` and `--shape` take them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from multilstm.errors import UsageError, choice


def matching(what: str, patterns: Iterable[str], names: Collection[str], shown: Iterable[str] = ()) -> list[str]:
    """Return the names that a pattern equals or matches as a glob, in their own order; all names without a pattern.

    Args:
        what: the kind of the names, for example `"case"`.
        patterns: names or globs. A pattern that equals a name selects that name alone.
        names: the existing names.
        shown: the names in the error message; empty: all of them.

    Raises:
        UsageError: for a pattern that matches nothing.
    """
    chosen: set[str] = set()
    for pattern in patterns or ("*",):
        matches = {pattern} & set(names) or {name for name in names if fnmatchcase(name, pattern)}
        if not matches:
            raise UsageError(choice(what, pattern, shown or names))
        chosen |= matches
    return [name for name in names if name in chosen]
