"""The rooms of the package import each other in one direction only, lazy and type-checking imports included."""

import ast
import collections
import graphlib
import itertools
import pathlib
from collections.abc import Mapping

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "multilstm"
# From the foundation to the roof: a room imports rooms of floors below its own, and no other.
FLOORS = (
    ("deprecation", "errors", "version"),
    ("json_data", "random"),
    ("frameworks", "spec"),
    ("conversion",),
    ("files",),
    ("weights",),
    ("jobs", "keras_layers"),
    ("cases", "compare", "scan"),
    ("engines", "report"),
    ("workers",),
    ("execution",),
    ("explain", "ledger"),
    ("doctor", "suite"),
    ("migration",),
    ("api", "bench", "fuzz"),
    ("__init__", "cli", "testing"),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
LOOSE_FILES = 6


def room_of(path: pathlib.Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(source: str) -> set[str]:
    """Return the dotted names of this package that a module imports anywhere in its syntax tree."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name for name in names if name.split(".")[0] == "multilstm"}


def imported_rooms(source: str) -> set[str]:
    """Return the rooms that a module imports."""
    rooms = {name.partition(".")[2].split(".")[0] for name in imported_names(source)}
    return {room if room in LEVEL else "__init__" for room in rooms}


def circle(sources: Mapping[str, str]) -> list[str]:
    """Return modules that import each other in a circle; an empty list without one.

    Args:
        sources: the source of each module, by its dotted name.
    """
    imports = {}
    for module, source in sources.items():
        parents = ((name, name.rpartition(".")[0]) for name in imported_names(source))
        imports[module] = {next((name for name in names if name in sources), module) for names in parents} - {module}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def forbidden(room: str, imported: set[str]) -> set[str]:
    """Return the imported rooms of the same floor or a higher one."""
    return {other for other in imported if other != room and LEVEL[other] >= LEVEL[room]}


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=[path.relative_to(PACKAGE).as_posix() for path in MODULES])
def test_a_module_imports_only_rooms_below_its_own(path):
    assert forbidden(room_of(path), imported_rooms(path.read_text(encoding="utf-8"))) == set()


def test_no_modules_import_each_other_in_a_circle():
    """The room `spec` is exempt: a graph holds layers, a TimeDistributed holds a graph, a graph describes itself."""
    sources = {}
    for path in MODULES:
        name = ".".join(("multilstm", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        if not name.startswith("multilstm.spec."):
            sources[name] = path.read_text(encoding="utf-8")
    assert circle(sources) == []


def test_a_circle_of_lazy_imports_is_seen():
    sources = {
        "multilstm.a": "from multilstm.b import c",
        "multilstm.b": "import multilstm.d",
        "multilstm.d": "def late():\n    from multilstm import a",
    }
    assert set(circle(sources)) == set(sources)


def test_every_room_has_a_floor():
    assert {room_of(path) for path in MODULES} == set(LEVEL)


def test_few_modules_are_outside_of_a_room():
    assert len(list(PACKAGE.glob("*.py"))) <= LOOSE_FILES


@pytest.mark.parametrize("room", [path.parent.name for path in PACKAGE.glob("*/__init__.py")])
def test_a_room_documents_its_data_and_its_imports(room):
    assert ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "from multilstm.cli.app import main",
        "import multilstm.suite",
        "def late():\n    from multilstm.report.report import Report",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from multilstm.execution.options import Options",
        "from multilstm import parity",
    ],
    ids=["plain", "import", "lazy", "type_checking", "package"],
)
def test_an_import_from_above_is_seen(source):
    assert forbidden("spec", imported_rooms(source))


def test_the_floors_name_each_room_once():
    rooms = list(itertools.chain.from_iterable(FLOORS))
    assert len(rooms) == len(set(rooms))


def test_modules_that_tests_import_by_a_bare_name_have_distinct_names():
    root = PACKAGE.parent
    modules = [path for folder in ("tests/helpers", "parity", "docs") for path in (root / folder).glob("*.py")]
    names = collections.Counter(path.stem for path in modules if not path.stem.startswith(("test_", "conftest")))
    assert [name for name, count in names.items() if count > 1] == []


POOLS = {"workers/executor_pool.py", "fuzz/patience.py"}
JOBS = {"execution/execution.py", "api/comparison.py", "bench/agreement.py", *POOLS}
"""Modules that give a job to a pool. `run` and the judge of `bench` have one engine, whose error ends them."""


def gives_jobs(source):
    """Whether a module calls `pool.execute(engine, job)`; an engine's own `execute` has the job alone."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and len(node.args) == 2)
    return any(isinstance(call.func, ast.Attribute) and call.func.attr == "execute" for call in calls)


def test_one_method_makes_the_errors_of_an_engine_from_its_refusals():
    modules = {path.relative_to(PACKAGE).as_posix() for path in MODULES if gives_jobs(path.read_text(encoding="utf-8"))}
    assert modules == JOBS
