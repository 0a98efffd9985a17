"""Sphinx's configuration. Build with `sphinx-build -W -b html docs docs/_build/html`."""

import os
import pathlib
import re
import sys
from typing import Any

DOCS = pathlib.Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]
os.environ.setdefault("KERAS_BACKEND", "jax")  # autodoc imports multilstm.keras_layers
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import generate

from multilstm.version import __version__

generate.write_all(DOCS / "_generated")

project = "multilstm"
author = "the multilstm developers"
project_copyright = "the multilstm developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_generated", "Thumbs.db"]
html_theme = "furo"
html_title = f"multilstm {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

default_role = "code"
suppress_warnings = ["ref.python"]  # a name such as LSTM is public in two packages
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False

SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Examples?|Notes?):$")


def as_restructured_text(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring in place: indented formulas become literal blocks, and bars and stars are no markup."""
    written: list[str] = []
    section = literal = False
    for number, line in enumerate(lines):
        blank_before = not number or not lines[number - 1].strip()
        if line and not line.startswith(" "):
            section, literal = bool(SECTION.match(line)), False
        elif not section and not literal and blank_before and line.startswith("    "):
            written += ["::", ""]
            literal = True
        if not literal:
            code = re.split(r"(`[^`]*`)", line)
            line = "".join(part if part.startswith("`") else re.sub(r"([|*])", r"\\\1", part) for part in code)
            line = re.sub(r"^(\s*)\\\* ", r"\1* ", line)
        written.append(line)
    lines[:] = written


def without_checks(app: Any, what: str, name: str, thing: Any, options: Any, signature: Any, returns: Any) -> Any:
    """Return the signature with `Annotated[float, Argument(...)]` as `float`, or None if it has none."""
    if "Annotated[" not in (signature or ""):
        return None
    while "Annotated[" in signature:
        start = signature.index("Annotated[")
        begin = start + len("Annotated[")
        depth, comma, end = 1, 0, begin
        while depth:
            letter = signature[end]
            depth += (letter in "[(") - (letter in "])")
            if letter == "," and depth == 1 and not comma:
                comma = end
            end += 1
        signature = signature[:start] + signature[begin : comma or end - 1] + signature[end:]
    return signature, returns


def setup(app: Any) -> None:
    """Connect the rewriting of signatures, and of docstrings before napoleon reads their sections."""
    app.connect("autodoc-process-signature", without_checks)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=100)
