"""Benchmarks of LSTMs whose answers agree.

Shapes and contestants enter; tables and JSON results leave. `rounds` holds the method of measuring. The programs
`scan`, `length`, `training` and `portable` are run with `python -m`. This room may import every room below it.
"""

__all__: list[str] = []
