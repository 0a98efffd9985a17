"""The plugin of pytest: options, ini keys, markers and fixtures, as the author of a library uses them."""

import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from user_suites import HEAD, QUIET

from multilstm.engines import registry
from multilstm.errors import EngineUnavailableError
from multilstm.testing import session
from multilstm.testing.plugin import OPTIONS

BY_ENGINE = "def test_engine(multilstm_engine): pass\n"
REFERENCE = ("--multilstm-engine", "reference")
CPU_SECONDS = 0.05


@pytest.fixture
def without_frameworks(monkeypatch):
    """Engines other than the reference are not installed."""
    monkeypatch.setattr(registry, "not_installed", lambda modules: tuple(name for name in modules if name != "numpy"))


def test_the_plugin_imports_nothing_else_and_takes_no_time():
    code = (
        "import sys, time, pytest; before, start = set(sys.modules), time.process_time(); "
        "import multilstm.testing.plugin; print(time.process_time() - start, *sorted({*sys.modules} - before))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    seconds, *modules = done.stdout.split()
    assert modules == [
        "multilstm", "multilstm.testing", "multilstm.testing.plugin", "multilstm.testing.settings", "multilstm.version",
    ]  # fmt: skip
    assert float(seconds) < CPU_SECONDS


def test_a_suite_that_uses_nothing_sees_nothing(suite):
    result = suite("def test_nothing(): pass\n")
    result.assert_outcomes(passed=1)
    lines = [line for line in result.outlines if not line.startswith("plugins:")]  # pytest lists what is installed
    assert [line for line in lines if "multilstm" in line] == []


REFUSED = {
    "engine": ("engine", "keras-jaks", "unknown engine 'keras-jaks': expected one of .*keras-jax"),
    "device": ("device", "tpu", "unknown device 'tpu': expected one of cpu, gpu"),
    "dtype": ("dtype", "float8", "unknown dtype 'float8': expected one of float32, float64,"),
    "tf32_on_a_cpu": ("dtype", "tf32", "tf32"),
    "suffix": ("report", "out.pdf", "--multilstm-report is .*out.pdf'; expected a file .html, .json, .xml, .md"),
    "folder": ("report", "none/out.html", "cannot write"),
}


@pytest.mark.parametrize(
    ("place", "option", "value", "message"),
    [*(("option", *row) for row in REFUSED.values()), ("ini", *REFUSED["engine"])],
    ids=[*REFUSED, "engine_of_ini"],
)
def test_an_unknown_name_is_refused_before_anything_runs(suite, place, option, value, message):
    if place == "option":
        result = suite(BY_ENGINE, f"--multilstm-{option}", value)
    else:
        result = suite(BY_ENGINE, ini=f"multilstm_{option} = {value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert re.search(f"ERROR: multilstm: {message}" if option != "report" else message, result.stderr.str())
    result.stdout.no_fnmatch_line("*test_engine*")


def test_each_option_is_an_ini_key_and_the_option_wins(suite):
    ini = "multilstm_engine = reference\n    jax-scan\nmultilstm_dtype = float64\nmultilstm_device = cpu"
    first = suite(BY_ENGINE, ini=ini)
    first.stdout.fnmatch_lines(["multilstm: engines reference, jax-scan; device cpu; dtypes float64"])
    again = suite(BY_ENGINE, *REFERENCE, "--multilstm-dtype", "float32", ini=ini)
    again.stdout.fnmatch_lines(["multilstm: engines reference; device cpu; dtypes float32"])
    assert set(OPTIONS) == {"engine", "device", "dtype", "report"}


def test_each_engine_is_a_test_of_its_own_and_a_missing_one_is_a_skip(suite, without_frameworks):
    result = suite(BY_ENGINE, "-v")
    result.assert_outcomes(skipped=5)
    result.stdout.fnmatch_lines(["*test_engine?keras-jax? SKIPPED*"])
    result.stdout.fnmatch_lines(["SKIPPED*engine 'keras-jax' needs keras, jax, not installed here; install it with*"])


def test_a_missing_engine_that_is_named_is_an_error(suite, without_frameworks):
    result = suite(BY_ENGINE, "--multilstm-engine", "jax-scan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: multilstm: engine 'jax-scan' needs jax, not installed here; install it with*"])


def test_a_named_engine_without_a_gpu_is_an_error_and_another_one_a_skip(suite, monkeypatch):
    def no_gpu(engine):
        raise EngineUnavailableError(f"engine {engine!r} finds no GPU")

    monkeypatch.setattr(session, "_require_gpu", no_gpu)
    monkeypatch.setattr(registry, "not_installed", lambda modules: ())
    suite(BY_ENGINE, "--multilstm-device", "gpu").assert_outcomes(skipped=5)
    result = suite(BY_ENGINE, "--multilstm-device", "gpu", "--multilstm-engine", "keras-jax")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*EngineUnavailableError: engine 'keras-jax' finds no GPU"])


def test_a_test_may_choose_its_engines(suite):
    result = suite(
        "@pytest.mark.parametrize('number, multilstm_engine', [(1, 'reference')], indirect=['multilstm_engine'])\n"
        "def test_chosen(number, multilstm_engine): assert multilstm_engine == 'reference'\n"
    )
    result.assert_outcomes(passed=1)


def test_a_marker_leaves_an_engine_out(suite, without_frameworks):
    result = suite(
        "@pytest.mark.multilstm_skip_engine('reference', reason='is slow')\n" + BY_ENGINE
        + "@pytest.mark.multilstm_skip_engine('jax-scan', reason='is new')\n"
        "def test_all(multilstm_parity): assert multilstm_parity(SPEC, X).engines == ('reference',)\n",
        *REFERENCE,
    )  # fmt: skip
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*is slow"])


@pytest.mark.skipif(bool(registry.not_installed(("jax", "torch"))), reason="jax or torch is not installed")
def test_an_engine_that_a_marker_leaves_over_is_not_named(suite, monkeypatch):
    """An engine without a case fails a test only where the user names it."""
    installed = {"numpy", "jax", "jaxlib", "torch"}
    monkeypatch.setattr(registry, "not_installed", lambda modules: tuple(sorted({*modules} - installed)))
    result = suite(
        "from multilstm import LSTM, Masking, Sequential\n"
        "@pytest.mark.multilstm_skip_engine('torch-module', reason='is slow')\n"
        "@pytest.mark.multilstm(dtype='float32')\n"
        "def test_mask(multilstm_parity):\n"
        "    report = multilstm_parity(Sequential([Masking(), LSTM(2)], input_shape=(None, 3)), X)\n"
        "    assert report.idle == ('torch-lstm',)\n"
        "    assert 'jax-scan' in report.engines and 'torch-module' not in report.engines\n"
    )
    result.assert_outcomes(passed=1)


def test_the_markers_are_registered(suite):
    result = suite("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.multilstm(dtype=, atol=, rtol=):*"])
    result.stdout.fnmatch_lines(["@pytest.mark.multilstm_skip_engine(name, reason=):*"])


