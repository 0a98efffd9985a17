"""What is known to be wrong with released packages, as data: each row names the versions in which it was seen."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class KnownIssue:
    """Something wrong with a released package that a user of LSTMs meets.

    Attributes:
        package: as in an engine's versions.
        first: the first version in which it was seen.
        last: the last version in which it was seen, `first` included; later ones were not tried, or are clean.
        engines: where it shows.
        symptom: what a user will see.
        remedy: what to do.
        link: the upstream report, or empty.
        handled: True where multilstm's engines do not show it, whatever the layers.
        flags: each of these, in XLA_FLAGS, avoids it.
        device: where it shows; None: on all.
    """

    package: str
    first: str
    last: str
    engines: tuple[str, ...]
    symptom: str
    remedy: str
    link: str = ""
    handled: bool = False
    flags: tuple[str, ...] = ()
    device: str | None = None

    def affects(self, engine: str, device: str, versions: Mapping[str, str], switches: Mapping[str, str]) -> bool:
        """Whether an engine shows it with these versions and switches."""
        installed = versions.get(self.package)
        return (
            engine in self.engines
            and self.device in (None, device)
            and installed is not None
            and _release(self.first) <= _release(installed) <= _release(self.last)
            and not set(self.flags) & set(switches.get("XLA_FLAGS", "").split())
        )


def _keras(engine: str, symptom: str, remedy: str, link: str = "", handled: bool = False) -> KnownIssue:
    """An issue that was measured with this version of Keras only."""
    return KnownIssue("keras", "3.15.1", "3.15.1", tuple(engine.split()), symptom, remedy, link, handled)


KNOWN_ISSUES: tuple[KnownIssue, ...] = (
    KnownIssue(
        package="jaxlib",
        first="0.9.1",
        last="0.10.2",
        engines=("keras-jax", "jax-scan"),
        symptom="Compiled sums over a matrix product are wrong for some shapes, such as 3 x 32769 in float32; in "
        "0.10.2 also in float64, from 3 x 16385, and of squares.",
        remedy="Before JAX starts, set XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type= with nothing behind the =.",
        link="https://github.com/jax-ml/jax/issues/39103",
        flags=("--xla_cpu_experimental_ynn_fusion_type=", "--xla_cpu_experimental_ynn_fusion_type=-reduce"),
        device="cpu",
    ),
    _keras(
        "keras-jax keras-torch",
        "float64 layers compute partly in float32 and still say float64; errors of 1e-8 to 1e-7.",
        "multilstm's engines switch it off. In programs of your own, do not trust digits beyond the seventh.",
        "https://github.com/keras-team/keras/issues/23704",
        handled=True,
    ),
    _keras(
        "keras-tensorflow keras-jax keras-torch",
        "LSTM and Bidirectional drop the mask of the layer below where an initial state is given too.",
        "Pass mask= by hand, or use multilstm.keras_layers.LSTM and Bidirectional.",
    ),
    _keras(
        "keras-jax",
        "LSTM(stateful=True) never carries its state through predict, fit, evaluate and train_on_batch.",
        "Use multilstm.keras_layers.LSTM.",
    ),
    _keras(
        "keras-jax",
        "An exception inside predict(), as for a wrong number of features, loses the model's weights for good.",
        "Build the model again and load its weights.",
    ),
    _keras(
        "keras-torch",
        "Training an LSTM(stateful=True) raises a RuntimeError about an in-place operation.",
        "Use multilstm.keras_layers.LSTM, or use_cudnn=False.",
        "https://github.com/keras-team/keras/issues/20875",
    ),
    _keras(
        "keras-tensorflow",
        "TimeDistributed takes the batch size for the number of timesteps, in predict and fit, where both may vary.",
        "Use multilstm.keras_layers.TimeDistributed, or Dense without it.",
    ),
    _keras(
        "keras-tensorflow",
        "Adam, RMSprop, Adagrad and clipnorm update an Embedding wrongly where a token stands twice in a batch.",
        "Use the optimizers of multilstm.keras_layers.",
    ),
    _keras(
        "keras-tensorflow",
        "The gradient of categorical_crossentropy behind a softmax is wrong for labels that do not sum to "
        "one; behind a sigmoid it is another loss.",
        "Use multilstm.keras_layers.CategoricalCrossentropy.",
    ),
    _keras(
        "keras-tensorflow",
        "Adam's step in float64 is off by 7e-6, since its betas are rounded to float32.",
        "Use multilstm.keras_layers.Adam.",
    ),
)


def known_issues(
    engine: str, device: str, versions: Mapping[str, str], switches: Mapping[str, str]
) -> tuple[KnownIssue, ...]:
    """The rows of KNOWN_ISSUES that an engine shows with these versions and switches."""
    return tuple(issue for issue in KNOWN_ISSUES if issue.affects(engine, device, versions, switches))


def _release(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` as (2, 13)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in numbers.group().split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
