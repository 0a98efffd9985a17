"""The kernel that computed the LSTMs of a job, as it was seen to run."""

from __future__ import annotations

import dataclasses

__all__ = ["Implementation"]


@dataclasses.dataclass(frozen=True)
class Implementation:
    """The kernel that computed the LSTMs, for example `lax.scan, custom gradient`.

    Attributes:
        kernel: the name of the kernel, the same for models of any size; empty if none ran.
        detail: the settings for the sizes of this model, for example the plan of each layer; may be empty.
    """

    kernel: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kernel}; {self.detail}" if self.detail else self.kernel
