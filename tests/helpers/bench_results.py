"""Results without a measurement, for the tests of answers, tables, pages and comparisons."""

from multilstm.bench.results import Benchmark, Contestant, Facts, Product, PublishedRow, Row

MODES = ("forward", "train")


def facts(batch=4, timesteps=10, published=()):
    """Return one workload."""
    return Facts(
        batch=batch,
        timesteps=timesteps,
        parameters=123,
        batches={"forward": 1, "train": 1, "predict": 4, "fit": 4},
        steps={"forward": timesteps, "train": timesteps, "predict": 4 * timesteps, "fit": 4 * timesteps},
        flops={"forward": 10_000_000, "train": 30_000_000, "predict": 40_000_000, "fit": 120_000_000},
        optimizer="Adam, mean_squared_error",
        masked=False,
        source="a <b>book</b>",
        published=list(published),
        spec="a",
    )


def row(workload, mode, engine, seconds, error=1e-7, **fields):
    """Return a row whose samples lie around a time."""
    samples = [[float(f"{seconds * factor:.5g}") for factor in (0.99, 1.0, 1.01)]]
    return Row(workload, engine, mode, samples, error=error, distance=0.5, first_s=0.2, **fields)


def result(rows, workloads=("small 4x10",), **fields):
    """Return a run."""
    return Benchmark(
        **{
            "grid": "",
            "model": "model.keras",
            "dtype": "float32",
            "device": "cpu",
            "environment": {"processor": "a <processor>", "cores": 2, "multilstm": "1", "versions": {"jax": "1"}},
            "method": {"largest_spread": 0.1},
            "workloads": {name: facts() for name in workloads},
            "contestants": {"jax-scan": Contestant({"jax": "1"}, {"threads": "2"})},
            "product": Product(1e11, "jax-scan"),
            "rows": rows,
            **fields,
        }
    )


def usual(**fields):
    """Return a run of three engines, one of which disagrees in training."""
    times = {"jax-scan": 0.001, "keras-jax": 0.0016, "keras-torch": 0.0041}
    kernels = {"keras-torch": "python loop (Keras)"}
    rows = [
        row("small 4x10", mode, engine, seconds, implementation=kernels.get(engine, "XLA's loop"))
        for mode in MODES
        for engine, seconds in times.items()
    ]
    rows[-1].fail("its answer is 12 times the tolerance away")
    return result(rows, **fields)


PUBLISHED = PublishedRow("forward", 10.0, "cuDNN", "GTX 1080", "Braun 2018")
