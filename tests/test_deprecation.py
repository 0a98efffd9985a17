"""Deprecated functions warn, and they are gone when the version that they name comes."""

import ast
import pathlib

import pytest

from multilstm.deprecation import deprecated
from multilstm.version import __version__

PACKAGE = pathlib.Path(__file__).parents[1] / "multilstm"


def release(version):
    return tuple(int(number) for number in version.split("."))


def removals(source):
    """The versions that `@deprecated(remove_in=...)` names in a module, each with its function."""
    for node in ast.walk(ast.parse(source)):
        for decorator in getattr(node, "decorator_list", ()):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "deprecated":
                for keyword in decorator.keywords:
                    if keyword.arg == "remove_in":
                        yield node.name, ast.literal_eval(keyword.value)


def overdue(source, version):
    return [name for name, remove_in in removals(source) if release(version) >= release(remove_in)]


def test_a_deprecated_function_warns_and_still_answers():
    @deprecated(remove_in="99.0.0", use_instead="multilstm.run")
    def double(number):
        """Double a number."""
        return 2 * number

    with pytest.warns(
        DeprecationWarning, match=r"double is deprecated and goes in multilstm 99\.0\.0; use multilstm\.run instead"
    ):
        assert double(3) == 6
    assert double.__doc__ == "Double a number."


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_function_outlives_its_last_version(path):
    assert overdue(path.read_text(encoding="utf-8"), __version__) == []


def test_a_function_that_is_overdue_is_seen():
    source = "@deprecated(remove_in='0.3.0', use_instead='run')\ndef old(): ..."
    assert overdue(source, "0.2.9") == []
    assert overdue(source, "0.3.0") == ["old"]
