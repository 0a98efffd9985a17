"""Trains a small LSTM data-parallel, prints its losses, and compares the weights with those of one device.

    python -m multilstm.scan.launch --processes 2 docs/examples/data_parallel.py    # over two processes
    python docs/examples/data_parallel.py                                           # over the devices of this process

The model reads sequences of numbers of different lengths. After each number it gives the mean of the numbers so far.
It computes in float64, so that its weights equal those of one device up to the order of sums.
"""

from __future__ import annotations

import sys

import jax
import numpy as np

from multilstm.scan.model import model
from multilstm.scan.parallel import ParallelModel, data_parallel_mesh, local_slice, replicate, shard_batch
from multilstm.spec import LSTM, Dense, Sequential
from multilstm.spec.optimizers import Adam
from multilstm.weights.initializers import initial_weights

TIMESTEPS, STEPS, ROWS_PER_DEVICE = 20, 100, 16
TOLERANCE = 1e-9  # of max|actual - desired| / max|desired|: a hundred steps of Adam amplify rounding
LOSS, OPTIMIZER = "mean_squared_error", Adam(0.01)
SPEC = Sequential([LSTM(16, return_sequences=True), Dense(1)], input_shape=(None, 1))


def batch(step: int, rows: int) -> tuple[dict[str, np.ndarray], list[np.ndarray], dict[str, np.ndarray]]:
    """Return inputs, targets and masks of one step, the same in every process."""
    rng = np.random.default_rng(step)
    x = rng.normal(size=(rows, TIMESTEPS, 1))
    mask = np.arange(TIMESTEPS) < rng.integers(1, TIMESTEPS + 1, (rows, 1))
    means = np.cumsum(x, 1) / np.arange(1, TIMESTEPS + 1)[:, None]
    return {"input_layer": x}, [means], {"input_layer": mask}


def main() -> int:
    """Train and print; return 1 if the weights differ from those of one device, else 0."""
    jax.config.update("jax_enable_x64", True)
    mesh = data_parallel_mesh()
    parallel, rows = ParallelModel(model(SPEC), mesh), ROWS_PER_DEVICE * mesh.size
    start = {name: np.asarray(array, "float64") for name, array in initial_weights(SPEC, seed=0).items()}
    zeros = {f"{name}/{slot}": np.zeros_like(array) for name, array in start.items() for slot in OPTIMIZER.slots}
    show = print if jax.process_index() == 0 else lambda *_: None
    show(f"{jax.process_count()} processes, {mesh.size} devices, {rows} sequences a step")

    local = local_slice(mesh, rows)
    weights, slots = replicate(mesh, (start, zeros))
    for step in range(STEPS):
        arrays = jax.tree.map(lambda array: array[local], batch(step, rows))  # a real program reads only its rows
        weights, slots, loss, _ = parallel.train_step(
            weights, slots, OPTIMIZER.coefficients(step), *shard_batch(mesh, arrays), optimizer=OPTIMIZER, loss=LOSS
        )
        if step % 10 == 9:
            show(f"step {step + 1:4}   loss {float(loss):.6f}")

    alone = jax.jit(parallel.model.train_step, static_argnames=("optimizer", "loss"))
    desired, slots = jax.device_put((start, zeros), jax.local_devices()[0])
    for step in range(STEPS):
        desired, slots, _, _ = alone(
            desired, slots, OPTIMIZER.coefficients(step), *batch(step, rows), optimizer=OPTIMIZER, loss=LOSS
        )
    distance = max(
        float(np.abs(np.asarray(weights[name]) - array).max() / np.abs(array).max()) for name, array in desired.items()
    )
    show(f"largest relative distance of the weights from those of one device: {distance:.0e}")
    return int(not distance <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
