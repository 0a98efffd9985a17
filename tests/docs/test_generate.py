"""The generated reference: benchmark tables from a recorded run, and a section for each row of the ledger."""

import importlib.util
import pathlib

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(shape, contestant, median_s, quantity="forward"):
    return {"shape": shape, "contestant": contestant, "quantity": quantity, "median_s": median_s}


def test_a_recorded_run_becomes_ratios_with_their_mean(generate):
    rows = [row("1x2x3x4", "jax-scan", 0.001), row("1x2x3x4", "flax", 0.002), row("1x2x3x4", "torch-lstm", None)]
    rows += [row("5x6x7x8", "jax-scan", 0.002), row("5x6x7x8", "flax", 0.001)]
    text = "\n".join(generate.benchmark({"rows": rows}))
    assert "| 1x2x3x4 | 1 | 2.00 |" in text
    assert "| 5x6x7x8 | 2 | 0.50 |" in text
    assert "| geometric mean |  | 1.00 |" in text
    assert "torch-lstm" not in text


def test_every_row_of_the_ledger_has_a_section_with_its_reproducer(generate):
    from multilstm.ledger.rows import ledger

    text = "\n".join(generate.ledger_rows())
    assert [row.id for row in ledger() if f"({row.id.replace('_', '-')})=" not in text] == []
    assert text.count("Reproducer: ") == len(ledger())


def test_a_bar_in_a_cell_does_not_end_it(generate):
    assert generate.table(("a",), [("|x|",)]).splitlines()[-1] == r"| \|x\| |"


def test_every_page_is_generated_and_included(generate):
    included = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    assert [page.__name__ for page in generate.PAGES if f"_generated/{page.__name__}.md" not in included] == []
