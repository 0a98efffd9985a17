"""The plugin of pytest: options, markers, and the fixtures `multilstm_engine` and `multilstm_parity`.

pytest imports this module at each start where multilstm is installed. It therefore imports nothing beyond pytest, and
does nothing until an option, a marker or a fixture of it is used.
"""

from __future__ import annotations

import pytest

from multilstm.testing.settings import DEFAULTS, ENGINE, SKIP, Settings, keep, settings_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multilstm.report.report import Report
    from multilstm.testing.session import Workers

MARKERS = (
    f"{DEFAULTS}(dtype=, atol=, rtol=): the dtype, or several, and the tolerances of `multilstm_parity` in this test",
    f"{SKIP}(name, reason=): leave an engine out of this test, for a reason",
)
OPTIONS = {  # by name: metavar, whether it is repeatable, help
    "engine": ("NAME", True, "engine of multilstm_engine and multilstm_parity; repeatable; default: all installed"),
    "device": ("DEVICE", False, "device of the engines: cpu (default) or gpu"),
    "dtype": ("DTYPE", True, "dtype of multilstm_parity; repeatable; default: float32 and float64"),
    "report": ("PATH", False, "write one report of all assert_parity: .html, .json, .xml (JUnit) or .md (Markdown)"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add each option, and an ini key for it."""
    group = parser.getgroup("multilstm", "answers of LSTM models on every engine")
    for name, (metavar, several, text) in OPTIONS.items():
        group.addoption(
            f"--multilstm-{name}", action="append" if several else "store", metavar=metavar, default=None, help=text
        )
        if several:
            parser.addini(f"multilstm_{name}", text, type="args", default=[])
        else:
            parser.addini(f"multilstm_{name}", text, type="string", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and refuse unknown names before any test runs."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    values = {name: config.getoption(f"multilstm_{name}") or config.getini(f"multilstm_{name}") for name in OPTIONS}
    engines, dtypes = (tuple(dict.fromkeys(values[name])) for name in ("engine", "dtype"))
    settings = Settings(engines, values["device"] or "cpu", dtypes, values["report"])
    keep(config, settings)
    if any(values.values()):
        from multilstm.testing.session import prepare

        prepare(config, settings)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Return the settings, if any is given or with `-v`."""
    engines, device, dtypes, _ = settings = settings_of(config)
    if settings == ((), "cpu", (), "") and config.get_verbosity() < 1:
        return None
    return (
        f"multilstm: engines {', '.join(engines) or 'all installed'}; device {device}; "
        f"dtypes {', '.join(dtypes) or 'by default'}"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise `multilstm_engine`, unless the test does so itself."""
    if ENGINE not in metafunc.fixturenames:
        return
    from multilstm.testing.session import engine_names, parametrized

    if not parametrized(metafunc, ENGINE):
        metafunc.parametrize(ENGINE, engine_names(settings_of(metafunc.config)), indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse markers with unknown names before any test runs."""
    marked = [item for item in items if any(item.get_closest_marker(name) for name in (SKIP, DEFAULTS))]
    if marked:
        from multilstm.testing.session import check_markers

        check_markers(marked)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the test of an engine that cannot run here, or that a marker leaves out."""
    if ENGINE in getattr(item, "fixturenames", ()):
        from multilstm.testing.session import engine_of, require

        require(item, engine_of(item), settings_of(item.config))


@pytest.fixture(scope="session")
def multilstm_engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine, one after the other: those of `--multilstm-engine`, or all that are installed."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def _multilstm_workers() -> Iterator[Workers]:
    """The processes of the engines, for all tests of the session."""
    from multilstm.testing.session import Workers

    workers = Workers()
    yield workers
    workers.close()


@pytest.fixture
def multilstm_parity(request: pytest.FixtureRequest, _multilstm_workers: Workers) -> Callable[..., Report]:
    """`multilstm.testing.assert_parity` with the settings of this test.

    Engines, device and dtypes are those of the options; the marker `multilstm` gives dtype, atol and rtol. In a test
    with `multilstm_engine`, that engine alone is compared. Arguments of a call replace them. The engines' processes are
    kept over the session. The outcome is recorded as properties of the test.
    """
    from multilstm.testing.session import bound_assertion

    return bound_assertion(request, _multilstm_workers)
