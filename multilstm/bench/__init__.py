"""Benchmarks of engines whose answers agree: which one is fastest for a model on this machine.

Models and contestants enter; a result leaves, as text, JSON, a page or pictures. `rounds` has the method of measuring.
The room may import `execution`, `report` and the rooms below them.
"""

__all__: list[str] = []
