"""The one table of tolerances: by dtype, device and kind of quantity, each row with its measure and its reason.

A tolerance is a bound for the error of rounding, derived from the dtype; it is not a number that happened to pass.
The reason of every row names the largest measured distance, as a share of the bound.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from multilstm.compare.quantity import CURVES_BUT_ACCURACY, EXACT, FORWARD, GRADIENTS, TRAINED
from multilstm.errors import UsageError
from multilstm.spec.arrays import Array

# The largest absolute part of a row, as a share of the largest number of a tensor: see `Tolerance.at`.
SHARE, COARSE_SHARE = 1e-3, 0.5
COARSE = ("mixed_bfloat16", "mixed_float16", "tf32")
# The largest response, as a share of the largest number of a tensor. A model whose rounding moves its answers further
# proves nothing about an engine, so its difference stays a divergence, with the cause `rounding`.
RESPONSE_SHARE, COARSE_RESPONSE_SHARE = 1e-3, 0.1
# Four steps of the subnormal numbers of float16, in which its gates are computed: no tolerance of it is finer.
FLOAT16_STEPS = 4 * 2.0**-24


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """One row: the largest `|actual - desired|` of each value, by its measure.

        value       atol + rtol * |desired|, with the atol of `at`
        tensor      atol + rtol * max|desired|
        absolute    atol + rtol * |desired|

    max|desired| is that of the tensor, or a larger `scale` (`multilstm.suite.judge_part`). A response that is larger
    takes the place of the row. It is 0 in the table. Else it is the distance by which a wide or trained model amplifies
    rounding (`multilstm.execution.response`).
    """

    dtype: str
    device: str
    quantities: tuple[str, ...]
    atol: float
    rtol: float
    measure: Literal["value", "tensor", "absolute"]
    reason: str
    response: float = 0.0
    scale: float = 0.0

    def at(self, desired: Array) -> Tolerance:
        """Return the row for one tensor: response, and atol of a `value`, are at most a share of max|desired|.

        The absolute part is for the rounding of numbers near 1. At 1e-6 it would hide every error of a model whose
        states are 1e-9. The share leaves a margin for sums: the terms of a Dense may be near 1 while their sum is 0.01.
        A dtype of few digits needs a larger share.

        Measured with the strictest share, atol itself: a quarter of the catalogue agrees on jax-scan, keras-torch and
        keras-tensorflow in float32 and float64. One small sum of a Dense uses 88% of the row.
        """
        largest = float(np.abs(desired).max(initial=0.0))
        coarse = self.dtype in COARSE
        response = min(self.response, (COARSE_RESPONSE_SHARE if coarse else RESPONSE_SHARE) * largest)
        atol = self.atol
        if self.measure == "value" and np.size(desired):
            smallest = FLOAT16_STEPS if self.dtype == "mixed_float16" else 0.0
            atol = min(atol, max((COARSE_SHARE if coarse else SHARE) * largest, smallest))
        return dataclasses.replace(self, atol=atol, response=response)

    def allowed(self, desired: Array) -> Array:
        """Return the largest distance from each desired value of one tensor."""
        size = np.abs(desired)
        scale = np.full_like(size, max(size.max(initial=0.0), self.scale)) if self.measure == "tensor" else size
        row = self.at(desired)
        distance: Array = np.maximum(row.atol + row.rtol * scale, row.response)
        return distance

    def __str__(self) -> str:
        parts = [f"{self.atol:g}"] if self.atol or not self.rtol else []
        if self.rtol:
            parts.append(f"{self.rtol:g}*{'max' if self.measure == 'tensor' else ''}|desired|")
        text = " + ".join(parts)
        return f"{text}, or {self.response:.1e}" if self.response else text


_CPU = (
    Tolerance(
        "float64", "cpu", FORWARD, 4e-15, 4e-15, "value",
        "18 eps: absolute where |values| are below 1, as states are, and relative above. Gates damp the error of the "
        "timestep before, so it does not grow with timesteps. Measured: 20% of the row (7e-15 on cells of about 10)",
    ),
    Tolerance(
        "float64", "cpu", GRADIENTS, 0.0, 1e-12, "tensor",
        "4500 eps: a weight's gradient is a sum over batch times timesteps (up to 10,000 terms here), in another order "
        "on every engine. The gradient of an input or a state is a chain through the later timesteps, no longer sum. "
        "Measured: 1% of the row for weights (1e-14), 0.4% for inputs, 0.9% for states",
    ),
    Tolerance(
        "float64", "cpu", CURVES_BUT_ACCURACY, 1e-9, 0.0, "value",
        "the bound that this project promises for a loss curve. Training amplifies rounding: RMSprop divides a "
        "gradient by its own size, however small. Measured after 100 updates: 0.3% of the row (3e-12)",
    ),
    Tolerance(
        "float64", "cpu", TRAINED, 0.0, 1e-9, "tensor",
        "the bound that this project promises for trained weights, and for the optimizer's slots: running means of "
        "gradients and of their squares. Measured after 100 updates: 0.3% of the row for weights (3e-12), below 0.005% "
        "for slots",
    ),
    Tolerance(
        "float64", "cpu", ("accuracy",), 0.0, 0.0, "absolute",
        "the same classification of every sample. Measured: no sample differs",
    ),
    Tolerance(
        "float32", "cpu", FORWARD, 1e-6, 1e-6, "value",
        "8 eps, absolute below 1 and relative above, as for float64. Measured: 37% of the row (2.4e-6 on cells of 10)",
    ),
    Tolerance(
        "float32", "cpu", GRADIENTS, 0.0, 2e-5, "tensor",
        "170 eps, for sums of up to 10,000 terms in another order. Measured: 23% of the row for weights, 7% for "
        "inputs, 11% for states, and 73% for a state whose gradient 20 timesteps reduced to 1e-6 of its size",
    ),
    Tolerance(
        "float32", "cpu", CURVES_BUT_ACCURACY, 1e-4, 0.0, "value",
        "training amplifies rounding, see float64. Measured over the programs: 8% of the row (8e-6 on losses of 11)",
    ),
    Tolerance(
        "float32", "cpu", TRAINED, 0.0, 1e-2, "tensor",
        "as for the curves. Where a gradient is as small as its rounding error, an adaptive optimizer makes a step of "
        "the learning rate's size with a random sign. Measured over the programs: below 1% of the row, slots 0.2%",
    ),
    Tolerance(
        "float32", "cpu", ("accuracy",), 0.02, 0.0, "absolute",
        "a share of the samples. A sample at a tie may be classified either way. Measured: no sample differs",
    ),
    Tolerance(
        "mixed_bfloat16", "cpu", FORWARD, 6e-2, 6e-2, "value",
        "8 eps of bfloat16, as for float32. Measured: 42% of the row (3e-2; 0.24 on cells of about 20)",
    ),
    Tolerance(
        "mixed_bfloat16", "cpu", ("gradient", "input_gradient"), 0.0, 0.25, "tensor",
        "32 eps of bfloat16, for sums whose terms were rounded to it. Measured: 90% of the row for weights (0.22), 31% "
        "for inputs",
    ),
    Tolerance(
        "mixed_bfloat16", "cpu", ("state_gradient",), 4e-6, 0.25, "tensor",
        "as for inputs, and absolute where the timesteps up to the loss reduced a gradient to 1e-6 of its size: to "
        "round the weights alone to bfloat16 changes such a gradient by half. Measured: 37% of the row, 20% where a "
        "gradient has vanished (8.4e-7)",
    ),
    Tolerance(
        "mixed_float16", "cpu", FORWARD, 8e-3, 8e-3, "value",
        "8 eps of float16, as for float32. Measured: 27% of the row (2.4e-3; 3.3e-2 on cells of about 20)",
    ),
    Tolerance(
        "mixed_float16", "cpu", ("gradient", "input_gradient"), 0.0, 0.05, "tensor",
        "51 eps of float16, for sums whose terms were rounded to it. The loss is scaled by their number, so the terms "
        "do not underflow. Measured on keras-torch and jax-scan: 37% of the row (1.8e-2) for weights, 11% for inputs; "
        "without a scale, on all engines, 68% (3.4e-2) and 11%",
    ),
    Tolerance(
        "mixed_float16", "cpu", ("state_gradient",), 4 * 2**-24, 0.05, "tensor",
        "as for inputs, and four of the steps that float16 has below 6e-5, for gradients that vanish over the "
        "timesteps: each timestep rounds them to a multiple of such a step. Measured: 22% of the row (one step, 6e-8)",
    ),
)  # fmt: skip

# No run on a GPU is recorded yet, so no bound here is measured: each is estimated from the eps of the dtype.
_AS_ON_THE_CPU = tuple(
    dataclasses.replace(row, device="gpu", reason=f"as on the CPU, since eps decides. Not measured yet. {row.reason}")
    for row in _CPU
    if row.dtype != "float32" or row.quantities in (TRAINED, ("accuracy",))
)
_GPU = (
    *_AS_ON_THE_CPU,
    Tolerance(
        "float32", "gpu", FORWARD, 1e-5, 1e-5, "value",
        "80 eps: ten times the CPU's row. The exponentials of a GPU, above all in cuDNN's kernels, are wrong by a few "
        "eps, those of a CPU by one. Not measured yet: the aim is 1e-5 after 100 timesteps",
    ),
    Tolerance(
        "float32", "gpu", GRADIENTS, 0.0, 2e-4, "tensor",
        "1700 eps: ten times the CPU's row, as for the forward pass, from which gradients are computed. Not measured "
        "yet",
    ),
    Tolerance(
        "float32", "gpu", CURVES_BUT_ACCURACY, 1e-3, 0.0, "value",
        "ten times the CPU's row, as for gradients, whose errors training amplifies. Not measured yet",
    ),
    Tolerance(
        "tf32", "gpu", FORWARD, 8e-3, 8e-3, "value",
        "8 eps of TF32 (2^-10, float16's), as for float16, though only factors are rounded to it. Not measured yet",
    ),
    Tolerance(
        "tf32", "gpu", GRADIENTS, 0.0, 3e-2, "tensor",
        "32 eps of TF32, as for bfloat16. TF32 has the exponent of float32, so nothing underflows. Not measured yet",
    ),
)  # fmt: skip

TABLE: tuple[Tolerance, ...] = (*_CPU, *_GPU)


def tolerance(dtype: str, device: str, kind: str, atol: float | None = None, rtol: float | None = None) -> Tolerance:
    """Return the row for a kind of quantity, or the user's own row where `atol` or `rtol` is given.

    Args:
        dtype: the dtype of the computation that is judged, or the mixed policy.
        device: `cpu` or `gpu`.
        kind: the kind of quantity, one of `multilstm.compare.quantity.KINDS`.
        atol: an absolute tolerance in place of the row's; with `rtol` alone it is 0.
        rtol: a tolerance relative to each desired value in place of the row's; with `atol` alone it is 0.

    Raises:
        UsageError: if the table has no such row.
    """
    if kind in EXACT:
        return Tolerance(dtype, device, EXACT, 0.0, 0.0, "absolute", "counts and shapes are compared exactly")
    if atol is not None or rtol is not None:
        return Tolerance(
            dtype,
            device,
            (kind,),
            0.0 if atol is None else atol,
            0.0 if rtol is None else rtol,
            "absolute",
            "the user's",
        )
    for row in TABLE:
        if (row.dtype, row.device) == (dtype, device) and kind in row.quantities:
            return row
    raise UsageError(
        f"no tolerance for {kind!r} in {dtype} on {device}; give --atol or --rtol, or add a row to "
        f"multilstm/compare/tolerances.py"
    )
