"""Grids: lists of workloads with published times and the budget of each.

Published times are those of the authors, on the hardware that each row names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.modes import FORWARD, GRADIENT, STREAM, TRAIN, Mode
from multilstm.bench.rounds import Method
from multilstm.bench.shapes import Published, Shape, drawn_shapes
from multilstm.bench.standing import KERAS
from multilstm.bench.workload import BATCHES, Workload, case_workload
from multilstm.cases.catalogue import catalogue
from multilstm.errors import UsageError, choice

__all__ = ["GRIDS", "Grid", "estimate_s", "grid_named"]

STEFBRAUN = "Braun 2018, arXiv:1806.01818"
DEEPBENCH = "Baidu DeepBench, without the input's products"
FLASHRNN = "FlashRNN, arXiv:2412.07752"


def _braun(
    cudnn: float, torch: float, keras: float, keras_program: str = "Keras's LSTM on TensorFlow"
) -> tuple[Published, ...]:
    """Return the times of a whole training step on a GTX 1080, in milliseconds."""
    hardware = "GTX 1080"
    return (
        Published(TRAIN.name, cudnn, "TensorFlow's cuDNN LSTM", hardware, STEFBRAUN),
        Published(TRAIN.name, torch, "PyTorch, cuDNN", hardware, STEFBRAUN),
        Published(TRAIN.name, keras, keras_program, hardware, STEFBRAUN),
    )


def _deepbench(forward: float, data: float, weights: float) -> tuple[Published, ...]:
    """Return the times of cuDNN 7.6.2 in float32 on a V100, in milliseconds."""
    program = "cuDNN 7.6.2, float32"
    return (
        Published(FORWARD.name, forward, program, "V100", DEEPBENCH),
        Published(GRADIENT.name, round(forward + data + weights, 2), program, "V100", DEEPBENCH),
    )


def _flashrnn(program: str, forward: float, both: float) -> tuple[Published, ...]:
    return (
        Published(FORWARD.name, forward, program, "H100", FLASHRNN),
        Published(GRADIENT.name, both, program, "H100", FLASHRNN),
    )


@dataclasses.dataclass(frozen=True)
class Grid:
    """A list of workloads.

    Attributes:
        name: as in `--grid`.
        meaning: the contents, in words.
        budget_s: the seconds within which two quiet cores shall finish the grid.
        modes: the modes that are timed without `--mode`.
        method: numbers of the method.
        shapes: stacks of LSTMs.
        cases: names of cases of the catalogue, whole.
        engines: the contestants without `--engine`; empty: all that are installed.
    """

    name: str
    meaning: str
    budget_s: float
    modes: tuple[Mode, ...]
    method: Method
    shapes: tuple[Shape, ...] = ()
    cases: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()

    def workloads(self, modes: Sequence[Mode]) -> list[Workload]:
        """Return the workloads, in order, with as many batches as these modes need."""
        batches = BATCHES if any(mode.whole for mode in modes) else 1
        cases = catalogue(full=True) if self.cases else {}
        return [
            *(shape.workload(batches) for shape in self.shapes),
            *(case_workload(cases[name], batches) for name in self.cases),
        ]

    @property
    def published(self) -> Mapping[str, tuple[Published, ...]]:
        """The published times by the name of the workload."""
        return {shape.name: shape.published for shape in self.shapes}


_SEED_SHAPES = (
    Shape(200, 50, 100, 100, source="seed 1"),
    Shape(64, 8, 16, 32, layers=3, source="seed 2"),
    Shape(10, 96, 2, 8, source="seed 3"),
    Shape(1000, 55, 5, 32, source="seed 5"),
)
_SPEECH = Shape(64, 100, 123, 320, source=STEFBRAUN, published=_braun(10, 11, 54))
_LATENCY = (
    Shape(1, 100, 64, 256, source="latency"),
    Shape(1, 50, 128, 256, source="latency; Haste's grid"),
    Shape(1, 1000, 128, 512, source="latency"),
)
_PUBLISHED = (
    _SPEECH,
    Shape(32, 1000, 123, 320, source=STEFBRAUN, published=_braun(75, 80, 543)),
    Shape(64, 25, 512, 512, source=DEEPBENCH, published=_deepbench(1.34, 1.26, 0.44)),
    Shape(64, 25, 1024, 1024, source=DEEPBENCH, published=_deepbench(2.21, 2.04, 1.16)),
    Shape(64, 150, 256, 256, source=DEEPBENCH, published=_deepbench(6.7, 5.8, 0.6)),
    Shape(
        16, 1024, 768, 768,
        source=FLASHRNN,
        published=(
            *_flashrnn("torch.nn.LSTM, cuDNN, float16", 2.01, 5.19),
            *_flashrnn("FlashRNN, fused, bfloat16", 4.87, 13.61),
            *_flashrnn("FlashRNN, alternating, bfloat16", 10.79, 26.49),
            *_flashrnn("Haste, float32", 18.41, 43.86),
            *_flashrnn("a loop in PyTorch, bfloat16", 147.5, 484.3),
        ),
    ),
    Shape(32, 750, 123, 320, padded=True, source="padded sequences"),
    *_SEED_SHAPES,
    *_LATENCY[:2],
)  # fmt: skip
DRAWN = 40  # shapes of the grid `drawn`
GRIDS: dict[str, Grid] = {
    grid.name: grid
    for grid in (
        Grid(
            "quick",
            "three shapes, from small to large, on the engines that most users have",
            120.0,
            (FORWARD, TRAIN),
            Method(rounds=3, pause_s=0.2, measured_s=0.2),
            shapes=(_SEED_SHAPES[2], _LATENCY[0], _SPEECH),
            engines=("jax-scan", *KERAS, "torch-lstm"),
        ),
        Grid(
            "published",
            "shapes of published benchmarks, and of the seed programs",
            1800.0,
            (FORWARD, GRADIENT),
            Method(rounds=3),
            shapes=_PUBLISHED,
        ),
        Grid(
            "latency",
            "one sequence at a time, also timestep by timestep",
            420.0,
            (FORWARD, GRADIENT, STREAM),
            Method(),
            shapes=_LATENCY,
        ),
        Grid(
            "seeds",
            "the seed programs: their models, losses, optimizers and batches",
            600.0,
            (FORWARD, TRAIN),
            Method(rounds=3),
            cases=("seed1-stateless", "seed2-stacked", "seed2-embedding", "seed5", "seed5-masked"),
        ),
        Grid(
            "long",
            "one layer on sequences of 1,000 to 30,000 timesteps",
            300.0,
            (GRADIENT,),
            Method(rounds=3),
            shapes=tuple(Shape(8, steps, 32, 64, source="long sequences") for steps in (1_000, 3_000, 10_000, 30_000)),
            engines=("jax-scan", "jax-scan-checkpoint", "keras-jax", "torch-lstm"),
        ),
        Grid(
            "drawn",
            "random shapes, for which no plan was tuned; another seed gives other ones",
            1500.0,
            (FORWARD, GRADIENT),
            Method(
                rounds=3, pause_s=0.2, warmup_s=0.03, measured_s=0.1, largest_spread=0.25, slow_s=0.5, slow_rounds=1
            ),
            shapes=drawn_shapes(0, DRAWN),
            engines=("jax-scan", "jax-scan-tuned", "jax-plain", *KERAS, "torch-lstm", "flax"),
        ),
    )
}


def grid_named(name: str, seed: int = 0) -> Grid:
    """Return the grid of a name.

    Args:
        name: the name.
        seed: the random seed of the grid `drawn`; other grids have the same shapes always.

    Raises:
        UsageError: for an unknown name.
    """
    if name not in GRIDS:
        raise UsageError(choice("grid", name, GRIDS))
    grid = GRIDS[name]
    return dataclasses.replace(grid, shapes=drawn_shapes(seed, DRAWN)) if name == "drawn" else grid


# Of two quiet cores with AVX-512; they only have to tell minutes from hours.
START_S, PREPARE_S, FLOPS_PER_S, AGAIN = 3.0, 1.5, 1.2e11, 1.3
OTHER_CALLS = 3  # of each contestant besides its rounds: the first one, and its share of the reference


def estimate_s(workloads: Sequence[Workload], modes: Sequence[Mode], engines: Sequence[str], method: Method) -> float:
    """Return a rough number of seconds that a run takes.

    Args:
        workloads: the workloads.
        modes: the modes of each.
        engines: names of the contestants.
        method: numbers of the method.
    """
    total = START_S * len(engines)
    for workload in workloads:
        for mode in modes:
            call = workload.flops(mode) / FLOPS_PER_S
            round_s = method.pause_s + max(method.warmup_s, call) + max(method.measured_s, call)
            able = sum(mode.name in CONTESTANTS[name].modes for name in engines)
            total += able * (PREPARE_S + AGAIN * method.rounds * round_s + OTHER_CALLS * call)
    return total
