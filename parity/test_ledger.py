"""The rows of the ledger: a reproducer shows its divergence on the engines of the row, and on no other backend.

    pytest parity/test_ledger.py -k "keras-jax and stateful_state_is_lost"

A row that no longer reproduces fails with 'fixed upstream, remove'. A reproducer ends with 1 while the divergence
lasts. It must end with 0 on the backends that its row does not name, which proves that it can.
"""

import ast
import concurrent.futures
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from multilstm.ledger.rows import ledger, release

HERE = pathlib.Path(__file__).parent
FRAMEWORKS = {"jax", "keras", "tensorflow", "torch"}
BACKENDS = ("tensorflow", "jax", "torch")
ROWS = {row.id: row for row in ledger()}
# These leave a process that uses JAX changed: Keras has lost weights, or an array has another dtype.
ALONE = ("exception_in_predict_loses_weights", "float64_without_x64", "xla_cpu_vmapped_gradient")


def backends(row):
    """Return the backends of a row: all of them for Keras itself, else those that use the package."""
    return BACKENDS if row.package == "keras" else tuple(b for b in BACKENDS if f"keras-{b}" in row.engines)


CELLS = [(f"keras-{backend}", row.id) for row in ROWS.values() for backend in backends(row)]
PORTABLE = "portable:"  # as `reproduce.py` reads it
FIXED = [(f"keras-{backend}", f"{PORTABLE}{row.id}") for row in ROWS.values() if row.fixed_by for backend in BACKENDS]


def row_of(name):
    return ROWS[name.removeprefix(PORTABLE)]


class Runs:
    """Processes that run the collected reproducers in the background, two at a time.

    A backend has one process for all of them, with plain and with portable layers. On JAX each of `ALONE` has one more.
    Faults of Keras itself do not depend on how XLA compiles, so they run in a process that compiles `quickly`.
    """

    def __init__(self, folder, asked, as_users, quickly):
        self.folder, self.threads = folder, concurrent.futures.ThreadPoolExecutor(2)
        self.as_users, self.quickly = as_users, quickly
        groups = {}
        for engine, name in asked:
            groups.setdefault(self.key(engine, name), []).append(name)
        self.found = {
            key: self.threads.submit(self.run, key[0].removeprefix("keras-"), names)
            for key, names in groups.items()
            if importlib.util.find_spec(key[0].removeprefix("keras-")) is not None
        }

    def of(self, engine, name):
        return self.found[self.key(engine, name)].result()[name]

    @staticmethod
    def key(engine, name):
        """Return a key that is equal for all reproducers of one process."""
        row = row_of(name)
        return engine, None if engine != "keras-jax" else name if row.id in ALONE else row.package

    def run(self, backend, names):
        out = self.folder / f"{backend}-{names[0].replace(':', '-')}.json"
        given = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
        given |= {"KERAS_BACKEND": backend, "KERAS_HOME": str(self.folder / "keras"), "TF_CPP_MIN_LOG_LEVEL": "3"}
        given |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
        given |= self.quickly if {row_of(name).package for name in names} == {"keras"} else self.as_users
        given["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), *sys.path])
        command = [sys.executable, str(HERE / "reproduce.py"), str(out), *names]
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=1800, check=False)
        assert done.returncode == 0, f"the process for {backend} ended with {done.returncode}:\n{done.stderr[-4000:]}"
        return json.loads(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory, one_part, quickly):
    asked = [
        item.callspec.params["cell"]
        for item in request.session.items
        if item.path == pathlib.Path(__file__) and "runs" in item.fixturenames
    ]
    runs = Runs(tmp_path_factory.mktemp("ledger"), asked, one_part, quickly)
    yield runs
    runs.threads.shutdown(cancel_futures=True)


def needs(row, backend):
    """Skip a row that cannot run here, with the reason."""
    for module in ("keras", backend):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if row.processor:
        cpuinfo = pathlib.Path("/proc/cpuinfo")
        if not cpuinfo.exists() or row.processor not in cpuinfo.read_text(encoding="ascii", errors="replace"):
            pytest.skip(f"it shows on a processor with {row.processor}, which this one does not have")


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_reproduces(cell, runs):
    engine, name = cell
    row, backend = ROWS[name], engine.removeprefix("keras-")
    needs(row, backend)
    found = runs.of(engine, name)
    assert found["status"] in (0, 1), f"the reproducer broke:\n{found['printed']}"
    assert found["printed"].strip(), "a reproducer prints its result"
    installed = importlib.metadata.version(row.package)
    if engine in row.on_some_processors:
        return  # both results are right: it ran, and printed its result
    if engine not in row.engines:
        assert found["status"] == 0, f"the row does not name {engine}, add it: {found['printed']}"
    elif release(row.first) <= release(installed) <= release(row.last):
        assert found["status"] == 1, f"fixed upstream, remove: {found['printed']}"
    else:
        assert found["status"] == 0, (
            f"the row is of {row.package} {row.first} to {row.last}, and {installed} shows it too, extend the row: "
            f"{found['printed']}"
        )


@pytest.mark.parametrize("cell", FIXED, ids="-".join)
def test_portable_layers_fix_it(cell, runs):
    """The same program with the classes of multilstm.keras_layers does not show the divergence."""
    engine, name = cell
    needs(row_of(name), engine.removeprefix("keras-"))
    found = runs.of(engine, name)
    assert found["status"] == 0, f"{', '.join(row_of(name).fixed_by)} does not fix it: {found['printed']}"


def test_the_names_of_portable_layers_exist():
    assert {name for row in ROWS.values() for name in row.fixed_by} <= set(keras_layers_names())


def keras_layers_names():
    """`multilstm.keras_layers.__all__`, without importing Keras."""
    tree = ast.parse((HERE.parent / "multilstm/keras_layers/__init__.py").read_text(encoding="utf-8"))
    return next(ast.literal_eval(each.value) for each in tree.body if isinstance(each, ast.Assign))


@pytest.mark.parametrize("flag", [(row.id, flag) for row in ROWS.values() for flag in row.flags], ids="".join)
def test_a_flag_avoids_it(flag, tmp_path):
    name, value = flag
    needs(ROWS[name], "jax")
    found = Runs(tmp_path, [], {"XLA_FLAGS": value}, {}).run("jax", [name])[name]
    assert found["status"] == 0, f"{value} does not avoid it: {found['printed']}"


def test_every_row_has_a_reproducer_and_every_reproducer_a_row():
    assert {path.stem for path in (HERE / "reproducers").glob("*.py")} == set(ROWS)


@pytest.mark.parametrize("path", sorted((HERE / "reproducers").glob("*.py")), ids=lambda path: path.stem)
def test_a_reproducer_needs_the_framework_alone(path):
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {module.split(".")[0] for module in modules}
    assert packages & FRAMEWORKS
    assert packages - FRAMEWORKS <= {
        "numpy",
        "onnxruntime",
        *sys.stdlib_module_names,
    }  # the latter executes exported files
