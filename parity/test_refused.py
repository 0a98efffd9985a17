"""Cases without items: an engine that lacks a layer or an option refuses them."""

import contextlib

import pytest
from catalogue_items import cells_of, refused

from multilstm.cases.catalogue import catalogue
from multilstm.errors import UnsupportedError
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.suite.compare_cases import worker_pool


@pytest.mark.parametrize("engine", ["jax-scan", "torch-lstm"])
def test_all_cases_without_items_are_refused_by_the_engine(engine, engines):
    """Every key has an item of its engine or is refused here, so that no case disappears silently."""
    engines.require(engine)
    without_items = [cell for cell in cells_of(engine, engines.device) if refused(*cell)]
    assert without_items
    options = Options((engine,), device=engines.device)
    executed = []
    with worker_pool(options) as pool:
        for cell in without_items:
            _, name, dtype, part = cell
            with contextlib.suppress(UnsupportedError):
                Execution(pool, engine, catalogue()[name], dtype, options).result(Part(part))
                executed.append(cell)
    assert executed == [], f"{engine} executes these, so they need items"
