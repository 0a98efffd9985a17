"""The doctor: known problems, exit codes, and an examination of this machine."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys

import pytest
from diagnoses import BROKEN, FAIL, FLAG, MISSING, PASS, READY, REFERENCE, WRONG, diagnosis, shown

from multilstm import doctor
from multilstm.doctor import KNOWN_ISSUES, Diagnosis, KerasBackend
from multilstm.engines.registry import ENGINES
from multilstm.errors import EngineUnavailableError, UsageError, WorkerError

# --- known issues ---


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.8.3", False),
        ("0.9.0", False),
        ("0.9.0.1", False),
        ("0.9.1", True),
        ("0.10.1", True),
        ("0.10.2", True),
        ("0.10.2.dev3+cpu", True),
        ("0.10.3", False),
        ("0.11.0", False),
        ("0.100.0", False),
        ("1.0", False),
    ],
)
def test_a_row_names_its_versions(version, expected):
    assert bool(doctor.known_issues("jax-scan", "cpu", {"jaxlib": version}, {})) is expected


@pytest.mark.parametrize(
    ("engine", "device", "package", "flags", "expected"),
    [
        pytest.param("jax-scan", "cpu", "jaxlib", "", 1, id="as it is"),
        pytest.param("jax-scan", "gpu", "jaxlib", "", 0, id="another device"),
        pytest.param("torch-lstm", "cpu", "jaxlib", "", 0, id="another engine"),
        pytest.param("jax-scan", "cpu", "jax", "", 0, id="another package"),
        pytest.param("jax-scan", "cpu", "jaxlib", f"--other=1 {FLAG}", 0, id="avoided"),
        pytest.param("jax-scan", "cpu", "jaxlib", f"{FLAG}-reduce", 0, id="avoided otherwise"),
        pytest.param("jax-scan", "cpu", "jaxlib", f"{FLAG}dot", 1, id="not avoided"),
    ],
)
def test_a_row_names_where_it_shows(engine, device, package, flags, expected):
    assert len(doctor.known_issues(engine, device, {package: "0.10.2"}, {"XLA_FLAGS": flags})) == expected


@pytest.mark.parametrize("version", ["3.15", "3.15.0", "3.15.2", "3.16.0", "2.15.1"])
def test_a_row_measured_with_one_version_of_keras_names_no_other(version):
    assert doctor.known_issues("keras-jax", "cpu", {"keras": version}, {}) == ()


@pytest.mark.parametrize("issue", KNOWN_ISSUES, ids=lambda issue: issue.id)
def test_every_row_can_occur(issue):
    assert issue in doctor.known_issues(issue.engines[0], issue.device or "cpu", {issue.package: issue.last}, {})
    assert set(issue.engines) <= set(ENGINES)
    assert issue.severity == "high"


# --- exit codes ---


@pytest.mark.parametrize(
    ("engines", "expected"),
    [
        pytest.param((REFERENCE, READY), 0, id="all pass"),
        pytest.param((REFERENCE, READY, MISSING), 0, id="one is missing"),
        pytest.param((REFERENCE, READY, WRONG), 1, id="one fails"),
        pytest.param((REFERENCE, READY, BROKEN), 1, id="one is broken"),
        pytest.param((dataclasses.replace(REFERENCE, self_test=(FAIL,)), READY), 1, id="the reference fails"),
        pytest.param((REFERENCE, dataclasses.replace(READY, self_test=())), 1, id="no tests are no success"),
        pytest.param((REFERENCE, MISSING), 3, id="the reference alone"),
        pytest.param((REFERENCE, MISSING, BROKEN), 3, id="nothing runs"),
        pytest.param((REFERENCE,), 0, id="only the reference was asked for"),
        pytest.param((), 3, id="nothing"),
    ],
)
def test_exit_code(engines, expected):
    assert diagnosis(*engines).exit_code == expected


def test_to_dict_is_json_and_complete():
    data = diagnosis(WRONG, MISSING, keras=KerasBackend("jax", "KERAS_BACKEND", True)).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["format"] == 1
    assert data["exit_code"] == 1
    assert set(data) == {"format", "exit_code", *(field.name for field in dataclasses.fields(Diagnosis))}
    assert data["engines"][0]["self_test"][1] == {"name": "sums, float64", "ok": False, "detail": "1 of 3 wrong"}


# --- the backend of a plain `import keras` ---


@pytest.mark.parametrize(
    ("variable", "settings", "expected"),
    [
        pytest.param("jax", '{"backend": "torch"}', ("jax", "KERAS_BACKEND"), id="the variable wins"),
        pytest.param("", '{"backend": "torch"}', ("torch", "keras.json"), id="an empty variable is none"),
        pytest.param(None, '{"backend": "torch"}', ("torch", "keras.json"), id="the file"),
        pytest.param(None, '{"floatx": "float64"}', ("tensorflow", "Keras's default"), id="a file without it"),
        pytest.param(None, "{not JSON", ("tensorflow", "Keras's default"), id="a broken file"),
        pytest.param(None, "[]", ("tensorflow", "Keras's default"), id="a file with another structure"),
        pytest.param(None, None, ("tensorflow", "Keras's default"), id="nothing"),
    ],
)
@pytest.mark.parametrize("where", ["KERAS_HOME", "home"])
def test_the_backend_and_its_origin(variable, settings, expected, where, tmp_path, monkeypatch):
    folder = tmp_path if where == "KERAS_HOME" else tmp_path / ".keras"
    folder.mkdir(exist_ok=True)
    if settings is not None:
        (folder / "keras.json").write_text(settings)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    variables = {} if variable is None else {"KERAS_BACKEND": variable}
    backend = doctor.keras_backend({**variables, **({"KERAS_HOME": str(folder)} if where == "KERAS_HOME" else {})})
    assert backend.name == expected[0]
    assert backend.set_by.endswith(expected[1])
    assert str(tmp_path) not in backend.set_by


def test_without_keras_there_is_no_backend(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert doctor.keras_backend({"KERAS_BACKEND": "jax"}) is None


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="keras is not installed")
def test_an_unknown_backend_is_not_installed():
    assert not doctor.keras_backend({"KERAS_BACKEND": "__main__"}).installed


# --- the examination ---


class FakePool:
    """A pool whose workers give the same answer to every call, or raise it."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, timeout_s):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def doctor(self, engine, device):
        FakePool.asked = (engine, device)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ANSWER = {
    "versions": {"jaxlib": "0.10.2"},
    "devices": ["cpu"],
    "switches": {},
    "implementation": {"kernel": "cuDNN", "detail": ""},
    "self_test": [dataclasses.asdict(PASS)],
}


