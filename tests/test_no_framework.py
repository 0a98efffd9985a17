"""Importing the parent's side of multilstm imports no framework: each belongs in a worker of its own."""

import os
import subprocess
import sys

import pytest

FRAMEWORKS = ("keras", "tensorflow", "jax", "jaxlib", "torch")
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
)


def found(statements, folders=()):
    """The frameworks that a fresh interpreter has imported after `statements`."""
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
