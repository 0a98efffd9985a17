"""A guard for each private part of a framework: a failure names the feature that a new version breaks."""

import ast
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import multilstm
from multilstm.frameworks import private_keras

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from private_api_checks import CHECKS, KERAS, OVERRIDDEN

PACKAGE = pathlib.Path(multilstm.__file__).parent
HOMES = sorted((PACKAGE / "frameworks").glob("private_*.py"))
PRIVATE = re.compile(r"((tf_)?keras\.src|tensorflow\.(python|tsl|core)|jaxlib|(jax|torch)\.(.+\.)?_[a-z]\w*)(\.|$)")


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """Return a function from a backend to the failures of its checks; each backend runs once, in its own process."""
    answers = {}

    def on(backend):
        if not importlib.util.find_spec("keras") or not importlib.util.find_spec(backend):
            pytest.skip(f"keras or {backend} is not installed")
        if backend not in answers:
            folder = tmp_path_factory.mktemp(backend)
            environment = {
                **os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]),
                "KERAS_BACKEND": backend, "KERAS_HOME": str(folder), "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu",
                "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3",
            }  # fmt: skip
            script = pathlib.Path(__file__).with_name("private_api_checks.py")
            command = [sys.executable, str(script), str(folder / "answer.json")]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            answers[backend] = json.loads((folder / "answer.json").read_text())
        return answers[backend]

    return on


@pytest.mark.parametrize(
    ("name", "backend"), [(name, backend) for name, (_, backends, _) in CHECKS.items() for backend in backends]
)
def test_the_private_part_still_works(failures, name, backend):
    if name.endswith("tf_keras") and not importlib.util.find_spec("tf_keras"):
        pytest.skip("tf_keras is not installed")
    traceback = failures(backend)[name]
    assert traceback is None, f"Without it: {CHECKS[name][2]}. Adapt {name} in frameworks/private_*.py.\n{traceback}"


@pytest.mark.parametrize("backend", KERAS)
@pytest.mark.parametrize("method", [row.method for row in private_keras.OVERRIDES])
def test_keras_still_calls_the_replaced_method(failures, method, backend):
    traceback = failures(backend)[method]
    assert traceback is None, f"Without it: {OVERRIDDEN[method]}. See private_keras.OVERRIDES.\n{traceback}"


def test_every_entry_has_a_check():
    nodes = [node for home in HOMES for node in ast.parse(home.read_text()).body]
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    assert functions == set(CHECKS)
    assert {row.method for row in private_keras.OVERRIDES} == set(OVERRIDDEN)


def private_imports(source):
    """The private modules of frameworks that a source imports, or names from the framework's root."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Attribute) and re.fullmatch(r"[\w.]+", ast.unparse(node)):
            names = [ast.unparse(node)]
        yield from (name for name in names if PRIVATE.match(name))


def test_no_other_module_uses_a_private_module():
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path not in HOMES}
    imports = {path.relative_to(PACKAGE).as_posix(): list(private_imports(text)) for path, text in sources.items()}
    assert {path: names for path, names in imports.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from keras.src.backend import get_keras_mask",
        "def late():\n    import jax._src.config",
        "from torch.utils._python_dispatch import TorchDispatchMode",
        "keras.src.backend.lstm = None",
        "from tensorflow.python.framework import config",
    ],
    ids=["from", "lazy", "dispatch", "attribute", "tensorflow"],
)
def test_a_private_import_is_found(source):
    assert list(private_imports(source))


@pytest.mark.parametrize("path", sorted((PACKAGE / "keras_layers").glob("*.py")), ids=lambda path: path.stem)
def test_keras_layers_use_no_private_attribute_but_replaced_methods(path):
    """In a class that inherits from Keras's, `self._name` is Keras's unless the file defines it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    replaced = {row.method for row in private_keras.OVERRIDES}
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} - replaced
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    defined |= {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    used = {node.attr for node in attributes if node.attr.startswith("_") and not node.attr.startswith("__")}
    assert used - defined <= replaced
