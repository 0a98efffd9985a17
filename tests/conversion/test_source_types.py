"""The written sources have types: mypy reads them without the frameworks, whose classes it takes for any type."""

import subprocess
import sys

import pytest

from multilstm.conversion.equinox.target import equinox_source
from multilstm.conversion.flax.api import LINEN, NNX
from multilstm.conversion.flax.source import flax_source
from multilstm.conversion.haiku.target import haiku_source
from multilstm.conversion.scan.target import scan_source
from multilstm.conversion.tf1.target import tf1_source
from multilstm.conversion.torch.source import torch_source
from multilstm.errors import UnsupportedError
from multilstm.spec import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Input,
    MaxPooling1D,
    Model,
    Sequential,
)

pytestmark = pytest.mark.unit

SOURCES = {
    "torch": torch_source,
    "nnx": lambda spec: flax_source(spec, NNX),
    "linen": lambda spec: flax_source(spec, LINEN),
    "equinox": equinox_source,
    "haiku": haiku_source,
    "tf1": tf1_source,
    "scan": scan_source,
}


def translation():
    source, target = (Input((None,), dtype="int32", name=name) for name in ("source", "target"))
    _, *states = LSTM(6, return_state=True)(Embedding(9, 3)(source))
    return Model([source, target], Dense(9)(LSTM(6, return_sequences=True)(Embedding(9, 3)(target), states)))


MASKED = [Embedding(9, 4, mask_zero=True), Bidirectional(LSTM(3, return_sequences=True)), Dropout(0.2), LSTM(2)]
MODELS = {
    "masked": Sequential(MASKED, (None,), input_dtype="int32"),
    "translation": translation(),
    "convolution": Sequential([Conv1D(4, 3), BatchNormalization(), MaxPooling1D(2), LSTM(5), Dense(1)], (9, 2)),
    "same": Sequential([Conv1D(4, 3, padding="same"), LSTM(5, recurrent_activation="sigmoid"), Dense(1)], (9, 2)),
    "gru": Sequential([GRU(3, return_sequences=True), GRU(3, reset_after=False)], (None, 2)),
}
EXPECTED = {"torch": 4, "nnx": 5, "linen": 5, "equinox": 3, "haiku": 3, "tf1": 2, "scan": 5}
STRICT = (
    "--disallow-untyped-defs", "--disallow-incomplete-defs", "--check-untyped-defs", "--disallow-any-generics",
    "--warn-redundant-casts", "--follow-imports=skip", "--ignore-missing-imports", "--no-incremental",
)  # fmt: skip


def checked(folder):
    """Return mypy's findings on the sources in a folder, one a line."""
    files = sorted(path.name for path in folder.glob("*.py"))
    command = [sys.executable, "-m", "mypy", *STRICT, "--config-file", "", "--no-error-summary", *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout.splitlines()


def test_the_sources_of_every_target_have_types(tmp_path):
    written = dict.fromkeys(SOURCES, 0)
    for target, source in SOURCES.items():
        for name, spec in MODELS.items():
            try:
                text = source(spec)
            except UnsupportedError:
                continue
            (tmp_path / f"{target}_{name}.py").write_text(text)
            written[target] += 1
    assert written == EXPECTED
    assert checked(tmp_path) == []


def test_a_function_without_types_is_seen(tmp_path):
    (tmp_path / "port.py").write_text(
        equinox_source(MODELS["masked"]).replace("state: State, inputs:", "state, inputs:")
    )
    assert any("missing a type annotation" in line for line in checked(tmp_path))
