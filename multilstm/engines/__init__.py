"""Engines: the ways to execute a spec.

Jobs enter and results leave; a table of the engines is in `registry`. Modules of single engines import a framework and
are imported in worker processes only. This room imports `jobs`, `weights`, `scan`, `keras_layers` and the rooms below.
"""

__all__: list[str] = []
