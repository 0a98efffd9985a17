"""The page and the pictures of a run: complete, escaped, without a script."""

import re
import xml.etree.ElementTree as ET
from html import escape

import bench_results as made
import pytest

from multilstm.bench.charts import charts, engines_of
from multilstm.bench.page import COLUMNS, to_html
from multilstm.bench.svg import drawn
from multilstm.errors import InputError
from multilstm.report.document import hash_source

HOSTILE = '<img src=x onerror="1"> \u202e&amp;'


def grown():
    """Return a run of one model at several sizes."""
    rows, workloads = [], {}
    for timesteps in (10, 100):
        name = f"{HOSTILE} 4x{timesteps}"
        workloads[name] = made.facts(4, timesteps, [made.PUBLISHED])
        rows += [made.row(name, "forward", engine, 1e-5 * timesteps) for engine in ("jax-scan", HOSTILE)]
    run = made.result(rows)
    run.workloads = workloads
    return run


def test_a_page_has_the_answer_the_tables_and_the_plots():
    html = to_html(made.usual(skipped={"flax": "needs flax"}))
    assert '<h1 class="verdict good">For this model on this machine: jax-scan' in html
    assert html.count("<svg") == 3  # throughput of two modes, error against time
    assert html.count("<table") == 2
    assert "skipped flax: needs flax" in html
    assert "its answer is 12 times the tolerance away" in html
    assert "<script" not in html


def test_the_page_says_what_each_column_means():
    html = to_html(made.usual())
    for column, meaning in COLUMNS.items():
        assert f'<th scope="col">{escape(column)}</th>' in html
        assert f"<dd>{escape(meaning)}</dd>" in html


def test_the_policy_admits_the_style_alone():
    html = to_html(made.usual())
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert f"default-src 'none'; style-src {hash_source(style)}; base-uri" in html
    assert 'style="' not in html


def test_texts_of_users_are_escaped():
    html = to_html(grown())
    assert "<img" not in html
    assert "\u202e" not in html
    assert "<book>" not in html
    assert "growth: time" in html


@pytest.mark.parametrize("chart", charts(grown()), ids=lambda chart: chart.name)
def test_a_plot_alone_is_xml_with_the_names_of_its_engines(chart):
    root = ET.fromstring(drawn(chart, engines_of(grown()), alone=True))
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "jax-scan" in texts
    left, top, width, height = map(float, root.get("viewBox").split())
    for node in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert left <= float(node.get(name, 0)) <= width
        for name in ("y", "y1", "y2", "cy"):
            assert top <= float(node.get(name, 0)) <= height


def test_charts_of_a_run_without_times():
    assert charts(made.result([])) == []


def test_a_bar_is_as_long_as_its_value():
    (chart, *_) = charts(made.usual())
    svg = drawn(chart, engines_of(made.usual()))
    widths = [float(width) for width in re.findall(r'<rect class="c\d" [^>]*width="([\d.]+)"', svg)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] / widths[1] == pytest.approx(1.6, rel=1e-3)


def test_pictures_are_written_as_svg_and_png(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (extra `plots`) is not installed")
    from multilstm.bench.pictures import write_pictures

    paths = write_pictures(grown(), str(tmp_path))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(f"{chart.name}.{kind}" for chart in charts(grown()) for kind in ("png", "svg"))
    assert len(paths) == len(names)
    assert (tmp_path / "error.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (extra `plots`) is not installed")
    from multilstm.bench.pictures import check_folder

    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write into the folder"):
        check_folder(str(tmp_path / "file" / "folder"))


def test_the_matplotlibrc_of_the_user_changes_no_picture(tmp_path):
    """The file may lie in the current folder, and call LaTeX."""
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib (extra `plots`) is not installed")
    from multilstm.bench.pictures import write_pictures

    plain, styled = tmp_path / "plain", tmp_path / "styled"
    for folder in (plain, styled):
        folder.mkdir()
    write_pictures(grown(), str(plain))
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red"}):
        write_pictures(grown(), str(styled))
        assert matplotlib.rcParams["text.usetex"]
    assert (plain / "error.png").read_bytes() == (styled / "error.png").read_bytes()
