"""The catalogue on torch-lstm, as far as this partial engine can express it; see catalogue_items.py."""

import pytest
from catalogue_items import cells_of, items_of, refused, test_part

from multilstm.cases.catalogue import catalogue

__all__ = ["test_part"]

ENGINE = "torch-lstm"
pytest_generate_tests = items_of(ENGINE)


@pytest.mark.parametrize("family", ["size", "option", "sweep", "model"])
def test_some_cases_of_a_family_have_items(family):
    names = {name for _, name, *rest in cells_of(ENGINE, "cpu") if not refused(ENGINE, name, *rest)}
    assert any(catalogue()[name].family == family for name in names)
