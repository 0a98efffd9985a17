"""The page in headless Chromium, driven as a person would. Needs the extra `browser`, and Chromium on the PATH."""

import os
import shutil

import pytest
import small_reports
from catalogue_report import catalogue_report

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright (extra `browser`) is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

NAME = 'a"b <i>&amp; $x \u202e/#=%'  # in the name of a case


@pytest.fixture(scope="module")
def chromium():
    with playwright_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, tmp_path):
    """Open the page of a report from its file, without a network; a line on the console or a request fails the test."""
    problems, contexts = [], []

    def open_page(report, fragment="", width=1280, scheme="light"):
        path = tmp_path / "report.html"
        path.write_text(report.to_html(), encoding="utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True,
            permissions=["clipboard-read", "clipboard-write"],
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if request.url != page.url else None)
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("body[data-ready]")
        problems.clear()  # the request of the page itself
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def names(page):
    """Return the cases of the rows that are drawn."""
    return [text.strip() for text in page.locator("#grid tbody th").all_inner_texts()]


def letters(page, row):
    return page.locator("#grid tbody tr").nth(row).locator("a").all_inner_texts()


def test_the_worst_comes_first_and_each_verdict_has_its_letter(opened):
    page = opened(small_reports.every_verdict())
    assert names(page) == ["seed2-b", "seed1-a", "seed3-c", "seed3-c"]
    assert letters(page, 0) == ["x", "!", "="]
    assert letters(page, 1) == ["k", "w", "w", "w"]
    assert "x7" in page.locator("#grid tbody tr").nth(0).locator("td").nth(1).get_attribute("class")


def test_exactly_one_engine_differs_then_which(opened):
    page = opened(small_reports.every_verdict())
    assert not page.locator("#which").is_visible()
    page.get_by_role("radio", name="Exactly one engine differs (1)").check()
    assert names(page) == ["seed1-a"]
    assert page.locator("#which label").all_inner_texts() == ["any engine", "keras-jax (1)"]
    page.get_by_role("radio", name="keras-jax (1)").check()
    assert names(page) == ["seed1-a"]
    page.get_by_role("radio", name="Several differ (1)").check()
    assert names(page) == ["seed2-b"]
    page.get_by_role("button", name="Reset").click()
    assert len(names(page)) == 4


@pytest.mark.parametrize(
    ("words", "found"),
    [("seed3", ["seed3-c", "seed3-c"]), ("STATE_IS_LOST", ["seed1-a"]), ("gate jax", ["seed2-b"]), ("nothing", [])],
    ids=["case", "ledger", "two_words", "none"],
)
def test_search(opened, words, found):
    page = opened(small_reports.every_verdict())
    page.get_by_label("Search").fill(words)
    assert names(page) == found
    assert page.get_by_role("status").inner_text().startswith(f"{len(found)} of 4 rows")


def test_filters_by_verdict_and_dtype(opened):
    page = opened(small_reports.every_verdict())
    page.get_by_label("Dtype").select_option("float64")
    assert names(page) == ["seed3-c"]
    page.get_by_role("combobox", name="Verdict").select_option("diverges")
    assert names(page) == []


def test_sorting_by_an_engine(opened):
    page = opened(small_reports.every_verdict())
    page.get_by_role("button", name="keras-torch").click()
    assert names(page)[:2] == ["seed2-b", "seed1-a"]
    page.get_by_role("button", name="jax-scan").click()
    assert names(page)[0] == "seed1-a"
    assert page.locator("th[aria-sort]").all_inner_texts() == ["jax-scan"]
    page.get_by_role("button", name="case").click()
    assert names(page) == ["seed1-a", "seed2-b", "seed3-c", "seed3-c"]


