"""A guard for a user's function: the calls that end a process at once raise an exception instead."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from multilstm.errors import shown

_CALLS = ("_exit", "execv", "execve")  # the other functions of the family `os.exec*` call one of these


@contextlib.contextmanager
def process_stays() -> Iterator[None]:
    """Make `os._exit` and `os.exec*` raise SystemExit inside of this context; processes that it forks are free to end.

    Without it, a function with `os._exit(0)` ends the command with exit code 0 before anything is compared.
    """
    true = {name: getattr(os, name) for name in _CALLS}
    for name, call in true.items():
        setattr(os, name, _refusal(name, call, os.getpid()))
    try:
        yield
    finally:
        for name, call in true.items():
            setattr(os, name, call)


def _refusal(name: str, call: Callable[..., NoReturn], pid: int) -> Callable[..., NoReturn]:
    def refuse(*arguments: Any, **named: Any) -> NoReturn:
        if os.getpid() != pid:
            call(*arguments, **named)
        values = [*map(shown, arguments), *(f"{key}={shown(value)}" for key, value in named.items())]
        raise SystemExit(f"os.{name}({', '.join(values[:1])})")

    return refuse
