"""The forward passes of the catalogue on keras-tensorflow; see catalogue_items.py."""

from catalogue_items import items_of, test_part

__all__ = ["test_part"]

pytest_generate_tests = items_of("keras-tensorflow", ["forward"])
