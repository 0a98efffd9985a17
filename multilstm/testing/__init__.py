"""Tests of a user's own: an assertion on a model, and the plugin of pytest that hands it out.

Models and arrays enter; a report leaves, or an error that locates the first difference. pytest imports `plugin.py` at
each start, so this room imports nothing until one of its names is used. It may import `api` and all rooms below.
"""

TYPE_CHECKING = False  # as in `typing`, whose import takes time
if TYPE_CHECKING:
    from multilstm.testing.assertion import assert_parity

__all__ = ["assert_parity"]

if not TYPE_CHECKING:  # a type checker refuses unknown names

    def __getattr__(name: str) -> object:
        """Import the assertion at its first use."""
        if name not in __all__:
            raise AttributeError(f"module 'multilstm.testing' has no attribute {name!r}")
        from multilstm.testing.assertion import assert_parity

        return assert_parity
