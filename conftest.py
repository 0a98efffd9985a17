"""For `pytest -n 2 --dist loadgroup`: tests that share what is made once a session stay in one process."""

from collections.abc import Sequence

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Groups tests by file, and by folder where files share their fixtures."""
    for item in items:
        folder = item.path.parent
        shared = folder.name in ("keras_layers", "parity")
        item.add_marker(pytest.mark.xdist_group(str(folder if shared else item.path)))
