"""A large model diverges: reduce it to the smallest one that still does, as a script.

Run it in its own folder: PYTHONPATH=$PWD python shrink.py
"""

import pathlib
import tempfile

import fault_explained  # registers the engine `my-port`, which has the fault

from multilstm import LSTM, Bidirectional, Dense, Dropout, Embedding, Model, Sequential
from multilstm.cli.app import main


def tagger() -> Model:
    """Describe a tagger of sentences: 5,000 words, two layers, both directions."""
    layers = [
        Embedding(5000, 32, mask_zero=True),
        Bidirectional(LSTM(24, return_sequences=True)),
        Dropout(0.2),
        LSTM(16, return_sequences=True),
        Dense(9, activation="softmax"),
    ]
    return Sequential(layers, input_shape=(None,))


if __name__ == "__main__":
    assert fault_explained
    with tempfile.TemporaryDirectory() as folder:
        try:
            main(["parity", "shrink:tagger", "--engine", "my-port", "--dtype", "float64", "--shrink", folder])
        except SystemExit as end:
            print("exit code", end.code)
        for path in sorted(pathlib.Path(folder).glob("*.py")):
            print(*(line[:110] for line in path.read_text().splitlines()), sep="\n")
