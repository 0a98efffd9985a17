"""The command line, with one file a command.

Arguments enter; text, JSON and an exit code leave. The room may import every room.
"""

__all__: list[str] = []