BAD_MARKERS = {
    "unknown_engine": ("multilstm_skip_engine('kears', reason='x')", "unknown engine 'kears': expected one of"),
    "no_reason": ("multilstm_skip_engine('jax-scan')", "expected (name, reason=)"),
    "unknown_argument": (
        "multilstm(atoll=1e-3)",
        "unknown argument of the marker multilstm 'atoll': expected one of dtype",
    ),
    "unknown_dtype": ("multilstm(dtype='float8')", "unknown dtype 'float8'"),
    "negative": ("multilstm(atol=-1)", "atol must be a finite number that is not negative, got -1"),
    "no_name": ("multilstm('float32')", "name each: dtype, atol, rtol"),
}


@pytest.mark.parametrize(("marker", "message"), BAD_MARKERS.values(), ids=BAD_MARKERS)
def test_a_wrong_marker_is_refused_before_anything_runs(suite, marker, message):
    result = suite(f"@pytest.mark.{marker}\ndef test_it(): pass\n", "--strict-markers")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"test_user.py::test_it: {message}" in result.stderr.str() or message in result.stderr.str()


def test_the_fixture_takes_its_settings_from_options_markers_and_the_call(suite):
    result = suite(
        """
def settings(report): return report.environment["options"], {cell.dtype for cell in report.cells}

def test_options(multilstm_parity):
    options, dtypes = settings(multilstm_parity(SPEC, X))
    assert (options["atol"], dtypes) == (None, {"float64"})

@pytest.mark.multilstm(dtype="float32", atol=1e-3, rtol=0.0)
class TestMarked:
    def test_class(self, multilstm_parity):
        options, dtypes = settings(multilstm_parity(SPEC, X))
        assert (options["atol"], dtypes) == (1e-3, {"float32"})

    @pytest.mark.multilstm(atol=1e-4)
    def test_function(self, multilstm_parity):
        options, dtypes = settings(multilstm_parity(SPEC, X, rtol=1e-5))
        assert (options["atol"], options["rtol"], dtypes) == (1e-4, 1e-5, {"float32"})
""",
        *REFERENCE, "--multilstm-dtype", "float64",
    )  # fmt: skip
    result.assert_outcomes(passed=3)


def test_the_processes_are_kept_over_the_session_and_end_with_it(suite):
    result = suite(
        """
import os
pids = set()

@pytest.mark.parametrize("number", [0, 1])
def test_it(multilstm_parity, _multilstm_workers, number):
    multilstm_parity(SPEC, X, dtype="float32")
    pids.add(_multilstm_workers.pool().pids["reference", "cpu"])
    assert len(pids) == 1

def test_after_an_error_there_are_new_ones(multilstm_parity, _multilstm_workers):
    _multilstm_workers.pool().close()
    multilstm_parity(SPEC, X, dtype="float32")
    with open("pids", "w") as file:
        file.write(" ".join(map(str, [*pids, _multilstm_workers.pool().pids["reference", "cpu"]])))
""",
        *REFERENCE,
    )  # fmt: skip
    result.assert_outcomes(passed=3)
    first, second = map(int, (pathlib.Path("pids")).read_text().split())
    assert first != second
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in (first, second))


def test_the_outcome_is_a_property_in_junit_xml(suite, pytester):
    tests = "def test_it(multilstm_parity): multilstm_parity(SPEC, X, dtype='float32', against=X[:, 0, :2])\n"
    suite(tests, *REFERENCE, "--junit-xml=out.xml").assert_outcomes(failed=1)
    root = ET.parse(pytester.path / "out.xml")
    properties = {element.get("name"): element.get("value") for element in root.iter("property")}
    assert properties["multilstm_engines"] == "reference, recorded"
    assert properties["multilstm_verdict"].startswith("Different answers: recorded (1 quantity).")
    assert float(properties["multilstm_max_abs"]) > 0.1
    assert int(properties["multilstm_quantities"]) > 5


def test_the_assertion_works_without_the_plugin(pytester):
    pytester.makepyfile(test_user=HEAD + "def test_it(): assert_parity(SPEC, X, engines=['reference'])\n" + BY_ENGINE)
    names = ("multilstm", "multilstm.testing.plugin")
    result = pytester.runpytest_inprocess(*QUIET, *(part for name in names for part in ("-p", f"no:{name}")))
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'multilstm_engine' not found"])
