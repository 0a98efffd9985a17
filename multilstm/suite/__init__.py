"""The orchestration of a run: the API, the command line, fuzzing and tests compare cases with it.

Cases and options enter; a report leaves. The room may import every room except `api`, `cli`, `fuzz`, `doctor` and
`bench`.
"""

__all__: list[str] = []
