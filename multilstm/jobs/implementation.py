"""The kernel that computed the LSTMs of a job, as it was seen to run."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Implementation:
    """The kernel that computed the LSTMs, for example `lax.scan, custom gradient`.

    Attributes:
        kernel: what ran: the same for models of any size; empty where nothing ran.
        detail: how it ran for the sizes of this model, for example the plan of each layer; may be empty.
    """

    kernel: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kernel}; {self.detail}" if self.detail else self.kernel
