"""Parsing in the process of the test, which is faster; `test_sandbox.py` tests the process of its own."""

import importlib

import pytest

from multilstm.files import contents
from multilstm.files.sandbox_child import PARSERS


@pytest.fixture
def parse_here(monkeypatch):
    def parse(parser, content):
        return importlib.import_module(PARSERS[parser]).parse(content)

    monkeypatch.setattr(contents, "parse_in_process", parse)
