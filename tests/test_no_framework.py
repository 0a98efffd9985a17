"""Importing the parent's side of multilstm imports no framework: each belongs in a worker of its own."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest
from no_framework import FRAMEWORKS, forbidden

ROOT = pathlib.Path(__file__).parents[1]
MODULES = (
    "multilstm",
    "multilstm.spec",
    "multilstm.weights.initializers",
    "multilstm.jobs.job",
    "multilstm.spec.optimizers",
    "multilstm.spec.summary",
    "multilstm.explain",
    "multilstm.fuzz",
    "multilstm.engines.base",
    "multilstm.engines.registry",
    "multilstm.testing.assertion",
)


def found(statements, folders=()):
    """Return the frameworks that a fresh interpreter has imported after `statements`."""
    path = os.pathsep.join([*map(str, folders), os.getcwd(), *sys.path])
    code = f"{statements}; import sys; sys.stdout.write(' '.join(sorted(set({FRAMEWORKS}) & set(sys.modules))))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("module", MODULES)
def test_importing_imports_no_framework(module):
    assert found(f"import {module}") == []


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_test_above_can_fail(framework, tmp_path):
    (tmp_path / f"{framework}.py").write_text("'''Stands in for the framework, so that it need not be installed.'''\n")
    assert found(f"import multilstm, {framework}", [tmp_path]) == [framework]


def test_collecting_the_unit_tests_imports_no_framework(stubs):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "unit", "-p", "no:cacheprovider"]
    with forbidden(stubs):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("::") > 1000


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_unit_test_that_imports_a_framework_fails(stubs, framework, monkeypatch):
    """Unit tests run inside of `forbidden`; see `unit_tests_import_no_framework` of conftest.py."""
    monkeypatch.delitem(sys.modules, framework, raising=False)
    message = f"a unit test imports {framework}"
    with forbidden(stubs):
        with pytest.raises(AssertionError, match=message):
            importlib.import_module(framework)
        command = [sys.executable, "-c", f"import {framework}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert message in done.stderr
