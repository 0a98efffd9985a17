"""`multilstm fuzz`."""

from __future__ import annotations

from typing import Literal

from multilstm.cli.console import result_console
from multilstm.cli.progress import say
from multilstm.cli.types import Names
from multilstm.errors import EngineUnavailableError, UsageError


def fuzz(
    *,
    seconds: float = 300.0,
    seed: int = 0,
    engine: Names = (),
    layers: Literal["portable", "plain"] = "portable",
    device: Literal["cpu", "gpu"] = "cpu",
    folder: str = "multilstm-fuzz",
) -> int:
    """Draw random models, compare them, and shrink what diverges to a short script.

    Given the same seed and folder again, it goes on where it was left.

    Parameters
    ----------
    seconds
        Begin no further round of models after so long.
    seed
        Of all that is drawn.
    engine
        Engines to judge; all that are installed if left out.
    layers
        `portable`: multilstm.keras_layers where plain Keras is known to differ; `plain`: exactly Keras's layers.
    device
        Where the engines run.
    folder
        Where the count of what was done, and a script for each finding, are written.
    """
    import math

    from multilstm.execution.availability import available
    from multilstm.fuzz import open_campaign, run_campaign
    from multilstm.fuzz.rendering import show_campaign

    try:
        from multilstm.fuzz.strategies import draw_samples
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise EngineUnavailableError(
            "multilstm fuzz needs hypothesis, not installed here; install it with: pip install 'multilstm[fuzz]'"
        ) from None
    if not 0 <= seconds < math.inf or seed < 0:
        raise UsageError(f"--seconds and --seed must be finite and not negative, given {seconds} and {seed}")
    engines, skipped, *_ = available(engine, device)
    if not engines:
        raise EngineUnavailableError(f"no engine can run here: {'; '.join(skipped.values())}")
    campaign = open_campaign(folder, seed, layers)
    run_campaign(campaign, folder, engines, device, seconds, draw_samples, say)
    show_campaign(campaign, folder, result_console())
    return 1 if campaign.findings else 0
