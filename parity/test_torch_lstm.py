"""The catalogue on torch-lstm, as far as this partial engine can express it; see catalogue_items.py."""

import contextlib

import pytest
from catalogue_items import cells_of, items_of, refused, test_part

from multilstm.cases.catalogue import catalogue
from multilstm.errors import UnsupportedError
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.suite.compare_cases import worker_pool

__all__ = ["test_part"]

ENGINE = "torch-lstm"
pytest_generate_tests = items_of(ENGINE)


def test_all_cases_without_items_are_refused_by_the_engine(engines):
    """Every key has an item above or is refused here, so that no case disappears silently."""
    engines.require(ENGINE)
    without_items = [cell for cell in cells_of(ENGINE, engines.device) if refused(*cell)]
    options = Options((ENGINE,), device=engines.device)
    executed = []
    with worker_pool(options) as pool:
        for cell in without_items:
            _, name, dtype, part = cell
            with contextlib.suppress(UnsupportedError):
                Execution(pool, ENGINE, catalogue()[name], dtype, options).result(Part(part))
                executed.append(cell)
    assert executed == [], "torch-lstm executes these, so they need items"


@pytest.mark.parametrize("family", ["size", "option", "sweep", "model"])
def test_some_cases_of_a_family_have_items(family):
    names = {name for _, name, *rest in cells_of(ENGINE, "cpu") if not refused(ENGINE, name, *rest)}
    assert any(catalogue()[name].family == family for name in names)
