"""The generated reference: benchmark tables from a recorded run, and a section for each row of the ledger."""

import importlib
import pathlib

import bench_results as made
import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture
def generate(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("generate")


@pytest.fixture
def speed_pages(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("speed_pages")


def test_a_recorded_run_becomes_ratios_with_their_mean(speed_pages):
    rows = [made.row("a", "forward", "jax-scan", 0.001), made.row("a", "forward", "flax", 0.002)]
    rows += [made.row("b", "forward", "jax-scan", 0.002), made.row("b", "forward", "flax", 0.001)]
    run = made.result([*rows, made.row("a", "forward", "torch-lstm", 0.001)], ("a", "b"))
    run.workloads["a"].published.append(made.PUBLISHED)
    text = "\n".join(speed_pages.benchmark(run))
    assert "| a | 1.00 | 1.00 | 2.00 |" in text
    assert "| b | 1.00 | 2.00 | 1.00 |" in text
    assert "| geometric mean |  | 1.41 | 1.41 |" in text
    assert "| a | forward | cuDNN | GTX 1080 | Braun 2018 | 10.0 | 1.00 |" in text
    assert "torch-lstm" not in text


def test_every_row_of_the_ledger_has_a_section_with_its_reproducer(generate):
    from multilstm.ledger.rows import ledger

    text = "\n".join(generate.ledger_rows())
    assert [row.id for row in ledger() if f"({row.id.replace('_', '-')})=" not in text] == []
    assert text.count("Reproducer: ") == len(ledger())


def test_the_recorded_leads_are_a_table_for_each_contestant_of_ours(speed_pages, monkeypatch, tmp_path):
    rows = ["1,forward,flax,jax-scan,1.234,0.5,a,2", "2,forward,flax,jax-scan,2,1,a,2", "1,forward,flax,ours,3,2,a,2"]
    head = "seed,mode,engine,ours,mean,worst,at,shapes"
    (tmp_path / "drawn.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    monkeypatch.setattr(speed_pages, "RECORDED", tmp_path)
    first, second = speed_pages.drawn_leads()
    assert first.splitlines()[0] == "| divided by jax-scan | forward, seed 1 | forward, seed 2 |"
    assert first.splitlines()[2] == "| flax | 1.23 (0.50) | 2.00 (1.00) |"
    assert second.splitlines()[2] == "| flax | 3.00 (2.00) |"


def test_a_bar_in_a_cell_does_not_end_it(generate):
    assert generate.table(("a",), [("|x|",)]).splitlines()[-1] == r"| \|x\| |"


def test_every_page_is_generated_and_included(generate):
    included = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    assert [page.__name__ for page in generate.PAGES if f"_generated/{page.__name__}.md" not in included] == []
