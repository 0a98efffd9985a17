"""The dtypes of a job and the dtypes in which its arrays are stored."""

from __future__ import annotations

from multilstm.errors import UnsupportedError

__all__ = ["DEVICES", "DTYPES", "MIXED", "check_dtype", "device_dtypes", "stored"]

MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}  # Keras's policies, with the dtype of their layers
# tf32: arrays in float32, whose products a GPU rounds to ten bits of mantissa.
DTYPES = ("float32", "float64", *MIXED, "tf32")
DEVICES = ("cpu", "gpu")


def stored(dtype: str) -> str:
    """Return the dtype of the arrays of a job: weights, inputs and answers."""
    return "float32" if dtype in MIXED or dtype == "tf32" else dtype


def device_dtypes(device: str) -> tuple[str, ...]:
    """Return the dtypes in which a device computes."""
    return tuple(dtype for dtype in DTYPES if dtype != "tf32" or device == "gpu")


def check_dtype(dtype: str, device: str) -> None:
    """Check that the device has the dtype.

    Raises:
        UnsupportedError: for tf32 on a CPU.
    """
    if dtype not in device_dtypes(device):
        raise UnsupportedError(
            f"tf32 is how GPUs round products of float32; given device {device!r}, expected 'gpu' (--device gpu)"
        )
