"""A port with a real mistake, found and explained: its weights have haiku's gate order, not Keras's.

Run it in its own folder: PYTHONPATH=$PWD python fault_explained.py
"""

import numpy as np

from multilstm import LSTM, Dense, Sequential, gates, parity
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.registry import ENGINES, EngineRow


class Port(ReferenceEngine):
    """Your port of an LSTM takes this place."""

    def prepare(self, job):
        """Prepare a program whose weights have the order i, c, f, o."""
        program = super().prepare(job)
        load = program.load

        def load_reordered(weights, slots, iteration):
            parts = {name: gates(array) for name, array in weights.items() if "lstm" in name}
            wrong = {name: np.concatenate([p.input, p.cell, p.forget, p.output], -1) for name, p in parts.items()}
            load({**weights, **wrong}, slots, iteration)

        program.load = load_reordered
        return program


ENGINES["my-port"] = EngineRow("my-port", "fault_explained:Port", ("numpy",), None, {})

if __name__ == "__main__":
    spec = Sequential([LSTM(4, return_sequences=True), LSTM(3), Dense(2, activation="softmax")], input_shape=(None, 5))
    x = np.random.default_rng(0).normal(size=(2, 6, 5)).astype("float32")
    report = parity(spec, inputs=x, engines=["my-port"], dtypes=["float64"])
    print(report)