@pytest.fixture
def examined(monkeypatch):
    """Return a function that examines one engine with a given answer; all modules seem to be installed."""

    def examine(answer, engine="jax-scan", device="cpu"):
        monkeypatch.setattr("multilstm.doctor.examination.WorkerPool", FakePool(answer))
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
        return doctor.examine([engine], device)

    return examine


def test_an_answer_becomes_a_row(examined):
    (row,) = examined(ANSWER).engines
    assert (row.status, row.devices, row.self_test, row.passes) == ("ready", ("cpu",), (PASS,), True)
    assert [issue.package for issue in row.issues] == ["jaxlib"]


def test_a_worker_that_fails_is_a_row_with_its_stderr(examined):
    result = examined(WorkerError("its worker ended", kind="crash", stderr="last words"))
    assert (result.engines[0].status, result.engines[0].reason) == ("broken", "its worker ended")
    assert result.engines[0].stderr == "last words"
    assert result.exit_code == 3


def test_an_engine_that_cannot_run_here_is_a_row_with_the_reason(examined):
    (row,) = examined(EngineUnavailableError("no x64")).engines
    assert (row.status, row.reason) == ("unavailable", "no x64")


def test_a_requested_gpu_that_is_missing_is_no_success(examined):
    result = examined(EngineUnavailableError("no GPU: none here"), device="gpu")
    assert (result.engines[0].status, result.engines[0].reason) == ("unavailable", "no GPU: none here")
    assert result.exit_code == 3
    assert examined({**ANSWER, "devices": ["gpu:0 NVIDIA H200", "cpu"]}, device="gpu").exit_code == 0


def test_the_reference_is_examined_on_the_cpu(examined):
    assert examined(ANSWER, "reference", "gpu").exit_code == 0
    assert FakePool.asked == ("reference", "cpu")


def test_a_missing_framework_is_a_row_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (row,) = doctor.examine(["jax-scan"]).engines
    assert (row.status, row.reason) == ("unavailable", "not installed: jax")
    assert row.remedy == "pip install 'multilstm[jax]'"


def test_variables_of_frameworks_are_shown_without_the_home_directory(examined, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to={os.path.expanduser('~')}/dump")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_VAR_password", "secret")
    monkeypatch.setenv("JAX_DISABLE_JIT", "1")
    result = examined(ANSWER)
    assert "JAX_DISABLE_JIT" in result.overruled
    assert not {"XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS", "TF_VAR_password"} & set(result.overruled)
    assert "secret" not in json.dumps(result.to_dict())
    variables = result.variables
    assert variables["XLA_FLAGS"] == "--xla_dump_to=~/dump"
    assert variables["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert "TF_VAR_password" not in variables


@pytest.mark.parametrize("arguments", [(["keras"], "cpu"), (None, "tpu")])
def test_unknown_names_are_refused(arguments):
    with pytest.raises(UsageError, match="expected one of"):
        doctor.examine(*arguments)


@pytest.fixture(scope="module")
def here():
    """Return the real diagnosis of this machine, with a worker for every installed engine."""
    return doctor.examine()


@pytest.mark.parametrize("engine", ENGINES)
def test_this_machine(here, engine):
    row = next(row for row in here.engines if row.name == engine)
    if row.status == "unavailable":
        assert row.reason.startswith("not installed: ")
        pytest.skip(row.reason)
    assert row.status == "ready", row.reason + row.stderr
    assert row.versions
    assert row.devices == ("cpu",)
    assert row.switches["denormals"] in ("kept", "flushed")
    assert len(row.self_test) == 11
    assert row.implementation.kernel
    known = any(issue.package == "jaxlib" for issue in row.issues)
    wrong = [f"{test.name}: {test.detail}" for test in row.failed if not (known and "sums of products" in test.name)]
    assert wrong == []


def test_this_machine_is_shown_in_80_columns(here):
    text = shown(here)
    assert all(name in text for name in ENGINES)
    assert max(map(len, text.splitlines())) <= 80
    assert json.loads(json.dumps(here.to_dict())) == here.to_dict()


def test_the_doctor_imports_no_framework():
    code = "import sys, multilstm.doctor; sys.exit(bool({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=False).returncode == 0
