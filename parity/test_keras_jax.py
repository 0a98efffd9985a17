"""The catalogue on keras-jax; see catalogue_items.py."""

from catalogue_items import test_part, tests_of

__all__ = ["test_part"]

pytest_generate_tests = tests_of("keras-jax")
