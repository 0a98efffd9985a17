"""Names that are chosen by name or glob, as `--case` and `--shape` take them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from multilstm.errors import UsageError, choice


def matching(what: str, patterns: Iterable[str], names: Collection[str], shown: Iterable[str] = ()) -> list[str]:
    """The names that some pattern is, or matches as a glob, in their own order; all of them without a pattern.

    Args:
        what: the thing that is named, for example `"case"`.
        patterns: names or globs; a name that is there stands for itself, whatever glob it would be.
        names: those that exist.
        shown: what the error says instead of them, where they are too many.

    Raises:
        UsageError: for a pattern that nothing matches.
    """
    chosen: set[str] = set()
    for pattern in patterns or ("*",):
        found = {pattern} & set(names) or {name for name in names if fnmatchcase(name, pattern)}
        if not found:
            raise UsageError(choice(what, pattern, shown or names))
        chosen |= found
    return [name for name in names if name in chosen]
