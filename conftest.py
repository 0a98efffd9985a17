"""For `pytest -n 2 --dist loadgroup`: tests that share what is made once a session stay in one process."""

from collections.abc import Sequence

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Groups tests by file, and by folder where files share their fixtures."""
    for item in items:
        shared = item.path.parent.name == "keras_layers"
        item.add_marker(pytest.mark.xdist_group(str(item.path.parent if shared else item.path)))
