"""Files have at most 400 lines, and functions at most 60 without their docstrings."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MODULES = sorted(path for folder in ("multilstm", "tests", "parity", "docs") for path in (ROOT / folder).rglob("*.py"))
FILE_LINES = 400
FUNCTION_LINES = 60  # without the docstring


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function without its docstring."""
    first = function.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(function, clean=False) is not None else 0
    return function.end_lineno - function.lineno + 1 - docstring


def too_long(source: str) -> list[str]:
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return [f"{node.name}: {lines_of(node)} lines" for node in functions if lines_of(node) > FUNCTION_LINES]


@pytest.mark.parametrize("path", MODULES, ids=[path.relative_to(ROOT).as_posix() for path in MODULES])
def test_a_file_and_its_functions_are_short(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= FILE_LINES
    assert too_long(source) == []


def test_a_long_function_is_seen():
    body = "\n".join("    x = 1" for _ in range(FUNCTION_LINES))
    assert too_long(f'def f():\n    """Documented."""\n{body}') == ["f: 61 lines"]
    assert too_long(f'def f():\n    """Documented."""\n{body[10:]}') == []


def test_the_files_that_run_first_exist():
    named = re.findall(
        r'^    "((?:tests|parity)/\S+\.py)",$', (ROOT / "conftest.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(named) == len(set(named)) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []
