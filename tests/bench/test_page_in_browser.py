"""The page of a benchmark in headless Chromium. Needs the extra `browser`, and Chromium on the PATH."""

import os
import shutil

import bench_results as made
import pytest

from multilstm.bench.page import to_html

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright (extra `browser`) is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe (extra `browser`) is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def chromium():
    with playwright_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_opens_without_a_network_and_fits(chromium, tmp_path, width, scheme):
    path = tmp_path / "bench.html"
    path.write_text(to_html(made.usual(skipped={"flax": "needs flax"}), made.usual()), encoding="utf-8")
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: problems.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg").count() == 6
    assert page.locator("svg").first.bounding_box()["width"] > 300
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    context.close()
    assert problems == []
