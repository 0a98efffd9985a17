"""Values that belong to a thread: a layer that several threads call keeps nothing of one call for another."""

from __future__ import annotations

import functools
import threading
import weakref
from typing import Any

from multilstm.frameworks import private_keras

__all__ = ["with_masks_of_threads"]


class _OfThread:
    """An attribute with a value for each thread; None where a thread has set none."""

    def __init__(self) -> None:
        self._values = threading.local()

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self._by_owner().get(owner) if owner is not None else self

    def __set__(self, owner: Any, value: Any) -> None:
        if value is None:
            self._by_owner().pop(owner, None)
        else:
            self._by_owner()[owner] = value

    def _by_owner(self) -> weakref.WeakKeyDictionary[Any, Any]:
        if not hasattr(self._values, "by_owner"):
            self._values.by_owner = weakref.WeakKeyDictionary()
        return self._values.by_owner  # type: ignore[no-any-return]


def with_masks_of_threads(cell: Any) -> None:
    """Make the cache of dropout masks in a Keras cell one for each thread.

    Keras keeps the masks of a call in the cell, where another thread would take or remove them.
    """
    kind: Any = type(cell)
    cell.__class__ = _with_masks_of_threads(kind)


@functools.cache
def _with_masks_of_threads(kind: type) -> type:
    attributes = {private_keras.mask_attribute(mask): _OfThread() for mask in ("dropout", "recurrent_dropout")}
    return type(kind.__name__, (kind,), {**attributes, "__doc__": kind.__doc__, "__module__": kind.__module__})
