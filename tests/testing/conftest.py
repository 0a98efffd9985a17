"""Test suites of users, run by pytester."""

import pytest
from user_suites import HEAD, PLUGIN, QUIET

import multilstm.testing.session  # noqa: F401 - once, and not in each run of pytester


@pytest.fixture
def suite(pytester):
    """Run pytest over a file of tests, which begins with HEAD; return the result."""

    def run(tests, *options, ini=""):
        pytester.makepyfile(test_user=HEAD + tests)
        if ini:
            pytester.makeini(f"[pytest]\n{ini}")
        return pytester.runpytest_inprocess(*PLUGIN, *QUIET, *options)

    return run
