"""Targets `module:name`: their form, and the errors of their import."""

import collections

import pytest

from multilstm.errors import UsageError
from multilstm.frameworks.targets import import_target, is_target, not_installed


def test_the_object_of_that_name_is_returned():
    assert import_target("collections:OrderedDict") is collections.OrderedDict


@pytest.mark.parametrize("text", ["", "module", "module:", ":name", "a:b:c"])
def test_another_form_is_refused(text):
    assert not is_target(text)
    with pytest.raises(UsageError, match="expected module:name"):
        import_target(text)


@pytest.mark.parametrize(
    ("target", "error"),
    [("no_such_module:name", ModuleNotFoundError), ("collections:no_such_name", AttributeError)],
    ids=["module", "name"],
)
def test_the_exceptions_of_the_import_pass_through(target, error):
    with pytest.raises(error, match="no_such"):
        import_target(target)


def test_only_modules_that_are_not_installed_are_returned():
    assert not_installed(("json", "no_such_module")) == ("no_such_module",)
