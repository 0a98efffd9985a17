"""Cases: models with data and a program, and the catalogue of them.

Specs and random numbers enter; cases leave, as frozen data with a unique name. This room imports `spec`, `weights` and
`jobs`.
"""

__all__: list[str] = []