def test_a_cell_shows_its_cause_and_the_command_that_repeats_it(opened):
    page = opened(small_reports.every_verdict())
    page.get_by_label("keras-jax, forward: known").click()
    dialog = page.get_by_role("dialog")
    shown = dialog.inner_text()
    command = "multilstm parity --case seed1-a --engine keras-jax --dtype float32 --layers plain --quantity hidden"
    for text in ("seed1-a on keras-jax", "lax.scan; plan (2, 3)", "worst at [0, 1]", "a state is lost", "8 eps",
                 "Use portable layers.", "5.0e-6", "1e-06 + 1e-06*|desired|", command):  # fmt: skip
        assert text in shown
    assert dialog.get_by_role("link", name="https://example.org/1").count() == 1
    dialog.get_by_role("button", name="Copy", exact=True).click()
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_kinds_with_one_tolerance_share_its_reason(opened):
    page = opened(
        small_reports.report(
            *(small_reports.cell(quantity=name) for name in ("hidden:lstm", "cell:lstm", "hidden:lstm_1"))
        )
    )
    page.locator("#grid a").click()
    shown = page.get_by_role("dialog").inner_text()
    assert shown.count("8 eps") == 1
    assert "hidden, cell: 8 eps" in shown
    assert "--quantity hidden cell" in shown


def test_a_divergence_shows_where_it_begins(opened):
    page = opened(small_reports.every_verdict())
    page.get_by_label("keras-jax, forward: diverges").click()
    assert "first in LSTM 'lstm', timestep 3, gate f" in page.get_by_role("dialog").inner_text()


def test_a_divergence_shows_its_error_over_the_timesteps(opened):
    page = opened(
        small_reports.report(
            small_reports.cell(quantity="sequence:lstm", verdict="diverges", mismatch=small_reports.MISMATCH)
        )
    )
    page.locator("#grid a").click()
    drawing = page.get_by_role("dialog").get_by_role("img")
    words = "sequence:lstm: error / tolerance at 90 timesteps; above 1 from timestep 45 on"
    assert drawing.get_attribute("aria-label") == words
    heights = [float(bar.get_attribute("height")) for bar in drawing.locator("rect").all()]
    assert heights == sorted(heights)
    assert len(heights) == 5  # the first of six has no error
    assert "1e6" in drawing.inner_html()


def test_agreeing_quantities_of_a_kind_unfold(opened):
    cells = [
        small_reports.cell(quantity=f"hidden:{name}", share=share)
        for name, share in (("a", 0.1), ("b", 0.5), ("c", 0.2))
    ]
    page = opened(
        small_reports.report(*cells),
        "#case=seed1-stateful&dtype=float32&engine=jax-scan&kind=forward&quantity=hidden:c",
    )
    row = page.get_by_role("dialog").locator("tr[aria-current]")
    assert "0.5" in row.inner_text()
    row.get_by_text("3 quantities, worst hidden:b").click()
    assert "hidden:a, hidden:b, hidden:c" in row.inner_text()


