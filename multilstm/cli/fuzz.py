"""`multilstm fuzz`."""

from __future__ import annotations

from multilstm.cli.console import result_console
from multilstm.cli.progress import say
from multilstm.cli.types import Device, Layers, OptionalNames, WholeNumber, names
from multilstm.errors import EngineUnavailableError, UsageError, listed


def fuzz(
    *,
    seconds: float = 300.0,
    seed: WholeNumber = 0,
    engine: OptionalNames = None,
    layers: Layers = "portable",
    device: Device = "cpu",
    folder: str = "multilstm-fuzz",
    memory: float | None = None,
) -> int:
    """Compare random models, and shrink each difference to a short script.

    The same seed and folder continue an earlier campaign.

    Parameters
    ----------
    seconds
        Start no further round of models after this time. A round is finished first: shrinking takes up to two minutes
        for each new kind of failure.
    seed
        Random seed.
    engine
        Engines to compare with the reference. Default: all that are installed.
    layers
        `portable`: layers of `multilstm.keras_layers` where Keras's differ between backends; `plain`: Keras's layers.
    device
        The device of the engines.
    folder
        The folder for the counts, and for a script of every finding.
    memory
        End a worker whose memory exceeds this number of GB. Default: a fair share of the free memory.
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
            "multilstm fuzz needs the package hypothesis, which is not installed here; "
            "install it with: pip install 'multilstm[fuzz]'"
        ) from None
    if not 0 <= seconds < math.inf or seed < 0:
        raise UsageError(f"--seconds and --seed must be finite and not negative, given {seconds} and {seed}")
    availability = available(names("--engine", engine) or None, device)
    if not availability.engines:
        raise EngineUnavailableError(f"no engine can run here: {'; '.join(availability.skipped.values())}")
    campaign = open_campaign(folder, seed, layers)
    run_campaign(campaign, folder, availability.engines, device, seconds, draw_samples, say, memory)
    show_campaign(campaign, folder, result_console())
    idle = [name for name in availability.engines if not campaign.ran.get(name)]
    if availability.named and idle and not campaign.findings:
        raise EngineUnavailableError(f"{listed(idle)} executed none of these models, so nothing was compared with it")
    return 1 if campaign.findings else 0
