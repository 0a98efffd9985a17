"""The version of multilstm."""

__version__ = "0.1.0"
