"""The choice of models on the command line, from which a page makes the command that repeats a cell."""

from __future__ import annotations

import dataclasses

__all__ = ["Arguments"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """The arguments of `multilstm parity` with these names; None: not given.

    Options that name a cell, such as `--case` and `--dtype`, are not among them. Nor are options that write files, so
    that a command from a stranger's report replaces no file.
    """

    model: str | None = None
    weights: str | None = None
    architecture: str | None = None
    inputs: str | None = None
    against: str | None = None
    batch: int | None = None
    timesteps: int | None = None
    seed: int | None = None
    full: bool = False

    def words(self) -> list[str]:
        """Return the words of the command line, such as `["model.keras", "--batch", "3"]`."""
        options = {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, False)}
        words = [str(options.pop("model"))] if "model" in options else []
        for name, value in options.items():
            words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        return words