def test_the_keyboard_reaches_every_cell(opened):
    page = opened(small_reports.every_verdict())
    page.locator("#grid a[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("jax-scan, forward: within")
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    assert page.evaluate("document.activeElement.ariaLabel").startswith("jax-scan, forward: within")
    page.keyboard.press("Enter")  # the same link again
    assert page.get_by_role("dialog").is_visible()


def test_a_link_opens_its_cell(opened):
    page = opened(small_reports.every_verdict())
    page.get_by_label("keras-jax, forward: diverges").click()
    page.get_by_role("link", name="hidden:lstm").click()
    fragment = page.evaluate("location.hash")
    assert "seed2-b" in fragment
    page = opened(small_reports.every_verdict(), fragment)
    assert page.get_by_role("dialog").get_by_role("heading").first.inner_text() == "seed2-b on keras-jax"
    assert page.locator("tr[aria-current]").inner_text().startswith("hidden:lstm")
    page.go_back()


@pytest.mark.parametrize("fragment", ["#case=nothing&dtype=float32", "#case=%E0%A4%A", "#=", "#<script>="], ids=repr)
def test_a_link_of_another_run_is_said_so(opened, fragment):
    page = opened(small_reports.every_verdict(), fragment)
    assert page.get_by_role("alert").inner_text().startswith("This page has no cell")
    assert not page.get_by_role("dialog").is_visible()


def test_names_with_markup_are_text(opened):
    hostile = {"case": NAME, "engine": NAME, "quantity": f"hidden:{NAME}", "message": NAME, "explanation": NAME}
    report = small_reports.report(small_reports.cell(verdict="diverges", share=9.0, **hostile))
    page = opened(report)
    shown = NAME.replace("\u202e", r"\u202e")
    assert names(page) == [shown]
    page.locator("#grid a").click()
    assert page.get_by_role("dialog").get_by_role("heading").first.inner_text() == f"{shown} on {shown}"
    assert page.locator("i, img").count() == 0
    page = opened(report, page.evaluate("location.hash"))
    assert page.get_by_role("dialog").get_by_role("heading").first.inner_text() == f"{shown} on {shown}"


def test_the_policy_stops_a_script_and_an_image(chromium, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(small_reports.every_verdict().to_html(), encoding="utf-8")
    page = chromium.new_page()
    page.goto(path.as_uri())
    blocked = page.evaluate(
        """() => new Promise((resolve) => {
            const seen = [];
            document.addEventListener("securitypolicyviolation", (event) => {
                seen.push(event.effectiveDirective);
                if (seen.length === 2) resolve(seen.sort());
            });
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            const image = document.createElement("img");
            image.src = "https://example.org/x.png";
            document.body.append(script, image);
        })"""
    )
    assert blocked == ["img-src", "script-src-elem"]
    assert page.evaluate("window.ran") is None
    page.close()


def test_printing_draws_every_row_and_opens_every_section(opened):
    many = small_reports.report(*(small_reports.cell(f"case-{number}") for number in range(120)))
    page = opened(many)
    assert len(names(page)) < 120
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert len(names(page)) == 120
    assert not page.locator("#filters").is_visible()
    assert page.locator("#summary details:not([open])").count() == 0
    assert len(page.pdf()) > 10_000


def test_more_rows_by_the_button(opened):
    page = opened(small_reports.report(*(small_reports.cell(f"case-{number}") for number in range(120))))
    before = len(names(page))
    page.get_by_role("button", name="Show more rows").click()
    assert len(names(page)) == 2 * before


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_as_wide_as_the_window(opened, width):
    page = opened(small_reports.every_verdict(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#grid a").first.click()
    assert page.evaluate("document.getElementById('detail').scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_rules_of_axe(opened, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = opened(small_reports.every_verdict(), width=width, scheme=scheme)
    page.context.set_offline(False)
    for step in ("matrix", "dialog"):
        if step == "dialog":
            page.get_by_label("keras-jax, forward: diverges").click()
        violations = axe.Axe().run(page).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations] == []


def test_a_browser_without_decompression_says_so(chromium, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(small_reports.every_verdict().to_html(), encoding="utf-8")
    page = chromium.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(path.as_uri())
    assert page.get_by_text("The matrix needs a newer browser").is_visible()
    assert page.get_by_text("Verdicts by engine").is_visible()
    page.close()


def test_the_whole_catalogue_opens_in_2_s_and_filters_in_100_ms(opened):
    """The report has the size of a real run of five engines. The fastest of three pages counts: others compute, too."""
    searches = ("9", "lstm_1", "optimizer", "1", "")
    openings, filterings = [], []
    for _ in range(3):
        page = opened(catalogue_report())
        openings.append(page.evaluate("Number(document.body.dataset.ready)"))
        filterings.append(
            page.evaluate(
                """(searches) => searches.map((words) => {
                    const search = document.getElementById("search");
                    const start = performance.now();
                    search.value = words;
                    search.dispatchEvent(new Event("input"));
                    document.body.getBoundingClientRect();
                    return performance.now() - start;
                })""",
                searches,
            )
        )
    assert min(openings) < 2000
    assert max(map(min, zip(*filterings, strict=True))) < 100
