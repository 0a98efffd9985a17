"""The dtypes of a job and the dtypes in which its arrays are stored."""

from __future__ import annotations

from multilstm.errors import UnsupportedError

MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}  # Keras's policies: what computes in what


DTYPES = (
    "float32",
    "float64",
    *MIXED,
    "tf32",
)  # tf32: arrays in float32, whose products a GPU rounds to ten bits of mantissa


DEVICES = ("cpu", "gpu")


def stored(dtype: str) -> str:
    """The dtype of the arrays of a job: of its weights and of all that goes in and comes out."""
    return "float32" if dtype in MIXED or dtype == "tf32" else dtype


def device_dtypes(device: str) -> tuple[str, ...]:
    """The dtypes in which a device computes."""
    return tuple(dtype for dtype in DTYPES if dtype != "tf32" or device == "gpu")


def check_dtype(dtype: str, device: str) -> None:
    """Returns if the device has the dtype.

    Raises:
        UnsupportedError: for tf32 on a CPU.
    """
    if dtype not in device_dtypes(device):
        raise UnsupportedError(
            f"tf32 is how GPUs round products of float32; given device {device!r}, expected 'gpu' (--device gpu)"
        )
