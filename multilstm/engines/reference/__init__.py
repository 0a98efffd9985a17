"""Engine `reference`: every layer in NumPy float64, forward and backward.

A job enters and a result leaves. This room imports `jobs`, `frameworks` and `spec`.
"""

__all__: list[str] = []
